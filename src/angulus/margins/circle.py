"""Circle loss at class level: each similarity is weighted by how far it is from its optimum."""

from dataclasses import dataclass

from torch import Tensor

from angulus.margins.base import Formula, Learned, Margin, Seen, Value, check_value, column, resolve


@dataclass(frozen=True, kw_only=True)
class Circle(Margin):
    """Circle loss (Sun et al. 2020, arXiv 2002.10857), with class weights as proxies.

    t = a_p (c - (1 - m)) with a_p = max(1 + m - c, 0);  others: a_n (c - m) with a_n = max(c + m, 0).
    a_p and a_n are detached as in the paper, so the gradient is not the derivative of the value.
    scale: gamma, 256 for faces, 128 for re-identification.  m: 0 to 1.
    """

    scale: Value | Learned = 256.0
    m: Value = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, 1.0)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        m = resolve(self.m, seen)
        return (1.0 + m - cos.detach()).clamp(min=0.0) * (cos - (1.0 - m))

    def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
        m = column(resolve(self.m, seen))
        return (cos.detach() + m).clamp(min=0.0) * (cos - m)

    def formula(self, seen: Seen) -> Formula:
        return Formula("weighted", (resolve(self.m, seen),))
