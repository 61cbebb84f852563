"""Sets that are known by name, and how they are fetched; how a set is read belongs to `formats`."""
