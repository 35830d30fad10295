"""What a person or a program sees of a load and of a relay: metrics, logs, progress."""
