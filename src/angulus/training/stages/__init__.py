"""The stages of a run: where each begins and ends, what it takes over, and the mean of its last networks."""
