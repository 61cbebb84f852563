"""The exact softmax over classes in chunks: no matrix of examples times classes unless it is asked for.

One autograd function computes, for every example, the cosine to the own class and rest_i = logsumexp over the
other classes, and in its backward pass the gradients of embeddings, weights, bias and scale:

    P_ij  = exp(logit_ij - rest_i)                     j != y
    G_ij  = grad_rest_i s_i P_ij dN/dc_ij              plus grad_own_i for the own class
    dx_i  = sum_j G_ij w_j / |w_j|
    dw_j  = (sum_i G_ij x_i - w_j / |w_j| sum_i G_ij c_ij) / |w_j|

What is the same for all classes of an example, grad_rest_i s_i, is applied to matrices [n, d] and not to G.
"recompute" looks at every chunk twice (four matrix products in all); "stash" keeps the cosines of the forward pass, or
their exponentials in bfloat16, in one [n, c] buffer and needs three. Where logits have a known bound no running
maximum is needed. Of a binary loss rest_i = sum_j softplus(logit_ij), and P_ij = sigmoid(logit_ij).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from angulus.heads.strategies.cosine import LINEAR
from angulus.heads.strategies.problem import (
    Demand,
    Logits,
    Nearest,
    Problem,
    Sums,
    add_rows,
    half_product,
    inverse_of,
)

Mode = Literal["auto", "recompute", "stash"]
Keep = Literal["nothing", "cosines", "products", "exponentials"]

# exp(66) x 1e8 classes is below the largest float32; with a shift of up to 9, exp(-66 - 2 x 9) is above the smallest.
LARGEST_EXPONENT = 66.0
LARGEST_SHIFT = 9.0

CHUNK_CPU = 2048
ROOM_CUDA, LARGEST_CHUNK = 2**30, 65_536


@dataclass(frozen=True)
class Streamed:
    """Classes in chunks; the exact loss and gradient of `Dense` without its memory.

    chunk: how many classes are looked at together; None takes 2,048 on a CPU, whose caches they fit, and on CUDA as
        many as about 1 GiB holds, a power of two up to 65,536.
    mode: "recompute" keeps nothing of n x c; "stash" keeps one [n, c] buffer and saves a matrix product;
        "auto" stashes where the buffer is no larger than the weight gradient and fits `budget`.
    budget: bytes that a stash may take.
    stash: "float32" keeps cosines; "bfloat16" keeps exp(logit) in half the memory, which changes gradients by less
        than a thousandth of their norm. Margins that reshape other classes or learn their scale keep float32.
    products: "float32", or "bfloat16" for the three large products: operands and results are rounded to bfloat16, which
        changes gradients by some thousandths of their norm (more for free weights longer than 1, whose logits
        have no bound). The own cosine, its margin and its gradient, and
        everything between the products stay in float32; a stash takes half the memory.

    Second derivatives are not available: use `Dense` for a gradient penalty.
    """

    chunk: int | None = None
    mode: Mode = "auto"
    budget: int = 2**30
    products: Literal["float32", "bfloat16"] = "float32"
    stash: Literal["float32", "bfloat16"] = "float32"

    answers: ClassVar[tuple[Demand, ...]] = ("nearest", "binary")

    def __post_init__(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"Streamed: chunk must be at least 1, got {self.chunk}")
        if self.mode not in ("auto", "recompute", "stash"):
            raise ValueError(f'Streamed: mode must be "auto", "recompute" or "stash", got {self.mode!r}')
        for name, value in (("products", self.products), ("stash", self.stash)):
            if value not in ("float32", "bfloat16"):
                raise ValueError(f'Streamed: {name} must be "float32" or "bfloat16", got {value!r}')
        if self.budget < 0:
            raise ValueError(f"Streamed: budget must be at least 0 bytes, got {self.budget}")

    def chunk_of(self, examples: int, dim: int, subcenters: int, *, on_cuda: bool) -> int:
        """How many classes are looked at together."""
        if self.chunk is not None:
            return self.chunk
        if not on_cuda:
            return CHUNK_CPU
        fitting = ROOM_CUDA // (subcenters * (16 * examples + 4 * dim))  # about four matrices of logits, and the rows
        return min(LARGEST_CHUNK, max(CHUNK_CPU, 1 << max(fitting.bit_length() - 1, 0)))

    def chunk_for(self, problem: Problem) -> int:
        """The same for a batch."""
        (examples, dim), subcenters = problem.unit.shape, problem.weight.shape[1]
        return self.chunk_of(examples, dim, subcenters, on_cuda=problem.unit.is_cuda)

    def sweep(self, problem: Problem) -> "StreamedSweep":
        return StreamedSweep(replace(problem, half=self.products == "bfloat16"), self)

    def keeps(self, problem: Problem, logits: Logits) -> "Keep":
        """What is kept of the forward pass."""
        (examples, dim), (classes, subcenters, _) = problem.unit.shape, problem.weight.shape
        plain = logits.emphasis is None and not logits.scale.requires_grad and not logits.binary
        element, on_cuda = problem.unit.element_size(), problem.unit.is_cuda
        return self.keeps_of(classes, subcenters, examples, dim, plain=plain, element=element, on_cuda=on_cuda)

    def keeps_of(
        self, classes: int, subcenters: int, examples: int, dim: int, *, plain: bool, element: int, on_cuda: bool
    ) -> "Keep":
        """The same from sizes alone. plain: no emphasis, no trained scale.  element: bytes of an embedding's number."""
        small = self.stash == "bfloat16" and plain
        keep: Keep = "exponentials" if small else "products" if self.products == "bfloat16" else "cosines"
        if self.mode != "auto":
            return keep if self.mode == "stash" else "nothing"
        size = examples * classes * kept_bytes(keep, subcenters, element, on_cuda=on_cuda)
        return keep if examples <= dim and size <= self.budget else "nothing"


