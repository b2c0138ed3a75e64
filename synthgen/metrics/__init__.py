"""Evaluation of synthetic rows: fidelity, utility and privacy."""
