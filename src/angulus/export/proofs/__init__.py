"""The artefact of a bundle beside the original: images, and recordings of several lengths."""
