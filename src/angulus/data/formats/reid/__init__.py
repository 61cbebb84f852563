"""Re-identification: folders and lists in which the name of an image says its person and its camera."""
