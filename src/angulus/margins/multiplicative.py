"""Margins that multiply the angle: SphereFace (A-Softmax) and SphereFace-R.

psi(theta) = (-1)^k cos(m theta) - 2k,   k = floor(m theta / pi)
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from angulus.margins.angles import angle
from angulus.margins.base import Gradient, Learned, Margin, Seen, Value, check_value, resolve
from angulus.margins.schedules import InverseDecay, Schedule

# The annealing weight of the released SphereFace-20.
AUTHORS_ANNEALING = InverseDecay()


def psi(cos: Tensor, m: float | Tensor) -> Tensor:
    """The monotone continuation of cos(m theta) (Liu et al. 2017). cos: [n]; m: at least 1, a number or [n].

    For a whole number m it is a polynomial in the cosine, with a finite slope (m^2) at both ends.
    """
    if isinstance(m, float) and m.is_integer() and m <= 16:
        folds = sum(((cos < math.cos(k * math.pi / m)).to(cos.dtype) for k in range(1, int(m))), torch.zeros_like(cos))
        wave = chebyshev(cos, int(m))
    else:
        theta = angle(cos)
        folds = torch.floor(m * theta.detach() / math.pi)
        wave = torch.cos(m * theta)
    sign = 1.0 - 2.0 * torch.remainder(folds, 2.0)
    return sign * wave - 2.0 * folds


def chebyshev(cos: Tensor, order: int) -> Tensor:
    """cos(order * arccos(cos)) by the recurrence T(n+1) = 2 c T(n) - T(n-1)."""
    before, now = torch.ones_like(cos), cos
    for _ in range(order - 1):
        before, now = now, 2.0 * cos * now - before
    return now


@dataclass(frozen=True, kw_only=True)
class SphereFace(Margin):
    """A-Softmax (Liu et al. 2017, arXiv 1704.08063): t = psi(theta), temperature = the embedding's norm.

    m: at least 1, whole or not; the authors use 4 (least useful: 2 + sqrt 3 for two classes, 3 for more).
    annealing: lambda by step, t = (lambda c + psi) / (1 + lambda); the default is the authors' schedule, with
        which lambda ends at 5. None means the pure margin from the first step.
    scale: a factor of the norm, 1 in the paper.
    """

    scale: Value | Learned = 1.0
    m: Value = 4.0
    annealing: float | Schedule | None = AUTHORS_ANNEALING

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 1.0, 16.0)
        if self.annealing is not None:
            check_value(self.kind, "annealing", self.annealing, 0.0, math.inf)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        value = psi(cos, resolve(self.m, seen))
        if self.annealing is None:
            return value
        weight = resolve(self.annealing, seen)
        return (weight * cos + value) / (1.0 + weight)

    def temperature(self, seen: Seen) -> float | Tensor:
        return super().temperature(seen) * seen.norms


@dataclass(frozen=True, kw_only=True)
class SphereFaceR(Margin):
    """SphereFace revived (Liu et al. 2022, arXiv 2109.05565).

    version: "v0" t = psi(theta); "v1" t = cos(min(m theta, pi)); "v2" others = cos(theta_j / m).
    norm: "hfn" temperature = scale; "nfn" temperature = the embedding's norm; "sfn" as nfn, with the
        penalty norm_weight * | |x| - scale |.
    loss_weight: with hfn and sfn the softmax part of the loss is multiplied by loss_weight / scale.
    """

    scale: Value | Learned = 60.0
    m: Value = 1.4
    version: Literal["v0", "v1", "v2"] = "v2"
    norm: Literal["hfn", "nfn", "sfn"] = "hfn"
    loss_weight: float = 50.0
    norm_weight: float = 0.01
    gradient: Gradient = "straight_through"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 1.0, 16.0)
        if self.version not in ("v0", "v1", "v2"):
            raise ValueError(f'SphereFaceR: version must be "v0", "v1" or "v2", got {self.version!r}')
        if self.norm not in ("hfn", "nfn", "sfn"):
            raise ValueError(f'SphereFaceR: norm must be "hfn", "nfn" or "sfn", got {self.norm!r}')

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        if self.version == "v2":
            return cos
        m = resolve(self.m, seen)
        if self.version == "v0":
            return psi(cos, m)
        return torch.cos((m * angle(cos)).clamp(max=math.pi))

    def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
        if self.version != "v2":
            return cos
        m = resolve(self.m, seen)
        return torch.cos(angle(cos) / (m[:, None] if isinstance(m, Tensor) else m))

    def temperature(self, seen: Seen) -> float | Tensor:
        return super().temperature(seen) if self.norm == "hfn" else seen.norms

    def factor(self, seen: Seen) -> float | Tensor:
        if self.norm == "nfn":
            return 1.0
        scale = super().temperature(seen)
        return self.loss_weight / (scale.detach() if isinstance(scale, Tensor) else scale)

    def penalty(self, seen: Seen) -> Tensor | None:
        if self.norm != "sfn":
            return None
        return self.norm_weight * (seen.norms - super().temperature(seen)).abs()
