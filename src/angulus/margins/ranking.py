"""Margins that push the nearest other classes of an example away, whatever their cosine: the inter-top-k penalty.

With the k other classes of the largest cosines known, which takes a pass over all classes before the sum:

    own class            cos(theta_y + m)
    k nearest classes    cos(max(theta_j - m', 0))
    all others           cos(theta_j)
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from angulus.margins.angles import turned
from angulus.margins.base import Learned, Margin, Seen, Value, check_value, column, resolve
from angulus.margins.overflow import Overflow, check_overflow, margin_with_overflow, raw_margin


@dataclass(frozen=True, kw_only=True)
class InterTopK(Margin):
    """ArcFace with a penalty on the k nearest other classes (Zhao et al. 2021, arXiv 2110.05042).

    The paper trains speakers with it, with three sub-centers a class (`subcenters=3` of the head). Which of several
    classes at one cosine are the k is not said; a sampled head ranks the classes of its sample.

    m: radians, 0 to pi.  m_prime: radians, 0 to pi / 2.  k: at least 1; where fewer other classes are left, all count.
    overflow: the rule past theta + m = pi, see `angulus.margins.overflow`.
    """

    scale: Value | Learned = 32.0
    m: Value = 0.2
    m_prime: Value = 0.06
    k: int = 5
    overflow: Overflow = "continuous"

    reshapes_others: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, math.pi)
        check_value(self.kind, "m_prime", self.m_prime, 0.0, math.pi / 2)
        check_overflow(self.kind, self.overflow)
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 1:
            raise ValueError(f"InterTopK: k must be a whole number and at least 1, got {self.k!r}")

    @property
    def ranked(self) -> int:  # pyrefly: ignore[bad-override]
        return self.k

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        return margin_with_overflow(cos, 1.0, resolve(self.m, seen), 0.0, self.overflow)

    def reference(self, cos: Tensor, seen: Seen) -> Tensor:
        return raw_margin(cos, 1.0, resolve(self.m, seen), 0.0)

    def nearest(self, cos: Tensor, seen: Seen) -> Tensor:
        return turned(cos, column(resolve(self.m_prime, seen)))
