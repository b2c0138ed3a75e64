"""Which strategy finds the rare class best, and a classifier that uses it."""
