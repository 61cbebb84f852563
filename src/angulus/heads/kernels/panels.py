"""The exact softmax over classes in panels: library products, and one step over the logits between two of them.

A panel is a range of classes whose rows are copied at unit length in the operand type. The forward pass multiplies it
with the embeddings and adds up exponentials; the backward pass multiplies again and goes on from there:

    S_ij = exp(logit_ij - rest_i) dN/dc_ij             0 for the own class
    dx_i = grad_rest_i s_i sum_j S_ij w_j / |w_j|
    dv_j = sum_i S_ij (grad_rest_i s_i x_i)            the gradient of the unit row; projected, and written or used

What differs from example to example rides on the embeddings, so that S needs no scaling. Four products a panel; with
the exponentials kept ("stash") three. The own class's part is added in float32. Every sum has one order.
"""

import functools
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from angulus.heads.kernels.panel_launches import TritonSteps, launch_obstacle
from angulus.heads.kernels.panel_sizes import Cosines, PanelProducts, chunk_for
from angulus.heads.kernels.panel_steps import Given, Running, Steps, TorchSteps
from angulus.heads.strategies.problem import Logits, Problem, Sums, add_rows
from angulus.heads.strategies.streamed import chunks, constant_shift, own_cosines

log = logging.getLogger(__name__)

CHOICES = {
    "products": ("float32", "tf32", "bfloat16"),
    "cosines": ("float32", "bfloat16"),
    "mode": ("auto", "recompute", "stash"),
    "elementwise": ("auto", "torch", "triton"),
}


@dataclass(frozen=True)
class Panels:
    """Classes in panels that library products multiply; the exact loss and gradient of `Dense` without its memory.

    products: the operands of the large matrix products: "float32"; "tf32", float32 of which CUDA's products keep ten
        bits; or "bfloat16", which changes gradients by some thousandths of their norm. Sums, the own cosine, its margin
        and its gradient are float32 in every case; float64 stays float64.
    cosines: what products of bfloat16 leave for the step over the logits: "float32", or "bfloat16", which moves less
        memory and rounds cosines above 0.5 by up to 0.002, their logits at scale 64 by 0.12.
    mode: "recompute" multiplies a panel again in the backward pass; "stash" keeps exp(logit) of all classes in the
        operand type and saves a product; "auto" stashes within `budget`. Margins that reshape other classes, scales
        without a known bound, a trained scale, a bias and label smoothing are always recomputed.
    budget: bytes that "auto" may keep.
    chunk: classes of a panel; None takes a power of two that fits 512 MiB (8 MiB on a CPU); see `panel_sizes`.
    elementwise: what does the steps between the products: "triton" kernels, plain "torch", or "auto": kernels on CUDA
        where triton is installed. An emphasis that no kernel knows is summed by plain torch in the same panels.

    Second derivatives are not available: use `Dense` for a gradient penalty.
    """

    products: PanelProducts = "bfloat16"
    cosines: Cosines = "float32"
    mode: Literal["auto", "recompute", "stash"] = "auto"
    budget: int = 2**30
    chunk: int | None = None
    elementwise: Literal["auto", "torch", "triton"] = "auto"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                known = ", ".join(f'"{choice}"' for choice in choices)
                raise ValueError(f"Panels: {name} must be one of {known}, got {getattr(self, name)!r}")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"Panels: chunk must be at least 1, got {self.chunk}")
        if self.budget < 0:
            raise ValueError(f"Panels: budget must be at least 0 bytes, got {self.budget}")

    def sweep(self, problem: Problem) -> "PanelSweep":
        return PanelSweep(problem, self)

    def chunk_of(self, examples: int, dim: int, subcenters: int, *, on_cuda: bool) -> int:
        """Classes of a panel."""
        if self.chunk is not None:
            return self.chunk
        return chunk_for(examples, dim, subcenters, self.products, self.cosines, on_cuda=on_cuda)

    def stashes(self, rows: int, examples: int, *, plain: bool) -> bool:
        """Whether exponentials are kept. rows: class weights.  plain: nothing of what is always recomputed."""
        size = rows * examples * (2 if self.products == "bfloat16" else 4)
        return plain and self.mode != "recompute" and (self.mode == "stash" or size <= self.budget)


