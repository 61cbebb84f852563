"""What words of a command line mean: places, and what was meant where there is nothing of the kind."""
