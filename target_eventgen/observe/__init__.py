"""Observability of a load and of a relay: metrics, logs, progress."""
