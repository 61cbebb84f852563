"""First class weights from data: the mean direction of each identity's embeddings, for a trained backbone."""

import torch
from torch import Tensor

from angulus.heads.head import MarginHead
from angulus.heads.strategies.cosine import unit


@torch.no_grad()
def start_from(head: MarginHead, embeddings: Tensor, labels: Tensor, *, length: float | None = None) -> int:
    """Set the weights of every class that has embeddings to the mean direction of them; return how many were set.

    embeddings: [n, d].  labels: [n] int64, counted as in the head; -1 is passed over.
    length: of the weights that are set; None keeps what each has. It sets how fast a direction can turn: a step of
    gradient descent turns it by the gradient over the square of the length, so that the short weights that a new head
    begins with forget a direction in a few steps. With several sub-centers
    each gets the mean and keeps a tenth of its random direction, so that they can part. Classes without embeddings
    keep their weights.

    Raises ValueError for embeddings of another dimension, or not finite.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != head.embedding_dim:
        raise ValueError(f"embeddings must be [n, {head.embedding_dim}], got {list(embeddings.shape)}")
    if not torch.isfinite(embeddings).all():
        row = int((~torch.isfinite(embeddings)).any(dim=1).nonzero()[0])
        raise ValueError(f"embeddings must be finite, row {row} is not")
    local = labels - head.classes.start
    kept = (labels >= 0) & (local >= 0) & (local < len(head.classes))
    weight = head.weight if head.weight.ndim == 3 else head.weight[:, None]
    directions = unit(embeddings[kept].to(weight.device, weight.dtype))
    sums = directions.new_zeros(len(weight), head.embedding_dim).index_add_(
        0, local[kept].to(weight.device), directions
    )
    means = unit(sums)
    found = means.square().sum(dim=1) > 0
    lengths = torch.linalg.vector_norm(weight, dim=2, keepdim=True)
    if length is not None:
        lengths = torch.full_like(lengths, length)
    apart = 0.0 if weight.shape[1] == 1 else 0.1
    started = unit(means[:, None] + apart * unit(weight)) * lengths
    weight.copy_(torch.where(found[:, None, None], started, weight))
    return int(found.sum())
