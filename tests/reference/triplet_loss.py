"""The batch-hard triplet loss as nested loops over single examples, in float64."""

import torch
from torch import Tensor


def naive_triplet_loss(features: Tensor, labels: list[int], margin: float | str, *, unit: bool = False) -> Tensor:
    """The mean over the examples that have another of their class and one of another in the batch; 0 without any."""
    rows = [row / row.norm() if unit else row for row in features.double()]
    losses = []
    for anchor, label in enumerate(labels):
        same = [i for i, other in enumerate(labels) if other == label and i != anchor]
        others = [i for i, other in enumerate(labels) if other not in (label, -1)]
        if label < 0 or not same or not others:
            continue
        far = max((distance(rows[anchor], rows[i]) for i in same), key=lambda d: float(d.detach()))
        near = min((distance(rows[anchor], rows[i]) for i in others), key=lambda d: float(d.detach()))
        apart = far - near
        losses.append(torch.log1p(apart.exp()) if margin == "soft" else (apart + margin).clamp(min=0))
    return torch.stack(losses).mean() if losses else features.double().sum() * 0


def distance(left: Tensor, right: Tensor) -> Tensor:
    total = ((left - right) ** 2).sum()
    return total.sqrt() if float(total.detach()) > 0 else total * 0
