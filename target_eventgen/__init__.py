"""Loads any Singer stream into Postgres and records an event for each state transition, once."""
