"""Ours, other tools and the floors, measured."""
