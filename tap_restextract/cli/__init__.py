"""The commands: singer-sdk's own, `plan`, `webhooks`."""
