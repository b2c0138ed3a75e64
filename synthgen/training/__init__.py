"""How networks are trained, and the files that keep them."""
