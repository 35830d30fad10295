"""The configuration as frozen structs, checked whole."""
