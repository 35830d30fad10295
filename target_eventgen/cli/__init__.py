"""The commands: the Singer target and its companions."""
