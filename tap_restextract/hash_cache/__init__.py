"""Hash caches: what sweeps remember of every record."""