def kept_bytes(keep: Keep, subcenters: int, element: int, *, on_cuda: bool) -> int:
    """Bytes that are kept for each example and class. element: bytes of an embedding's number."""
    if keep == "nothing":
        return 0
    if keep == "products" and not on_cuda:
        return subcenters * 2
    return (2 if keep == "exponentials" else element) + (subcenters > 1)


class StreamedSweep:
    """One pass over the classes for one batch."""

    def __init__(self, problem: Problem, strategy: Streamed) -> None:
        self.problem = problem
        self.strategy = strategy

    @torch.no_grad()
    def own(self) -> Tensor:
        return own_cosines(self.problem)[0]

    @torch.no_grad()
    def hardest(self) -> Tensor:
        best = torch.full_like(self.problem.unit[:, 0], torch.finfo(self.problem.unit.dtype).min)
        for classes in chunks(self.problem, self.strategy.chunk_for(self.problem)):
            products = self.problem.products(classes)
            cos, _ = self.problem.cosines(products, self.problem.inverse_lengths(classes))
            best = torch.maximum(best, self.problem.drop_own_(cos, classes).amax(dim=1))
        return best

    @torch.no_grad()
    def nearest(self, count: int, at_most: float | None) -> Nearest:
        found = Nearest.none(self.problem.unit, count)
        for classes in chunks(self.problem, self.strategy.chunk_for(self.problem)):
            products = self.problem.products(classes)
            cos, _ = self.problem.cosines(products, self.problem.inverse_lengths(classes))
            found = found.among(self.problem.drop_own_(cos, classes), classes.start, at_most)
        return found

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        problem = self.problem
        logits = logits.with_bias_of(problem.weight.shape[0])
        chunk, keep = self.strategy.chunk_for(problem), self.strategy.keeps(problem, logits)
        job = Job(problem, logits, chunk, keep, total)
        own, rest, plain = StreamedSums.apply(problem.unit, problem.weight, logits.bias, logits.scale, job)
        return Sums(own, rest, plain if total else None, problem.weight.shape[0])


@dataclass(frozen=True)
class Job:
    """What the function below needs besides the tensors that it differentiates."""

    problem: Problem
    logits: Logits
    chunk: int
    keep: Keep
    total: bool


