"""Several machines, one run: what starts again by itself, what passes between processes, and how long a step is."""
