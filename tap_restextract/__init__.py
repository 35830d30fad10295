"""Extracts records from any REST API, described in configuration, with no holes."""
