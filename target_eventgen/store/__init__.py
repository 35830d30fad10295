"""Postgres: the statements of a checkpoint, and the connection that runs them."""
