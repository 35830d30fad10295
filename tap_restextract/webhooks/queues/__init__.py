"""Queues of notifications: one file a kind, one contract."""
