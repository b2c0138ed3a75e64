"""What a model file, and rows made with it, tell about the rows that were learned."""
