"""A network made ready to embed, here or in another runtime, and images on their way through it; nothing is trained."""
