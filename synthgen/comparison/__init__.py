"""Which remedy finds the rare class best."""
