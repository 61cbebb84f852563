"""The center loss and the way of its centers (Wen et al. 2016, equations 2 to 4) as loops over examples, in float64."""

import torch
from torch import Tensor


def naive_center_loss(features: Tensor, labels: list[int], centers: Tensor) -> Tensor:
    """The mean over the examples that have a label of half the squared distance to the center of their class."""
    losses = []
    for row, label in zip(features.double(), labels, strict=True):
        if label >= 0:
            losses.append(sum((x - c) ** 2 for x, c in zip(row, centers[label].double(), strict=True)) / 2)
    return torch.stack(losses).mean() if losses else features.double().sum() * 0


def naive_moved(centers: Tensor, features: Tensor, labels: list[int], rate: float) -> Tensor:
    """The centers after a batch."""
    moved = centers.double().clone()
    for j in range(len(centers)):
        count, difference = 0, torch.zeros(centers.shape[1], dtype=torch.float64)
        for row, label in zip(features.double(), labels, strict=True):
            if label == j:
                count += 1
                difference = difference + (centers[j].double() - row)
        moved[j] = centers[j].double() - rate * difference / (1 + count)
    return moved
