"""What a model file, and rows generated with it, reveal about the training rows."""
