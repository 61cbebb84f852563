"""Softmax over a sample of the classes: those of the batch, and a random share of the others (Partial FC).

An et al. 2022, "Killing Two Birds With One Stone" (arXiv 2203.15565). The loss is that of a problem which has only the
sampled classes; nothing is corrected for the ones left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from angulus.heads.auto import Device, device_for, large
from angulus.heads.kernels.fused import Fused
from angulus.heads.kernels.panels import Panels
from angulus.heads.strategies.problem import Demand, Logits, Nearest, Problem, Ranking, Sums, Sweep
from angulus.heads.strategies.streamed import Streamed

Inner = Streamed | Panels | Fused
Move = Callable[[slice | Tensor, Tensor], None]


@dataclass(frozen=True)
class Sampled:
    """The batch's own classes and random others, together `rate` of all classes (or more, if the batch has more).

    rate: share of the classes, above 0 to 1.
    seed: with the step it fixes the draw, which is made on the device and touches no caller's labels.
    streamed: how the sampled classes are summed, in chunks, panels or fused kernels; None takes the best for the
        device, as `Auto` does: `Panels` on CUDA, `Streamed` elsewhere.

    With an update inside the backward pass only the sampled rows get a gradient and are moved; what the others missed
    (momentum, weight decay) is made up when they are drawn again. Without it the weight gradient is dense, with zeros.
    """

    rate: float = 0.1
    seed: int = 0
    streamed: Inner | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.rate <= 1.0:
            raise ValueError(f"Sampled: rate must be above 0 and at most 1, got {self.rate}")

    @property
    def answers(self) -> tuple[Demand, ...]:
        """Never "binary": the bias of such a loss is balanced for the number of all classes."""
        return () if isinstance(self.streamed, (Panels, Fused)) else ("nearest",)

    def sweep(self, problem: Problem) -> Sweep:
        drawn = self.draw(problem)
        rows = rows_of(drawn, problem.weight.shape[1])
        if problem.refresh is not None:
            problem.refresh(rows)
        part = replace(
            problem,
            weight=problem.weight[drawn],
            labels=places_of(problem.labels, drawn),
            move=None if problem.move is None else moving(problem.move, rows),
            mover=None,
        )
        return SampledSweep(self.inner(device_for(problem)).sweep(part), drawn)

    def inner(self, kind: Device) -> Inner:
        """How the sampled classes are summed on a sort of device."""
        return large(kind) if self.streamed is None else self.streamed

    @torch.no_grad()
    def draw(self, problem: Problem) -> Tensor:
        """The sampled classes in order, [s]: those of the batch first of all, random ones up to the share."""
        count, device = problem.weight.shape[0], problem.labels.device
        generator = torch.Generator(device).manual_seed(self.seed * 1_000_003 + problem.step)
        chance = torch.rand(count, generator=generator, device=device)
        # an example without a class marks a place behind the last
        own = torch.where(problem.labels >= 0, problem.labels, count)
        chance = torch.cat([chance, chance.new_zeros(1)]).index_fill_(0, own, 2.0)[:count]
        # every class of the batch fits: at most one for each example
        size = min(count, max(round(self.rate * count), min(len(problem.labels), count)))
        return chance.topk(size, sorted=False).indices.sort().values


class SampledSweep:
    """The sweep over the sampled classes, with the bias cut to them."""

    def __init__(self, inner: Sweep, drawn: Tensor) -> None:
        self.inner = inner
        self.drawn = drawn

    def own(self) -> Tensor:
        return self.inner.own()

    def hardest(self) -> Tensor:
        return self.inner.hardest()

    def nearest(self, count: int, at_most: float | None) -> Nearest:
        assert isinstance(self.inner, Ranking)
        return self.inner.nearest(count, at_most)

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        bias = None if logits.bias is None else logits.bias[self.drawn]
        return self.inner.sums(replace(logits, bias=bias), total)


def rows_of(classes: Tensor, subcenters: int) -> Tensor:
    """The weight rows [s * k] of classes [s]."""
    return (classes[:, None] * subcenters + torch.arange(subcenters, device=classes.device)).flatten()


def places_of(labels: Tensor, drawn: Tensor) -> Tensor:
    """Where each label stands among the sampled classes; -1 stays -1."""
    return torch.where(labels >= 0, torch.searchsorted(drawn, labels.clamp(min=0)), -1)


def moving(move: Move, rows: Tensor) -> Move:
    """A mover for the sampled rows, which are `rows` of all."""

    def moved(part: slice | Tensor, gradient: Tensor) -> None:
        move(rows[part], gradient)

    return moved
