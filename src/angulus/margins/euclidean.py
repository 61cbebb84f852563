"""Losses with free class weights and a bias: the plain softmax and the L2-constrained softmax.

plain            z_ij = w_j . x_i + b_j
L2-constrained   z_ij = alpha w_j . x_i / |x_i| + b_j
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from angulus.margins.base import Learned, Margin, Seen, Value


@dataclass(frozen=True, kw_only=True)
class Softmax(Margin):
    """The plain softmax of a linear classifier: z = w . x + b, nothing normalised. A baseline.

    scale: a factor of the product, 1 as a rule.
    """

    scale: Value | Learned = 1.0

    free_weights: ClassVar[bool] = True
    has_bias: ClassVar[bool] = True

    def temperature(self, seen: Seen) -> float | Tensor:
        return super().temperature(seen) * seen.norms


@dataclass(frozen=True, kw_only=True)
class L2Softmax(Margin):
    """L2-constrained softmax (Ranjan, Castillo, Chellappa 2017, arXiv 1703.09507).

    scale: the radius alpha, fixed or `Learned(initial)`. The default of 16 is above the lower bound for up
        to a million classes at probability 0.9.
    probability: the mean probability of the own class that the bound on alpha is computed for.
    enforce_bound: raise ValueError instead of warning when a fixed scale lies below the bound.
    """

    scale: Value | Learned = 16.0
    probability: float = 0.9
    enforce_bound: bool = False

    free_weights: ClassVar[bool] = True
    has_bias: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.probability < 1.0:
            raise ValueError(f"L2Softmax: probability must be between 0 and 1, got {self.probability}")

    def advice(self, num_classes: int) -> list[str]:
        if num_classes <= 2 or not isinstance(self.scale, (int, float)):
            return []
        bound = scale_lower_bound(num_classes, self.probability)
        if self.scale >= bound:
            return []
        sentence = (
            f"L2Softmax: scale {self.scale:g} is below {bound:.2f}, the least with which {num_classes} classes "
            f"can reach a mean probability of {self.probability:g}; raise scale"
        )
        if self.enforce_bound:
            raise ValueError(sentence)
        return [sentence]


def scale_lower_bound(num_classes: int, probability: float = 0.9) -> float:
    """The least radius alpha for which a mean own-class probability p can be reached.

    alpha = log(p (C - 2) / (1 - p)), for C > 2 classes whose centres can be 90 degrees apart.
    """
    if num_classes <= 2:
        raise ValueError(f"the bound needs more than 2 classes, got {num_classes}")
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability must be between 0 and 1, got {probability}")
    return math.log(probability * (num_classes - 2) / (1.0 - probability))
