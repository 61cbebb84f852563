"""Margins that are added: to the cosine (AM-Softmax), to the angle (ArcFace), or both (combined).

AM-Softmax   t = c - m
ArcFace      t = cos(theta + m)
combined     t = cos(m1 theta + m2) - m3
"""

import math
from dataclasses import dataclass

from torch import Tensor

from angulus.margins.base import Learned, Margin, Seen, Value, check_value, resolve
from angulus.margins.overflow import Overflow, check_overflow, margin_with_overflow, raw_margin


@dataclass(frozen=True, kw_only=True)
class AMSoftmax(Margin):
    """Additive margin softmax: t = c - m (Wang et al. 2018, arXiv 1801.05599); the same as CosFace.

    m: cosine units, 0 to 2. CosFace's defaults are scale=64, m=0.35 or 0.4.
    """

    scale: Value | Learned = 30.0
    m: Value = 0.35

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, 2.0)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        return cos - resolve(self.m, seen)


CosFace = AMSoftmax


@dataclass(frozen=True, kw_only=True)
class ArcFace(Margin):
    """Additive angular margin: t = cos(theta + m) (Deng et al. 2019, arXiv 1801.07698, eq. 3).

    m: radians, 0 to pi.  overflow: the rule past theta + m = pi, see `angulus.margins.overflow`.
    """

    m: Value = 0.5
    overflow: Overflow = "continuous"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, math.pi)
        check_overflow(self.kind, self.overflow)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        return margin_with_overflow(cos, 1.0, resolve(self.m, seen), 0.0, self.overflow)

    def reference(self, cos: Tensor, seen: Seen) -> Tensor:
        return raw_margin(cos, 1.0, resolve(self.m, seen), 0.0)


@dataclass(frozen=True, kw_only=True)
class CombinedMargin(Margin):
    """All three margins at once: t = cos(m1 theta + m2) - m3 (ArcFace paper, eq. 4).

    m1: factor of the angle, above 0 to 4.  m2: radians, 0 to pi.  m3: cosine units, 0 to 2.
    The paper's CM1 is (1, 0.3, 0.2) and CM2 is (0.9, 0.4, 0.15).
    """

    m1: Value = 1.0
    m2: Value = 0.3
    m3: Value = 0.2
    overflow: Overflow = "continuous"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m1", self.m1, 1e-3, 4.0)
        check_value(self.kind, "m2", self.m2, 0.0, math.pi)
        check_value(self.kind, "m3", self.m3, 0.0, 2.0)
        check_overflow(self.kind, self.overflow)
        m1, m2 = self.m1, self.m2
        if self.overflow == "mirror" and isinstance(m1, (int, float)) and isinstance(m2, (int, float)):
            check_mirror(m1, m2)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        m1, m2, m3 = (resolve(value, seen) for value in (self.m1, self.m2, self.m3))
        return margin_with_overflow(cos, m1, m2, m3, self.overflow)

    def reference(self, cos: Tensor, seen: Seen) -> Tensor:
        return raw_margin(cos, *(resolve(value, seen) for value in (self.m1, self.m2, self.m3)))


def check_mirror(m1: float, m2: float) -> None:
    """Raise ValueError where the rule "mirror" would turn round as well."""
    if m1 * math.pi + m2 > 2 * math.pi + 1e-9:
        raise ValueError(
            f'CombinedMargin: overflow "mirror" rises again where m1 pi + m2 exceeds 2 pi, got m1 {m1:g} and '
            f"m2 {m2:g}; use overflow=continuous"
        )