@dataclass(frozen=True)
class Kept:
    """What is kept of one chunk.

    values: [n, c'] cosines; or products with the rows [n, c' * k], rounded to bfloat16; or exp(logit - peak), 0 for the
        own class.
    center: [n, c'] uint8, the nearest sub-center; None for one, and beside products.  peak: [n], beside exponentials.
    are_products: whether `values` are products.
    """

    values: Tensor
    center: Tensor | None
    peak: Tensor | None = None
    are_products: bool = False


class Scratch:
    """Memory for one matrix, used by every chunk in turn: fresh memory would cost more than the arithmetic in it."""

    def __init__(self, problem: Problem, columns: int) -> None:
        self.examples = len(problem.unit)
        self.memory = problem.unit.new_empty(self.examples * columns)

    def matrix(self, columns: int) -> Tensor:
        """[n, columns], contiguous; overwrites what was asked for before."""
        return self.memory[: self.examples * columns].view(self.examples, columns)


def scratches(problem: Problem, chunk: int) -> tuple[Scratch, Scratch]:
    """For the products of a chunk, and for its logits."""
    classes, subcenters, _ = problem.weight.shape
    columns = min(chunk, classes)
    return Scratch(problem, columns * subcenters), Scratch(problem, columns)


def chunks(problem: Problem, size: int) -> Iterator[slice]:
    """Ranges of classes."""
    count = problem.weight.shape[0]
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def own_cosines(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Own cosines [n], the weight rows they belong to [n] (of [c * k, d]), and one over their lengths [n]."""
    subcenters = problem.weight.shape[1]
    labels = problem.labels.clamp(min=0)
    rows = problem.weight[labels]
    products = torch.einsum("nd,nkd->nk", problem.unit, rows)
    inverse = torch.ones_like(products) if problem.free else inverse_of(rows)
    best, center = (products * inverse).max(dim=1)
    best = best if problem.free else best.clamp(-1.0, 1.0)
    return best, labels * subcenters + center, inverse.gather(1, center[:, None]).squeeze(1)


class StreamedSums(torch.autograd.Function):
    """(unit, weight, bias, scale) -> (own cosines, log-sums over the other classes, sums of their logits), each [n].

    The last is zero unless the job asks for it.
    """

    @staticmethod
    def forward(
        ctx: Any, unit: Tensor, weight: Tensor, bias: Tensor | None, scale: Tensor, job: Job
    ) -> tuple[Tensor, Tensor, Tensor]:
        problem, logits = job.problem.detached(), job.logits.detached()
        own, _, _ = own_cosines(problem)
        shift = constant_shift(logits.limit)
        peak = unit.new_full((len(unit),), torch.finfo(unit.dtype).min if shift is None else shift)
        summed, plain = torch.zeros_like(peak), torch.zeros_like(peak)
        kept: list[Kept] = []
        inverses: list[Tensor | None] = []
        subcenters = problem.weight.shape[1]
        first, second = scratches(problem, job.chunk)
        reused = job.keep in ("nothing", "exponentials")
        for classes in chunks(problem, job.chunk):
            count = classes.stop - classes.start
            inverses.append(problem.inverse_lengths(classes))
            products = problem.products(classes, first.matrix(count * subcenters) if reused else None)
            cos, center = problem.cosines(products, inverses[-1])
            values = logits(cos, classes, second.matrix(count))
            if job.total:
                plain.add_(problem.put_own_(values, classes, 0.0).sum(dim=1))
            problem.drop_own_(values, classes)
            if logits.binary:
                summed.add_(softplus(values, threshold=LINEAR).sum(dim=1))
            elif shift is None:
                higher = torch.maximum(peak, values.amax(dim=1))
                summed.mul_((peak - higher).exp_())
                peak = higher
            if not logits.binary:
                summed.add_(values.sub_(peak[:, None]).exp_().sum(dim=1))
            if job.keep != "nothing":
                small = None if center is None else center.to(torch.uint8)
                if job.keep == "exponentials":
                    kept.append(Kept(values.bfloat16(), small, peak))
                elif job.keep == "products" and products.dtype != cos.dtype:
                    kept.append(Kept(products, None, are_products=True))
                else:  # products that come in float32 have become the cosines, in place
                    kept.append(Kept(cos, small))
        rest = summed if logits.binary else peak + summed.clamp(min=torch.finfo(summed.dtype).tiny).log_()
        ctx.job, ctx.kept, ctx.inverses = job, kept, inverses
        ctx.save_for_backward(unit, weight, bias, scale, rest)
        return own, rest, plain

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        grad_own, grad_rest, grad_total = gradients
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError("Streamed has no second derivative; use the strategy Dense where one is needed")
        job: Job = ctx.job
        unit, _, bias, scale, rest = ctx.saved_tensors
        problem, logits = job.problem.detached(), job.logits.detached()
        grad_unit = torch.zeros_like(unit)
        grad_weight = WeightGradient(problem, job.chunk, grad_own)
        grad_bias = None if bias is None else torch.empty_like(bias)
        grad_scale = torch.zeros_like(rest) if ctx.needs_input_grad[3] else None
        # what stands before the shares of an example; with the total they are no multiple of grad_rest any more
        before = torch.ones_like(rest) if job.total else grad_rest
        factor = before * scale
        pull = unit * factor[:, None]
        first, second = scratches(problem, job.chunk)
        kept = iter(ctx.kept)
        for classes, inverse in zip(chunks(problem, job.chunk), ctx.inverses, strict=True):
            count = classes.stop - classes.start
            if job.keep == "nothing":
                place = first.matrix(count * problem.weight.shape[1])
                stashed = Kept(problem.products(classes, place), None, are_products=True)
            else:
                stashed = next(kept)
            slopes: Tensor | None = None
            cos: Tensor | None = None
            if job.keep == "exponentials":
                assert stashed.peak is not None
                center = None if stashed.center is None else stashed.center.long()
                shares = torch.mul(stashed.values, (stashed.peak - rest).exp_()[:, None], out=second.matrix(count))
            else:
                if stashed.are_products:
                    cos, center = problem.cosines(stashed.values, inverse)
                else:
                    cos, center = stashed.values, None if stashed.center is None else stashed.center.long()
                values, slopes = logits.with_slopes(cos, classes, second.matrix(count))
                others = problem.drop_own_(values, classes)
                shares = others.sigmoid_() if logits.binary else others.sub_(rest[:, None]).exp_()
            if job.total:
                problem.put_own_(shares.mul_(grad_rest[:, None]).add_(grad_total[:, None]), classes, 0.0)
            if grad_bias is not None:
                grad_bias[classes] = before @ shares
            if grad_scale is not None:
                assert cos is not None
                grad_scale += (shares * logits.others(cos, classes)).sum(dim=1)
            inner = shares if slopes is None else shares.mul_(slopes)
            along = None if cos is None else torch.mul(inner, cos, out=first.matrix(count))
            gradients_of_chunk(
                problem, classes, Pull(inner, along, center, factor, pull), inverse, grad_unit, grad_weight
            )
        grad_unit.mul_(factor[:, None])
        grad_unit.addcmul_(grad_weight.own_rows, grad_own[:, None])
        if grad_scale is not None:
            grad_scale = grad_scale.mul_(before) if scale.ndim else grad_scale @ before
        return grad_unit, grad_weight.whole, grad_bias, grad_scale, None


class WeightGradient:
    """Where a chunk's weight gradient goes: into one tensor of the whole, or to the rule that moves the rows at once.

    The part of the own classes, example by example, is added to each chunk that holds them.
    """

    def __init__(self, problem: Problem, chunk: int, grad_own: Tensor) -> None:
        self.problem = problem
        self.subcenters = problem.weight.shape[1]
        own, self.places, inverse = own_cosines(problem)
        rows = problem.weight.flatten(0, 1)[self.places]
        self.own_rows = rows * inverse[:, None]
        pull = problem.unit if problem.free else problem.unit - own[:, None] * self.own_rows
        self.own_part = pull * (grad_own * inverse)[:, None]
        dim = problem.weight.shape[2]
        if problem.move is None:
            # row by row, however the weight lies
            self.whole: Tensor | None = problem.weight.new_empty(problem.weight.shape)
        else:
            self.whole = None
            self.buffer = problem.weight.new_empty(min(chunk, len(problem.weight)) * self.subcenters + 1, dim)

    def rows(self, classes: slice) -> Tensor:
        """Where the gradient of a range of classes is to be written, [c' * k, d]."""
        if self.whole is not None:
            return self.whole[classes].flatten(0, 1)
        return self.buffer[: (classes.stop - classes.start) * self.subcenters]

    def finish(self, classes: slice) -> None:
        """Add the own part, and hand the rows to the rule where there is one."""
        start, stop = classes.start * self.subcenters, classes.stop * self.subcenters
        if self.whole is not None:
            if classes.stop == len(self.problem.weight):
                add_rows(self.whole.flatten(0, 1), self.places, self.own_part)
            return
        # examples of other chunks add to the row behind the last, which nobody reads
        count = stop - start
        inside = (self.places >= start) & (self.places < stop)
        self.buffer[count] = 0.0
        add_rows(self.buffer, torch.where(inside, self.places - start, count), self.own_part)
        assert self.problem.move is not None
        self.problem.move(slice(start, stop), self.buffer[:count])


@dataclass(frozen=True)
class Pull:
    """How a chunk's cosines pull at both sides.

    inner: [n, c'] gradients of the cosines but for `factor`; overwritten.  along: [n, c'] the same times the cosines,
        None where they are not known any more.  center: [n, c'] which sub-center was nearest, None for one.
    factor: [n].  unit: [n, d] embeddings times `factor`.
    """

    inner: Tensor
    along: Tensor | None
    center: Tensor | None
    factor: Tensor
    unit: Tensor

    def spread(self, values: Tensor, subcenters: int) -> Tensor:
        """[n, c'] to [n, c' * k]: each at its sub-center, 0 at the others."""
        if self.center is None:
            return values
        room = values.new_zeros(*values.shape, subcenters)
        return room.scatter_(2, self.center[..., None], values[..., None]).flatten(1)


def gradients_of_chunk(
    problem: Problem,
    classes: slice,
    pull: Pull,
    inverse: Tensor | None,
    grad_unit: Tensor,
    grad_weight: WeightGradient,
) -> None:
    """Add a chunk's part to grad_unit [n, d], but for the factor, and give the gradient of its rows."""
    subcenters = problem.weight.shape[1]
    rows = problem.weight[classes].flatten(0, 1)
    target = grad_weight.rows(classes)
    inner = pull.spread(pull.inner, subcenters)
    if problem.half:
        target.copy_(half_product(inner.T, pull.unit))
    else:
        torch.mm(inner.T, pull.unit, out=target)
    if inverse is not None:
        # what the rows' own direction takes of the gradient: sum_i G_ij c_ij, or the same by way of the row
        if pull.along is None:
            along = (target * rows).sum(dim=1).mul_(inverse)
        else:
            along = pull.factor @ pull.spread(pull.along, subcenters)
        # in this order no product leaves float32, however short a row is
        target.addcmul_(rows, (along * inverse)[:, None], value=-1.0).mul_(inverse[:, None])
        inner.mul_(inverse)
    if problem.half:
        grad_unit.add_(half_product(inner, rows))
    else:
        grad_unit.addmm_(inner, rows)
    grad_weight.finish(classes)


def constant_shift(limit: float | None) -> float | None:
    """What to take off every logit so that no exponential leaves float32; None where that needs a running maximum."""
    if limit is None or limit > LARGEST_EXPONENT + LARGEST_SHIFT:
        return None
    return max(0.0, limit - LARGEST_EXPONENT)


def column(scale: Tensor) -> Tensor:
    """A scale [n] as [n, 1]; a single number as it is."""
    return scale[:, None] if scale.ndim else scale


def bound_of(scale: float | Tensor, largest: float | None) -> float | None:
    """The largest absolute logit where scale and the largest emphasised cosine are known without reading a device."""
    if largest is None or isinstance(scale, Tensor) or not math.isfinite(largest):
        return None
    return float(scale) * largest
