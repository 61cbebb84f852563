"""Classes divided over processes, and checkpoints that any number of processes reads."""
