"""Whole protocols, from embeddings to one result; their files belong to `files`, their figures to `rates`."""
