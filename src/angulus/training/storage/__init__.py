"""What a run leaves on disk: its folder and its checkpoints; what is trained is decided elsewhere."""
