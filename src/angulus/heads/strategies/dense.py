"""All classes at once: plain autograd over one [n, c] matrix of cosines. Fast for few classes, and the simplest."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from angulus.heads.strategies.cosine import LINEAR, best_center, bounded, unit
from angulus.heads.strategies.problem import Demand, Logits, Nearest, Problem, Sums


@dataclass(frozen=True)
class Dense:
    """All classes at once: one [n, c] matrix of cosines, kept for the backward pass."""

    answers: ClassVar[tuple[Demand, ...]] = ("nearest", "binary")

    def sweep(self, problem: Problem) -> "DenseSweep":
        return DenseSweep(problem)


class DenseSweep:
    def __init__(self, problem: Problem) -> None:
        if problem.move is not None:
            raise ValueError("Dense forms the whole gradient; update inside backward needs the strategy Streamed")
        self.problem = problem
        rows = problem.weight.flatten(0, 1)
        products = best_center(problem.unit @ (rows if problem.free else unit(rows)).T, problem.weight.shape[1])
        self.cos = products if problem.free else bounded(products)
        self.classes = slice(0, problem.weight.shape[0])

    def own_with_gradient(self) -> Tensor:
        return self.cos.gather(1, self.problem.labels.clamp(min=0)[:, None]).squeeze(1)

    def own(self) -> Tensor:
        return self.own_with_gradient().detach()

    def hardest(self) -> Tensor:
        return self.problem.without_own(self.cos.detach(), self.classes).amax(dim=1)

    def nearest(self, count: int, at_most: float | None) -> Nearest:
        cos = self.problem.without_own(self.cos.detach(), self.classes)
        return Nearest.none(cos, count).among(cos, 0, at_most)

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        values = logits.with_bias_of(self.classes.stop)(self.cos, self.classes)
        others = self.problem.without_own(values, self.classes)
        rest = softplus(others, threshold=LINEAR).sum(dim=1) if logits.binary else others.logsumexp(dim=1)
        plain = values.masked_fill(self.problem.is_own(self.classes), 0.0).sum(dim=1) if total else None
        return Sums(self.own_with_gradient(), rest, plain, self.classes.stop)
