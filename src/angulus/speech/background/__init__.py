"""What speech is disturbed with in training: noises, voices and rooms, drawn, or read from folders of the field."""
