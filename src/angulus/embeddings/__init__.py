"""What a model made of a set of images: embeddings with labels, keys and columns, and their files (numpy only)."""

from angulus.embeddings.sets import VIEWS, EmbeddingSet, View, as_set

__all__ = ["VIEWS", "EmbeddingSet", "View", "as_set"]
