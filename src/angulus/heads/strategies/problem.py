"""One batch against all classes: what every strategy is given, and the questions that it answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from angulus.heads.strategies.updates import Mover
from angulus.margins.base import Formula, Margin

Demand = Literal["nearest", "binary"]
"""What not every strategy answers: which classes are nearest, and the sum of a binary loss."""


def demands_of(margin: Margin) -> tuple[Demand, ...]:
    """What a margin asks of a strategy besides own cosines and the log-sum."""
    nearest: tuple[Demand, ...] = ("nearest",) if margin.ranked else ()
    return (*nearest, "binary") if margin.reduction == "binary" else nearest


def inverse_of(rows: Tensor) -> Tensor:
    """One over the length of each row; 1 for a zero row, whose cosine is 0 to everything."""
    lengths = torch.linalg.vector_norm(rows, dim=-1)
    return torch.where(lengths > 0, lengths, torch.ones_like(lengths)).reciprocal_()


def half_product(left: Tensor, right: Tensor) -> Tensor:
    """The product of two matrices rounded to bfloat16: in float32 on CUDA, rounded to bfloat16 elsewhere."""
    if left.is_cuda:
        return torch.mm(left.bfloat16(), right.bfloat16(), out_dtype=torch.float32)
    return left.bfloat16() @ right.bfloat16()


@dataclass(frozen=True)
class Problem:
    """One batch against all classes.

    unit: [n, d] unit embeddings.  weight: [c, k, d] as stored.  labels: [n] in [0, c), or -1 for no class.
    free: True leaves the weights unnormalised (plain and L2-constrained softmax).
    step: the optimizer step, for strategies that draw.
    move: called in the backward pass with weight rows (of [c * k, d]: a range, or their numbers) and their gradient; it
        moves them at once, and the whole gradient is never formed. None gives the gradient as usual.
    mover: what `move` belongs to, where `weight` is all that it moves: a strategy may apply its rule itself.
    refresh: called with the numbers of rows before they are read, where rows may have missed updates.
    half: matrix products of bfloat16 operands; see `half_product`.
    demands: what will be asked besides own cosines and the log-sum, for strategies that choose among others.
    """

    unit: Tensor
    weight: Tensor
    labels: Tensor
    free: bool
    step: int = 0
    move: Callable[[slice | Tensor, Tensor], None] | None = None
    mover: Mover | None = None
    refresh: Callable[[Tensor], None] | None = None
    half: bool = False
    demands: tuple[Demand, ...] = ()

    def detached(self) -> "Problem":
        return replace(self, unit=self.unit.detach(), weight=self.weight.detach())

    def inverse_lengths(self, classes: slice) -> Tensor | None:
        """One over the length of each weight row [c' * k], 1 for a zero row; None for free weights."""
        if self.free:
            return None
        return inverse_of(self.weight[classes].flatten(0, 1))

    def products(self, classes: slice, out: Tensor | None = None) -> Tensor:
        """[n, c' * k] products with the weight rows of a range of classes, without gradient; see `half_product`.
        out: where they may be written."""
        rows = self.weight[classes].flatten(0, 1)
        return half_product(self.unit, rows.T) if self.half else torch.mm(self.unit, rows.T, out=out)

    def cosines(self, products: Tensor, inverse: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """[n, c'] cosines (for free weights the products), and the nearest sub-center of each [n, c'] (None where
        there is one). products: what `products` gave, overwritten.  inverse: what `inverse_lengths` gave."""
        products = products.to(self.unit.dtype)
        if inverse is not None:
            products.mul_(inverse).clamp_(-1.0, 1.0)
        if self.weight.shape[1] == 1:
            return products, None
        best, center = products.unflatten(1, (-1, self.weight.shape[1])).max(dim=2)
        return best, center

    def is_own(self, classes: slice) -> Tensor:
        """[n, c'] True where the class is the example's own."""
        return self.labels[:, None] == torch.arange(classes.start, classes.stop, device=self.labels.device)

    def without_own(self, values: Tensor, classes: slice) -> Tensor:
        # The dtype's minimum instead of -inf: a chunk that holds only the own class would give NaN gradients.
        return values.masked_fill(self.is_own(classes), torch.finfo(values.dtype).min)

    def drop_own_(self, values: Tensor, classes: slice) -> Tensor:
        """`without_own` in place, touching one entry a row; no gradient. values: [n, c'], not shared."""
        return self.put_own_(values, classes, torch.finfo(values.dtype).min)

    def put_own_(self, values: Tensor, classes: slice, value: float) -> Tensor:
        """`value` at the example's own class, in place; no gradient. values: [n, c'], not shared."""
        inside = (self.labels >= classes.start) & (self.labels < classes.stop)
        columns = (self.labels - classes.start).clamp(0, classes.stop - classes.start - 1)[:, None]
        kept = torch.where(inside[:, None], value, values.gather(1, columns))
        return values.scatter_(1, columns, kept)


def add_rows(target: Tensor, places: Tensor, values: Tensor) -> None:
    """target[places] += values, several for one row in one order. target: [r, d].  places: [n].  values: [n, d]."""
    if target.is_cuda:  # sorts them; index_add_ adds in any order there
        target.index_put_((places,), values, accumulate=True)
    else:
        target.index_add_(0, places, values)


@dataclass(frozen=True)
class Nearest:
    """The nearest other classes of each example, in any order.

    cos: [n, k], the dtype's minimum where there are fewer, and for classes of other processes.  classes: [n, k] as the
    sweep that found them numbers its classes, -1 for these.
    """

    cos: Tensor
    classes: Tensor

    @classmethod
    def none(cls, like: Tensor, count: int) -> "Nearest":
        """Nobody, for as many examples as `like` has."""
        cos = like.new_full((len(like), count), torch.finfo(like.dtype).min)
        return cls(cos, torch.full_like(cos, -1, dtype=torch.int64))

    def among(self, cos: Tensor, first: int, at_most: float | None) -> "Nearest":
        """The nearest of these and of more classes, numbered from `first`. cos: [n, c'] without the own class, in
        which what exceeds `at_most` does not count."""
        least, count = torch.finfo(cos.dtype).min, self.cos.shape[1]
        if at_most is not None:
            cos = cos.masked_fill(cos > at_most, least)
        values, places = cos.topk(min(count, cos.shape[1]), dim=1)
        classes = torch.where(values > least, places + first, -1)
        best, kept = torch.cat([self.cos, values], dim=1).topk(count, dim=1)
        return Nearest(best, torch.cat([self.classes, classes], dim=1).gather(1, kept))


@dataclass(frozen=True)
class Emphasised:
    """What becomes of the nearest classes. classes: [n, k], -1 for none.  emphasis: cosines [n, k] to [n, k]."""

    classes: Tensor
    emphasis: Callable[[Tensor], Tensor]

    def put(self, others: Tensor, cos: Tensor, classes: slice) -> Tensor:
        """others [n, c'] with the emphasis where a class of the range is among the nearest. cos: [n, c']."""
        inside = (self.classes >= classes.start) & (self.classes < classes.stop)
        columns = (self.classes - classes.start).clamp(0, classes.stop - classes.start - 1)
        change = self.emphasis(cos.gather(1, columns)) - others.gather(1, columns)
        # added, so that the places which stand in for classes outside change nothing
        return others.scatter_add(1, columns, torch.where(inside, change, 0.0))


@dataclass(frozen=True)
class Elementwise:
    """An emphasis in numbers, for kernels; it says the same as `Logits.emphasis`.

    formula: see `Formula`; None leaves the cosines as they are.  reference: [n], what is hard is above it.
    straight: the slope is 1 whatever the formula.  above: cosines above it count as 0 and get no gradient.
    """

    formula: Formula | None
    reference: Tensor
    straight: bool
    above: float | None


@dataclass(frozen=True)
class Logits:
    """How cosines become logits, scale x emphasis(cosine) + bias, and what is summed of them.

    scale: a number [] or [n].  bias: [c] or None.
    emphasis: maps cosines [n, c'] to [n, c'], elementwise, with the gradient that the margin asks for; None leaves
        them as they are.
    limit: the largest absolute logit where it is known without reading a device, else None.
    elementwise: the emphasis in numbers, where there is one and it is known.
    nearest: instead of `emphasis` for the nearest classes, where they are ranked.
    binary: sum softplus(logit) instead of exp(logit).
    offset: [], added to every logit; a strategy that answers "binary" has to mind it.
    """

    scale: Tensor
    bias: Tensor | None
    emphasis: Callable[[Tensor], Tensor] | None
    limit: float | None
    elementwise: Elementwise | None = None
    nearest: Emphasised | None = None
    binary: bool = False
    offset: Tensor | None = None

    def detached(self) -> "Logits":
        return replace(self, scale=self.scale.detach(), bias=None if self.bias is None else self.bias.detach())

    def with_bias_of(self, count: int) -> "Logits":
        """The same with the offset in the bias of a number of classes."""
        if self.offset is None:
            return self
        each = self.offset.expand(count)
        return replace(self, bias=each if self.bias is None else self.bias + each, offset=None)

    def others(self, cos: Tensor, classes: slice) -> Tensor:
        """[n, c'] cosines of a range of classes after emphasis."""
        others = cos if self.emphasis is None else self.emphasis(cos)
        return others if self.nearest is None else self.nearest.put(others, cos, classes)

    def __call__(self, cos: Tensor, classes: slice, out: Tensor | None = None) -> Tensor:
        """[n, c'] logits of a range of classes; a new tensor, or `out`, without gradient."""
        return self.finished(self.others(cos, classes), classes, out)

    def finished(self, others: Tensor, classes: slice, out: Tensor | None = None) -> Tensor:
        scaled = torch.mul(others, self.scale[:, None] if self.scale.ndim else self.scale, out=out)
        return scaled if self.bias is None else torch.add(scaled, self.bias[classes], out=out)

    def with_slopes(self, cos: Tensor, classes: slice, out: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits (in `out`) and the slope of the emphasis [n, c'], None where it is 1 everywhere."""
        if self.emphasis is None and self.nearest is None:
            return self(cos, classes, out), None
        with torch.enable_grad():
            variable = cos.detach().requires_grad_()
            others = self.others(variable, classes)
            (slopes,) = torch.autograd.grad(others.sum(), variable)
        return self.finished(others.detach(), classes, out), slopes


@dataclass(frozen=True)
class Sums:
    """What a sweep finds, with gradient.

    own: [n] cosines to the own class.  rest: [n] log-sums of exp(logit) over the other classes; of a binary loss the
        sums of softplus(logit).
    total: [n] sums of the logits of the other classes, where they were asked for.
    count: over how many classes was summed, the own one included; a tensor [] where processes added theirs, so that
        no step waits for the device.
    """

    own: Tensor
    rest: Tensor
    total: Tensor | None
    count: int | Tensor


class Sweep(Protocol):
    """One pass over the classes for one batch."""

    def own(self) -> Tensor:
        """[n] cosines to the own class, without gradient (class 0 where the label is -1)."""
        ...

    def hardest(self) -> Tensor:
        """[n] the largest cosine to another class, without gradient."""
        ...

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        """The sums over the classes. total: also the plain sum of the logits, which label smoothing needs."""
        ...


@runtime_checkable
class Ranking(Protocol):
    """A sweep of a strategy that answers "nearest"."""

    def nearest(self, count: int, at_most: float | None) -> Nearest:
        """The `count` nearest other classes of each example, without gradient; what exceeds `at_most` is left out."""
        ...


class Strategy(Protocol):
    """A way of summing over the classes. What it answers besides own cosines and the log-sum stands in an attribute
    `answers` of it; without one that is nothing."""

    def sweep(self, problem: Problem) -> Sweep: ...
