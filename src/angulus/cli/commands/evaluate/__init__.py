"""`angulus evaluate`: verification, and the other protocols by name, one file each."""
