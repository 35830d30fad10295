"""Walks: generators that decide what to ask next, what to emit and how far STATE may move; no socket, no clock."""
