"""Angles on the hypersphere without NaN: cosines to angles and back, finite at both ends.

d arccos(c) / dc = -1 / sqrt(1 - c^2) has no bound as c approaches 1 or -1, although the gradient with respect
to the embedding stays bounded there. So values are exact everywhere, and no gradient flows through the sine (nor,
therefore, through the angle) where 1 - c^2 is below a floor: 1e-7 in float32, 1e-12 in float64.
"""

import math

import torch
from torch import Tensor

from angulus.devices.copies import scalar

FLOOR = {torch.float64: 1e-12, torch.float32: 1e-7}


def sine(cos: Tensor) -> Tensor:
    """sin(arccos(cos)) with a bounded slope. cos in [-1, 1], any shape."""
    square = (1.0 - cos) * (1.0 + cos)
    floored = square.clamp(min=FLOOR.get(cos.dtype, 1e-3)).sqrt()
    return floored + (square.clamp(min=0.0).sqrt() - floored).detach()


def angle(cos: Tensor) -> Tensor:
    """arccos(cos) in radians, accurate near 0 and pi, with a bounded slope. cos in [-1, 1], any shape."""
    return torch.atan2(sine(cos), cos)


def turned(cos: Tensor, by: float | Tensor) -> Tensor:
    """cos(max(arccos(cos) - by, 0)): the cosine of what is nearer by an angle. by: radians, broadcast against cos."""
    edge = torch.cos(by) if isinstance(by, Tensor) else math.cos(by)
    return torch.where(cos < edge, shifted(cos, -by), torch.ones_like(cos))


def shifted(cos: Tensor, shift: float | Tensor) -> Tensor:
    """cos(arccos(cos) + shift): the cosine after adding an angle. shift: radians, broadcast against cos."""
    if isinstance(shift, Tensor):
        shift = scalar(shift, cos)
        return cos * torch.cos(shift) - sine(cos) * torch.sin(shift)
    return cos * math.cos(shift) - sine(cos) * math.sin(shift)
