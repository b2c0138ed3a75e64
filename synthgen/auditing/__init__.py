"""Audits: checks of a table before any model is trained on it."""
