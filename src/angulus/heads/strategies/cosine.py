"""Cosines between embeddings and class weights, finite for zero rows and never outside [-1, 1]."""

import torch
from torch import Tensor

# Above it softplus(x) is x in float64.
LINEAR = 40.0


def unit(vectors: Tensor) -> Tensor:
    """vectors / |vectors| along the last dimension; a zero row stays zero and gets a bounded gradient."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, torch.ones_like(norms))


def bounded(cos: Tensor) -> Tensor:
    """cos with rounding beyond [-1, 1] taken off its value; the gradient passes unchanged."""
    return cos + (cos.detach().clamp(-1.0, 1.0) - cos.detach())


def best_center(cos: Tensor, subcenters: int) -> Tensor:
    """The largest cosine among each class's sub-centers. cos: [n, c * k]. Returns [n, c]."""
    if subcenters == 1:
        return cos
    return cos.unflatten(-1, (-1, subcenters)).max(dim=-1).values
