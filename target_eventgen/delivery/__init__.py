"""Events from the outbox to publishers: decisions over values, and the relay that carries them out."""
