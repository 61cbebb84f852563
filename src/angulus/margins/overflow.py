"""What happens past m1 theta + m2 = pi, where the cosine would turn and rise again.

With edge = cos((pi - m2) / m1), for cosines below the edge the target is, by name:

    continuous  c - edge - 1 - m3            monotone, continuous, slope 1 (the default)
    mirror      -cos(m1 theta + m2) - 2 - m3 monotone and smooth, as in SphereFace, up to m1 pi + m2 = 2 pi
    clip        -1 - m3                      flat: no gradient there with gradient="exact"
    linear      c - m2 sin(m2) - m3          jumps at the edge; CurricularFace's code and many ArcFace ports
    none        cos(m1 theta + m2) - m3      turns around: pushes a sample away from its own class
    easy        c for every c <= 0           jumps at 90 degrees; "easy margin", MagFace's default
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from angulus.margins.angles import angle, shifted

Overflow = Literal["continuous", "mirror", "clip", "linear", "none", "easy"]
Number = float | Tensor


def check_overflow(owner: str, overflow: str) -> None:
    """Raise ValueError unless the rule is one of the six."""
    if overflow not in get_args(Overflow):
        names = ", ".join(get_args(Overflow))
        raise ValueError(f"{owner}: overflow must be one of {names}, got {overflow!r}")


def raw_margin(cos: Tensor, m1: Number, m2: Number, m3: Number) -> Tensor:
    """cos(m1 theta + m2) - m3 without any rule. cos: [n]; the margins are numbers or [n], m2 in radians."""
    moved = shifted(cos, m2) if isinstance(m1, float) and m1 == 1.0 else torch.cos(m1 * angle(cos) + m2)
    return moved - m3


def edge_of(m1: Number, m2: Number) -> Number:
    """The cosine below which m1 theta + m2 exceeds pi; -2, below every cosine, where it never does."""
    last = (math.pi - m2) / m1
    if not isinstance(last, Tensor):
        return -2.0 if last > math.pi else math.cos(last)
    return torch.where(last > math.pi, -2.0, torch.cos(last))


def margin_with_overflow(cos: Tensor, m1: Number, m2: Number, m3: Number, overflow: Overflow) -> Tensor:
    """cos(m1 theta + m2) - m3 with the named rule past pi. cos: [n]. Returns [n]."""
    value = raw_margin(cos, m1, m2, m3)
    if overflow == "none":
        return value
    if overflow == "easy":
        return torch.where(cos > 0, value, cos)
    edge = edge_of(m1, m2)
    if overflow == "continuous":
        past = cos - edge - 1.0 - m3
    elif overflow == "mirror":
        past = -value - 2.0 - 2.0 * m3
    elif overflow == "clip":
        past = torch.full_like(cos, -1.0) - m3
    else:
        past = cos - m2 * (torch.sin(m2) if isinstance(m2, Tensor) else math.sin(m2)) - m3
    return torch.where(cos > edge, value, past)