class PanelSweep:
    """One pass over the classes for one batch."""

    def __init__(self, problem: Problem, strategy: Panels) -> None:
        self.problem = problem
        self.strategy = strategy

    @torch.no_grad()
    def own(self) -> Tensor:
        with products_of("float32"):
            return own_cosines(self.problem)[0]

    @torch.no_grad()
    def hardest(self) -> Tensor:
        problem = self.problem.detached()
        logits = Logits(problem.unit.new_ones(()), None, None, None)
        steps = TorchSteps(problem, logits, None)
        (examples, dim), centers = problem.unit.shape, problem.weight.shape[1]
        chunk = self.strategy.chunk_of(examples, dim, centers, on_cuda=problem.unit.is_cuda)
        work = Work(Job(problem, logits, self.strategy, False, False), steps, chunk)
        best = torch.full_like(problem.unit[:, 0], torch.finfo(problem.unit.dtype).min)
        with products_of(self.strategy.products):
            for classes in work.chunks():
                cos, _ = steps.nearest(work.cosines(classes)[0])
                best = torch.maximum(best, problem.drop_own_(cos, classes).amax(dim=1))
        return best

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        problem = self.problem
        job = Job(problem, logits, self.strategy, total, torch.is_grad_enabled())
        own, rest, plain = PanelSums.apply(problem.unit, problem.weight, logits.bias, logits.scale, job)
        return Sums(own, rest, plain if total else None, problem.weight.shape[0])


@dataclass(frozen=True)
class Job:
    """What the function below needs besides the tensors that it differentiates. gradient: whether any may follow."""

    problem: Problem
    logits: Logits
    strategy: Panels
    total: bool
    gradient: bool

    def work(self) -> "Work":
        problem, logits = self.problem.detached(), self.logits.detached()
        shift = constant_shift(logits.limit)
        (examples, dim), (_, centers, _) = problem.unit.shape, problem.weight.shape
        chunk = self.strategy.chunk_of(examples, dim, centers, on_cuda=problem.unit.is_cuda)
        wanted, reason = self.strategy.elementwise, launch_obstacle(problem, logits)
        if wanted == "triton" or (wanted == "auto" and problem.unit.is_cuda):
            if reason is None:
                return Work(self, TritonSteps(problem, logits, shift, chunk), chunk)
            mention(reason)
        return Work(self, TorchSteps(problem, logits, shift), chunk)

    @property
    def stashes(self) -> bool:
        logits, (classes, subcenters, _) = self.logits, self.problem.weight.shape
        bounded = constant_shift(logits.limit) is not None and logits.emphasis is None and logits.bias is None
        plain = self.gradient and bounded and not self.total and not logits.scale.requires_grad
        element = self.problem.unit.element_size() // 4
        return self.strategy.stashes(classes * subcenters * element, len(self.problem.unit), plain=plain)


@functools.cache
def mention(reason: str) -> None:
    """Say once why plain torch does the steps between the products."""
    log.info("Panels: the steps between products are plain torch, because %s", reason)


