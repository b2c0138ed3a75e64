"""Encoding of tables as numbers: tensors for networks, matrices for classifiers."""
