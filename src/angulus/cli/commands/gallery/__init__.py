"""The commands of `angulus gallery`."""