@contextmanager
def products_of(kind: PanelProducts) -> Generator[None, None, None]:
    """Float32 products of full precision in the block, or with ten bits."""
    before, wanted = torch.get_float32_matmul_precision(), "high" if kind == "tf32" else "highest"
    torch.set_float32_matmul_precision(wanted)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class Work:
    """The panels of a batch in one set of buffers, with what is done to them."""

    def __init__(self, job: Job, steps: Steps, chunk: int) -> None:
        self.job, self.problem, self.steps = job, job.problem.detached(), steps
        classes, centers, _ = self.problem.weight.shape
        unit, strategy = self.problem.unit, job.strategy
        self.chunk = chunk
        small = strategy.products == "bfloat16" and unit.dtype == torch.float32
        self.operand = torch.bfloat16 if small else unit.dtype
        self.unit = unit.to(self.operand)
        self.centers, self.most = centers, min(chunk, classes) * centers
        self.rounded = torch.bfloat16 if small and strategy.cosines == "bfloat16" else unit.dtype

    @functools.cached_property
    def panel(self) -> Tensor:
        return self.problem.unit.new_empty(self.most, self.unit.shape[1], dtype=self.operand)

    @functools.cached_property
    def products(self) -> Tensor:
        return self.problem.unit.new_empty(len(self.unit) * self.most, dtype=self.rounded)

    @functools.cached_property
    def shared(self) -> Tensor:
        """For what becomes of the products: the same memory where the type is the same."""
        if self.rounded == self.operand:
            return self.products
        return torch.empty_like(self.products, dtype=self.operand)

    @functools.cached_property
    def pulled(self) -> Tensor:
        return torch.empty_like(self.problem.unit)

    def chunks(self) -> list[slice]:
        return list(chunks(self.problem, self.chunk))

    def rows(self, classes: slice) -> int:
        return (classes.stop - classes.start) * self.centers

    def cosines(self, classes: slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Products [n, c' * k] with a panel, the panel, and one over the lengths of its rows."""
        panel = self.panel[: self.rows(classes)]
        inverse = self.steps.prepare(classes, panel)
        out = self.products[: len(self.unit) * len(panel)].view(len(self.unit), len(panel))
        return product(self.unit, panel.T, out), panel, inverse

    def shares(self, cos: Tensor) -> Tensor:
        """Where the shares go that are made of the cosines."""
        return self.shared[: cos.numel()].view(cos.shape)

    def pull(self, shares: Tensor, panel: Tensor, total: Tensor) -> None:
        """Add shares times the panel to total [n, d]."""
        total.add_(product(shares, panel, self.pulled))


def product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """The product of two matrices of the same type, summed in float32 at least, written into out."""
    if left.dtype != torch.bfloat16:
        return torch.mm(left, right, out=out)
    if not left.is_cuda:  # the same without bfloat16 products
        return out.copy_(torch.mm(left.float(), right.float()))
    if out.dtype == left.dtype:
        return torch.mm(left, right, out=out)
    return torch.mm(left, right, out_dtype=torch.float32, out=out)


class PanelSums(torch.autograd.Function):
    """(unit, weight, bias, scale) -> (own cosines, log-sums over the other classes, sums of their logits), each [n].

    The last is zero unless the job asks for it.
    """

    @staticmethod
    def forward(
        ctx: Any, unit: Tensor, weight: Tensor, bias: Tensor | None, scale: Tensor, job: Job
    ) -> tuple[Tensor, Tensor, Tensor]:
        work = job.work()
        shift = constant_shift(job.logits.limit)
        stash: list[tuple[Tensor, Tensor | None]] | None = [] if job.stashes else None
        pull = torch.zeros_like(work.problem.unit) if stash is not None else None
        running = Running.of(work.steps.slots, unit.detach()[:, 0], shift, job.total)
        with products_of("float32"):
            own = own_cosines(work.problem)[0]
        with products_of(job.strategy.products), torch.cuda.device_of(unit):
            for classes in work.chunks():
                cos, panel, inverse = work.cosines(classes)
                kept = None if stash is None else torch.empty_like(cos, dtype=work.operand)
                work.steps.add(cos, classes, running, kept)
                if stash is not None and kept is not None and pull is not None:
                    stash.append((kept, inverse))
                    work.pull(kept, panel, pull)
        rest, plain = running.combined()
        ctx.job, ctx.stash, ctx.shift = job, stash, shift
        ctx.save_for_backward(unit, weight, bias, scale, rest, pull)
        return own, rest, plain

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError("Panels has no second derivative; use the strategy Dense where one is needed")
        grad_own, grad_rest, grad_total = gradients
        job: Job = ctx.job
        unit, _, bias, scale, rest, pull = ctx.saved_tensors
        moved = job.problem.move is not None
        given = Given(
            rest=rest,
            grad_rest=grad_rest,
            grad_total=grad_total if job.total else None,
            grad_scale=None,
            grad_bias=torch.empty_like(bias) if bias is not None and ctx.needs_input_grad[2] else None,
        )
        with torch.cuda.device_of(unit):
            with products_of("float32"):
                rows = RowGradient(job, grad_own, moved or ctx.needs_input_grad[1])
            with products_of(job.strategy.products):
                if ctx.stash is not None:
                    coefficient = (ctx.shift - rest).exp_().mul_(grad_rest).mul_(scale)
                    from_stash(job, ctx.stash, coefficient, rows)
                else:
                    coefficient = scale.expand_as(rest) * (1.0 if job.total else grad_rest)
                    pull, given = recomputed(job, given, coefficient, rows, ctx.needs_input_grad)
        grad_unit = grad_scale = None
        if ctx.needs_input_grad[0]:
            grad_unit = (pull * coefficient[:, None]).addcmul_(rows.own_rows, grad_own[:, None])
        if given.grad_scale is not None:
            grad_scale = given.grad_scale.sum(dim=0)
            grad_scale = grad_scale if scale.ndim else grad_scale.sum()
        return grad_unit, rows.finished(), given.grad_bias, grad_scale, None


def from_stash(job: Job, stash: list[tuple[Tensor, Tensor | None]], coefficient: Tensor, rows: "RowGradient") -> None:
    """The gradient of the rows from exponentials."""
    if not rows.wanted:
        return
    work = job.work()
    riding = (job.problem.unit.detach() * coefficient[:, None]).to(work.operand)
    for classes, (shares, inverse) in zip(work.chunks(), stash, strict=True):
        rows.add(work, classes, shares, riding, inverse)


def recomputed(
    job: Job, given: Given, coefficient: Tensor, rows: "RowGradient", needs: tuple[bool, ...]
) -> tuple[Tensor, Given]:
    """The gradient of the rows, and what the embeddings get but for the coefficient, [n, d]."""
    work = job.work()
    pull = torch.zeros_like(job.problem.unit)
    if needs[3]:
        slots = given.rest.new_zeros(work.steps.slots, len(given.rest))
        given = Given(given.rest, given.grad_rest, given.grad_total, slots, given.grad_bias)
    if not any(needs[:4]) and not rows.wanted:
        return pull, given
    riding = (job.problem.unit.detach() * coefficient[:, None]).to(work.operand)
    for classes in work.chunks():
        cos, panel, inverse = work.cosines(classes)
        shares = work.shares(cos)
        work.steps.shares(cos, classes, given, shares)
        if needs[0]:
            work.pull(shares, panel, pull)
        if rows.wanted:
            rows.add(work, classes, shares, riding, inverse)
    return pull, given


class RowGradient:
    """Where the gradient of a panel's rows goes: into one tensor of the whole, or to the rule that moves them at once.

    The parts of the own classes, example by example, are added in float32.
    """

    def __init__(self, job: Job, grad_own: Tensor, wanted: bool) -> None:
        self.problem, self.wanted = job.problem.detached(), wanted
        problem = self.problem
        own, self.places, inverse = own_cosines(problem)
        self.own_rows = problem.weight.flatten(0, 1)[self.places] * inverse[:, None]
        pull = problem.unit if problem.free else problem.unit - own[:, None] * self.own_rows
        self.own_part = pull * (grad_own * inverse)[:, None]
        whole = wanted and problem.move is None
        self.whole = problem.weight.new_empty(problem.weight.shape) if whole else None
        self.buffer: Tensor | None = None
        self.moved_by_kernel = False

    def add(self, work: Work, classes: slice, shares: Tensor, riding: Tensor, inverse: Tensor | None) -> None:
        """A panel. shares: [n, c' * k].  riding: [n, d]."""
        if self.whole is not None:
            target = product(shares.T, riding, self.whole[classes].flatten(0, 1))
            work.steps.project(target, classes, inverse)
            return
        if self.buffer is None:  # with a row behind the last, to which examples of other panels add
            self.buffer = self.problem.unit.new_empty(work.most + 1, riding.shape[1])
        count = work.rows(classes)
        gradient = product(shares.T, riding, self.buffer[:count])
        if work.steps.move(gradient, classes, inverse):
            self.moved_by_kernel = True
            return
        work.steps.project(gradient, classes, inverse)
        start = classes.start * work.centers
        inside = (self.places >= start) & (self.places < start + count)
        self.buffer[count] = 0.0
        add_rows(self.buffer[: count + 1], torch.where(inside, self.places - start, count), self.own_part)
        assert self.problem.move is not None
        self.problem.move(slice(start, start + count), gradient)

    def finished(self) -> Tensor | None:
        """The whole gradient with the own parts; None where rows were moved."""
        if self.whole is not None:
            add_rows(self.whole.flatten(0, 1), self.places, self.own_part)
        elif self.moved_by_kernel:
            assert self.problem.mover is not None
            move_own(self.problem, self.places, self.own_part)
        return self.whole


def move_own(problem: Problem, places: Tensor, own_part: Tensor) -> None:
    """Add the own parts to rows that `RowSGD` has moved by all else: its step is linear in the gradient."""
    from angulus.heads.strategies.updates import RowSGD

    mover = problem.mover
    assert mover is not None
    rule = mover.rule
    assert isinstance(rule, RowSGD)
    if rule.momentum:
        add_rows(mover.state["momentum"], places, own_part)
    step = mover.rate * (1.0 + rule.momentum if rule.nesterov and rule.momentum else 1.0)
    add_rows(mover.rows, places, own_part * -step)
    torch.autograd.graph.increment_version((problem.weight, *mover.state.values()))
