"""Statistics over frames one channel and one frame at a time, in float64, as their formulas say."""

import math

import torch
from torch import Tensor


def plain(x: Tensor, epsilon: float) -> Tensor:
    """[n, channels, frames] -> [n, 2 channels]."""
    means, deviations = [], []
    for example in x.double():
        mean = [float(sum(row.tolist())) / len(row) for row in example]
        squares = [sum((value - m) ** 2 for value in row.tolist()) for row, m in zip(example, mean, strict=True)]
        means.append(mean)
        deviations.append([math.sqrt(square / max(example.shape[1] - 1, 1) + epsilon) for square in squares])
    return torch.tensor([m + s for m, s in zip(means, deviations, strict=True)], dtype=torch.float64)


def attentive(x: Tensor, state: dict[str, Tensor], has_context: bool, floor: float = 1e-7) -> Tensor:
    """[n, channels, frames] -> [n, 2 channels]. state: of linear1 and linear2, kernels of one frame."""
    w, v = (state[f"{name}.weight"].double().squeeze(-1) for name in ("linear1", "linear2"))
    b, k = (state[f"{name}.bias"].double() for name in ("linear1", "linear2"))
    rows = []
    for example in x.double():
        context = plain(example.unsqueeze(0), floor)[0] if has_context else torch.zeros(0, dtype=torch.float64)
        scores = [v @ torch.tanh(w @ torch.cat([frame, context]) + b) + k for frame in example.T]
        powers = [torch.exp(score) for score in scores]
        total = sum(powers)
        weights = [power / total for power in powers]
        mean = sum(weight * frame for weight, frame in zip(weights, example.T, strict=True))
        spread = sum(weight * (frame - mean) ** 2 for weight, frame in zip(weights, example.T, strict=True))
        rows.append(torch.cat([mean, torch.sqrt(torch.clamp(spread, min=floor))]))
    return torch.stack(rows)
