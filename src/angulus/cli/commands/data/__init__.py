"""`angulus data`: its commands, one file each."""
