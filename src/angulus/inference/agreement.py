"""Whether two networks give the same embeddings, shown on images: the proof before a runtime may take torch's place."""

import torch
from torch import Tensor

TOLERANCE = 1e-5
"""Largest cosine distance between the embeddings of one image that still counts as the same."""


def largest_distance(found: Tensor, wanted: Tensor) -> float:
    """Largest 1 - cosine between rows of [n, d], in float64; infinite for other shapes, NaN, infinity and zero rows."""
    if found.shape != wanted.shape:
        return float("inf")
    left, right = found.double(), wanted.double()
    cosines = (left * right).sum(1) / (left.norm(dim=1) * right.norm(dim=1))
    # equal rows agree, zeros too
    distances = torch.where((left == right).all(1), 0.0, 1 - cosines)
    return float(torch.nan_to_num(distances, nan=float("inf"), posinf=float("inf")).max())
