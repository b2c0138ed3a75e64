"""The training loop of the networks, and the files of their models."""
