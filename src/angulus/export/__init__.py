"""One artefact of a trained network for deployment, and the proof that it is the same model."""
