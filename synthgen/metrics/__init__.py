"""What synthetic rows are worth: fidelity, utility and privacy."""
