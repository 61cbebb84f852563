"""What the words of a command line name: models, image sets, embeddings, pairs; printing belongs to the commands."""
