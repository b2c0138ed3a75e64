"""The synthesizers, one file and one class each."""
