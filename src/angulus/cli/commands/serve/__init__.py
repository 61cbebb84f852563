"""The command that serves decisions, and those about its keys."""
