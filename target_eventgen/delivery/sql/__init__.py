"""The tables of delivery, and the statements over them, as values."""
