"""What synthetic rows are worth: fidelity, utility, privacy, each number beside its yardstick."""
