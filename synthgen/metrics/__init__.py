"""What synthetic rows are worth: fidelity, utility and privacy, each number beside its yardstick."""
