"""Margins of binary losses: a classifier for each class, and no softmax over them: SphereFace2.

With g(c) = 2 ((c + 1) / 2)^t - 1, a scale r, a trained bias b and a share p of the own class

    loss = p softplus(-(r T(c_y) + b)) + (1 - p) sum over j != y of softplus(r N(c_j) + b)

    C    T = g(c) - m                     N = g(c) + m
    A    T = g(cos(min(theta + m, pi)))   N = g(c)
    M    T = g(cos(min(m theta, pi)))     N = g(c)
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from angulus.margins.angles import angle
from angulus.margins.base import (
    Gradient,
    Learned,
    Margin,
    PerClass,
    PerSample,
    Reduction,
    Seen,
    Value,
    check_value,
    column,
    resolve,
)
from angulus.margins.overflow import margin_with_overflow
from angulus.margins.schedules import Schedule

LARGEST_M = {"C": 2.0, "A": math.pi, "M": 16.0}


def adjusted(cos: Tensor, t: float) -> Tensor:
    """g(c) = 2 ((c + 1) / 2)^t - 1: spreads the similarities of what is near. t: 1 leaves them; any shape."""
    return 2.0 * ((cos + 1.0) / 2.0).clamp(min=0.0) ** t - 1.0


@dataclass(frozen=True, kw_only=True)
class SphereFace2(Margin):
    """A binary classifier for each class (Wen et al. 2022, arXiv 2108.01513).

    scale: r, 40 in the released code (64 for a million classes).
    m: of version C in units of the adjusted cosine, 0 to 2; of A radians, 0 to pi; of M a factor, 1 to 16. The
        authors use 0.4, 0.5 and 1.7.
    t: of the adjustment g, 1 to 16.  share: p, the weight of the own class, between 0 and 1; the more classes, the
        nearer to 1 (0.8 for a million).
    loss_weight: the loss is multiplied by loss_weight / scale; None leaves it as it is above (wespeaker).
    gradient: the authors' is "straight_through", which leaves the slope of g out; wespeaker's is "exact".

    The bias b is trained. It begins where the pulls of own and other classes on it balance at right angles.
    """

    scale: Value | Learned = 40.0
    m: Value = 0.4
    t: float = 3.0
    share: float = 0.7
    version: Literal["C", "A", "M"] = "C"
    loss_weight: float | None = 50.0
    gradient: Gradient = "straight_through"

    reduction: ClassVar[Reduction] = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.version not in LARGEST_M:
            raise ValueError(f'SphereFace2: version must be "C", "A" or "M", got {self.version!r}')
        check_value(self.kind, "m", self.m, 1.0 if self.version == "M" else 0.0, LARGEST_M[self.version])
        check_value(self.kind, "t", self.t, 1.0, 16.0)
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"SphereFace2: share must be above 0 and below 1, got {self.share:g}")
        if self.loss_weight is not None and not 0.0 < self.loss_weight < math.inf:
            raise ValueError(f"SphereFace2: loss_weight must be above 0, got {self.loss_weight:g}")

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        m = resolve(self.m, seen)
        if self.version == "C":
            return adjusted(cos, self.t) - m
        if self.version == "A":
            return adjusted(margin_with_overflow(cos, 1.0, m, 0.0, "clip"), self.t)
        return adjusted(torch.cos((m * angle(cos)).clamp(max=math.pi)), self.t)

    def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
        value = adjusted(cos, self.t)
        return value + column(resolve(self.m, seen)) if self.version == "C" else value

    def initial_learned(self, num_classes: int) -> dict[str, float]:
        return {**super().initial_learned(num_classes), "bias": self.balanced_bias(num_classes)}

    def balanced_bias(self, num_classes: int) -> float:
        """The b for which p sigmoid(-own logit) = (1 - p) (C - 1) sigmoid(other logit) where all cosines are 0.

        With z = p / ((1 - p) (C - 1)), and own, other without b:
            b = log(2 z) - other - log(1 - z + sqrt((1 - z)^2 + 4 z exp(own - other)))
        """
        m, scale = first_number(self.m), first_number(self.scale)
        right = torch.zeros(1, dtype=torch.float64)
        seen = Seen.of(right)
        plain = SphereFace2(scale=scale, m=m, t=self.t, share=self.share, version=self.version)
        own, other = (scale * float(value) for value in (plain.target(right, seen), plain.others(right, right, seen)))
        z = self.share / ((1.0 - self.share) * max(num_classes - 1, 1))
        product = 4.0 * z * math.exp(max(own - other, -700.0))
        root = math.sqrt((1.0 - z) ** 2 + product)
        # the sum cancels where z is above 1; written so, it does not
        below = 1.0 - z + root if z < 1.0 else product / (z - 1.0 + root)
        return math.log(2.0 * z) - other - math.log(below)

    def offset(self, seen: Seen) -> Tensor:
        return seen.learned["bias"]

    def own_share(self, seen: Seen) -> float:
        return self.share

    def factor(self, seen: Seen) -> float | Tensor:
        if self.loss_weight is None:
            return 1.0
        scale = self.temperature(seen)
        return self.loss_weight / (scale.detach() if isinstance(scale, Tensor) else scale)


def first_number(value: Value | Learned) -> float:
    """The number with which a value begins; of many the mean."""
    if isinstance(value, Learned):
        return value.initial
    if isinstance(value, Schedule):
        return value.in_steps(1, 1).at(0)
    if isinstance(value, (PerClass, PerSample)):
        return float(torch.as_tensor(value.values).double().mean())
    return float(value)
