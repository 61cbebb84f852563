"""How the sum over the other classes is computed: all at once, or streamed in chunks.

Every strategy answers the same three questions about a batch: the cosine to the own class, the largest
cosine to another class, and

    rest_i = logsumexp over j != y_i of logits(c_ij)

where `logits` maps a block of cosines [n, c] and the range of its classes to logits [n, c]. With free weights
(L2-constrained softmax) the "cosine" is the product with the weight as it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from angulus.heads.cosine import best_center, bounded, unit

Logits = Callable[[Tensor, slice], Tensor]


@dataclass(frozen=True)
class Problem:
    """One batch against all classes.

    unit: [n, d] unit embeddings.  weight: [c, k, d] as stored.  labels: [n] in [0, c), or -1 for no class.
    free: True leaves the weights unnormalised.
    """

    unit: Tensor
    weight: Tensor
    labels: Tensor
    free: bool

    def cosines(self, weight: Tensor) -> Tensor:
        """[n, c'] products with a slice [c', k, d] of the weights, the best sub-center of each class."""
        rows = weight.flatten(0, 1)
        rows = rows if self.free else unit(rows)
        products = best_center(self.unit @ rows.T, weight.shape[1])
        return products if self.free else bounded(products)

    def is_own(self, classes: slice) -> Tensor:
        """[n, c'] True where the class is the example's own."""
        return self.labels[:, None] == torch.arange(classes.start, classes.stop, device=self.labels.device)

    def without_own(self, values: Tensor, classes: slice) -> Tensor:
        # The dtype's minimum instead of -inf: a chunk that holds only the own class would give NaN gradients.
        return values.masked_fill(self.is_own(classes), torch.finfo(values.dtype).min)


class Sweep(Protocol):
    """One pass over the classes for one batch."""

    def own(self) -> Tensor:
        """[n] cosines to the own class, with gradient (class 0 where the label is -1)."""
        ...

    def hardest(self) -> Tensor:
        """[n] the largest cosine to another class, without gradient."""
        ...

    def rest(self, logits: Logits) -> Tensor:
        """[n] the log of the summed exponentials over the other classes, with gradient."""
        ...


class Strategy(Protocol):
    """A way of summing over the classes."""

    def sweep(self, problem: Problem) -> Sweep: ...


@dataclass(frozen=True)
class Dense:
    """All classes at once: one [n, c] matrix of cosines, kept for the backward pass."""

    def sweep(self, problem: Problem) -> "DenseSweep":
        return DenseSweep(problem)


class DenseSweep:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.cos = problem.cosines(problem.weight)
        self.classes = slice(0, problem.weight.shape[0])

    def own(self) -> Tensor:
        return self.cos.gather(1, self.problem.labels.clamp(min=0)[:, None]).squeeze(1)

    def hardest(self) -> Tensor:
        return self.problem.without_own(self.cos.detach(), self.classes).amax(dim=1)

    def rest(self, logits: Logits) -> Tensor:
        return self.problem.without_own(logits(self.cos, self.classes), self.classes).logsumexp(dim=1)


@dataclass(frozen=True)
class Streamed:
    """Classes in chunks that are computed again in the backward pass: memory n * chunk instead of n * c.

    chunk: how many classes are looked at together.
    """

    chunk: int = 1024

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"Streamed: chunk must be at least 1, got {self.chunk}")

    def sweep(self, problem: Problem) -> "StreamedSweep":
        return StreamedSweep(problem, self.chunk)


class StreamedSweep:
    def __init__(self, problem: Problem, chunk: int) -> None:
        self.problem = problem
        self.chunk = chunk

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        start = 0
        # split, not slicing: its backward pass joins the pieces once instead of padding each to full size
        for weight in self.problem.weight.split(self.chunk):
            yield slice(start, start + len(weight)), weight
            start += len(weight)

    def own(self) -> Tensor:
        rows = self.problem.weight[self.problem.labels.clamp(min=0)]
        rows = rows if self.problem.free else unit(rows)
        products = torch.einsum("nd,nkd->nk", self.problem.unit, rows).max(dim=1).values
        return products if self.problem.free else bounded(products)

    @torch.no_grad()
    def hardest(self) -> Tensor:
        best = torch.full_like(self.problem.unit[:, 0], torch.finfo(self.problem.unit.dtype).min)
        for classes, weight in self.chunks():
            best = torch.maximum(best, self.problem.without_own(self.problem.cosines(weight), classes).amax(dim=1))
        return best

    def rest(self, logits: Logits) -> Tensor:
        def part(weight: Tensor, classes: slice) -> Tensor:
            block = logits(self.problem.cosines(weight), classes)
            return self.problem.without_own(block, classes).logsumexp(dim=1)

        total: Tensor | None = None
        for classes, weight in self.chunks():
            here = checkpoint(part, weight, classes, use_reentrant=False, preserve_rng_state=False)
            total = here if total is None else torch.logaddexp(total, here)
        if total is None:
            raise ValueError("there must be at least one class")
        return total
