"""`angulus audit`: its commands, one file each."""
