"""Classes divided over processes: each owns some of the class weights, any strategy sums over them.

rest_i = log sum_r exp(rest_ir) over the processes r;  the own cosine is known by the process that owns the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor

from angulus.errors import CheckpointError
from angulus.heads.head import HeadOutput, MarginHead, with_values
from angulus.heads.sharding.candidates import among_all
from angulus.heads.sharding.exchange import (
    Amplified,
    Rows,
    added_up,
    entering,
    gathered,
    known_by_one,
    log_summed,
    rows_of,
    spread,
    with_gradient_of,
)
from angulus.heads.softmax import as_float, begin, check_shapes
from angulus.heads.strategies.cosine import unit
from angulus.heads.strategies.problem import Demand, Logits, Nearest, Problem, Ranking, Strategy, Sums
from angulus.heads.strategies.updates import RowRule
from angulus.margins import Margin, MarginName

# Class weights are drawn in blocks of so many classes, each from its own seed.
BLOCK = 1024


class ShardedHead(MarginHead):
    """A `MarginHead` whose classes are divided over processes; each process brings its own part of the global batch.

    Process r of W owns the classes r q to (r + 1) q - 1, with q = num_classes / W rounded up, so the last shard may be
    smaller. This is the division of `torch.distributed.tensor.Shard(0)`, which checkpoints rely on.

    Loss, gradients and running statistics are those of a `MarginHead` with all classes that is given the global batch
    (the batches of all processes in order of rank; their sizes may differ, and a batch may be empty).

    Args:
      embedding_dim, num_classes, margin, subcenters, filter_above, label_smoothing: as for `MarginHead`; the same on
        all processes.
      strategy: how each process sums over its own classes; default `Dense()`.
      update: moves the weights of this process's classes inside the backward pass, as for `MarginHead`.
      process_group: the processes that divide the classes.
      data_parallel: True where the embeddings come out of a `DistributedDataParallel`.

    Gradients, once every process has called `loss.backward()`:
      weight, bias: those of the whole batch for the classes of this process. Leave them alone: averaging them, or
        wrapping this head in DistributedDataParallel together with the backbone, would be wrong.
      learned scalars: those of the whole batch, equal on all processes.
      embeddings: d loss / d embeddings for the loss of the global batch, so that SUMMING the backbone's gradients over
        the processes gives the single-process gradient. DistributedDataParallel AVERAGES them: the embeddings' gradient
        must then be multiplied with the number of processes, which is what data_parallel=True does.

    Norm clipping must add the squares of the shards' gradients over the processes before it takes the root.
    With the same torch seed on all processes the first class weights do not depend on the number of processes.
    Second derivatives are not available.
    """

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        margin: Margin | MarginName,
        subcenters: int = 1,
        strategy: Strategy | None = None,
        update: RowRule | None = None,
        *,
        process_group: dist.ProcessGroup,
        data_parallel: bool = False,
        filter_above: float | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            *(embedding_dim, num_classes, margin, subcenters, strategy, update, process_group),
            filter_above=filter_above,
            label_smoothing=label_smoothing,
        )
        self.data_parallel = data_parallel

    holds_whole_gradient: ClassVar[bool] = True

    @property
    def group(self) -> dist.ProcessGroup:
        """The processes that divide the classes."""
        assert self.process_group is not None
        return self.process_group

    @property
    def classes(self) -> range:
        """The classes whose weights this process holds."""
        return shard(self.num_classes, dist.get_world_size(self.group), dist.get_rank(self.group))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, classes={self.classes.start}..{self.classes.stop - 1}"

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the class weights anew, block by block, so that they do not depend on where the shards are cut."""
        if self.weight.is_meta:
            return
        draw_blocks(self, seed_of_blocks())

    def get_extra_state(self) -> dict[str, int]:
        return {**super().get_extra_state(), "first_class": self.classes.start}

    def set_extra_state(self, state: dict[str, int]) -> None:
        if state.get("first_class", 0) != self.classes.start:
            raise CheckpointError(
                f"this process holds the classes from {self.classes.start} on, the saved shard those from "
                f"{state.get('first_class', 0)} on; use save_sharded and load_sharded to move between processes"
            )
        super().set_extra_state(state)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        step: int | None = None,
        per_sample: dict[str, Tensor] | None = None,
        batch_sizes: Sequence[int] | None = None,
    ) -> HeadOutput:
        """The loss of the global batch, with the losses and own cosines of this process's examples.

        Args:
          embeddings, labels, step, per_sample: as for `MarginHead`, of this process's examples.
          batch_sizes: how many examples each process brings. Where it is not given the processes tell each other,
            for which they wait for the device.

        The loss is equal on all processes and alone carries a gradient; `losses` and `cos_target` are detached.
        Labels outside the head raise on all processes, with the position in the global batch.
        """
        check_shapes(embeddings, self.weight, labels, None)
        rows = rows_of(labels, self.group, batch_sizes)
        labels = self.checked(rows.join(labels))
        margin = self.margin
        if per_sample:
            check_gradients(margin, per_sample)
            margin = with_values(margin, {name: gathered(values, rows) for name, values in per_sample.items()})
        step = self.step if step is None else step
        with torch.autocast(embeddings.device.type, enabled=False):
            output = self.compute_part(as_float(embeddings), labels, margin, step, rows)
        if self.training:
            self.step = step + 1
        return output

    def compute_part(self, embeddings: Tensor, labels: Tensor, margin: Margin, step: int, rows: Rows) -> HeadOutput:
        if self.data_parallel:
            embeddings = Amplified.apply(embeddings, len(rows.sizes))
        sweeping = Part(self.strategy, self.classes, self.group)
        units = spread(unit(embeddings), rows)
        norms = gathered(torch.linalg.vector_norm(embeddings, dim=-1), rows)
        mover = self.mover_now()
        batch = begin(units, norms, as_float(self.weight), labels, margin, sweeping, self.num_classes, step, mover)
        if mover is not None and self.learning_rate is not None:
            mover.begin(self.learning_rate)
        summed = self.summed(batch, margin, step, self.own_bias(labels))
        loss = summed.losses.sum() / batch.valid.sum().clamp(min=1)
        losses, cos = summed.losses[rows.own].detach(), batch.seen.cos_target[rows.own]
        return HeadOutput(loss, losses, cos, summed.balance[:, rows.own])

    def own_bias(self, labels: Tensor) -> Tensor | None:
        """[n] the bias of each example's own class, wherever it is."""
        if self.bias is None:
            return None
        owned = is_in(self.classes, labels)
        return known_by_one(self.bias[within(self.classes, labels).clamp(min=0)], owned, self.group)

    def of_all(self, values: Tensor) -> Tensor:
        return values  # everything per example is already that of the global batch


@dataclass(frozen=True)
class Part:
    """A strategy for the classes of one process, whose answers are those for all classes.

    The problem that it is given has the embeddings and labels of the global batch and the weights of these classes.
    The gradient that it leaves on `problem.unit` is the term of these classes.
    """

    strategy: Strategy
    classes: range
    group: dist.ProcessGroup

    @property
    def answers(self) -> tuple[Demand, ...]:
        return getattr(self.strategy, "answers", ())

    def sweep(self, problem: Problem) -> "PartSweep":
        return PartSweep(problem, self)


class PartSweep:
    def __init__(self, problem: Problem, part: Part) -> None:
        labels = within(part.classes, problem.labels)
        self.inner = part.strategy.sweep(replace(problem, labels=labels))
        self.group = part.group
        self.owned = is_in(part.classes, problem.labels)
        # Examples whose own class is the only one here: nothing is left of the sum, whatever the strategy says.
        self.alone = labels >= 0 if len(part.classes) == 1 else None
        self.found: Tensor | None = None

    def own(self) -> Tensor:
        if self.found is None:
            self.found = known_by_one(self.inner.own(), self.owned, self.group)
        return self.found

    def hardest(self) -> Tensor:
        hardest = self.inner.hardest().clone()
        dist.all_reduce(hardest, dist.ReduceOp.MAX, group=self.group)
        return hardest

    def nearest(self, count: int, at_most: float | None) -> Nearest:
        """The nearest classes of all processes; of them, those that are here."""
        assert isinstance(self.inner, Ranking)
        found = self.inner.nearest(count, at_most)
        here = among_all(found.cos, self.group)
        return Nearest(
            found.cos.masked_fill(~here, torch.finfo(found.cos.dtype).min), found.classes.masked_fill(~here, -1)
        )

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        offset = None if logits.offset is None else entering(logits.offset, self.group)
        logits = replace(logits, scale=entering(logits.scale, self.group), offset=offset)
        sums = self.inner.sums(logits, total)
        rest = sums.rest
        if self.alone is not None:
            rest = rest.masked_fill(self.alone, 0.0 if logits.binary else torch.finfo(rest.dtype).min)
        rests = (added_up if logits.binary else log_summed)(rest, self.group)
        own = with_gradient_of(self.own(), sums.own, self.owned)
        if sums.total is None:
            return Sums(own, rests, None, sums.count)
        count = rest.new_zeros(()) + sums.count
        dist.all_reduce(count, group=self.group)
        return Sums(own, rests, added_up(sums.total, self.group), count)


def seed_of_blocks() -> int:
    """A seed for `draw_blocks`, drawn from torch's own generator."""
    return int(torch.randint(2**31, (), device="cpu"))


@torch.no_grad()
def draw_blocks(head: MarginHead, seed: int) -> None:
    """Draw the class weights of a head, whole or a shard, such that a class has the same ones in either."""
    weight, first, last = head.weight, head.classes.start, head.classes.stop
    generator = torch.Generator(weight.device)
    for block in range(first // BLOCK, (last - 1) // BLOCK + 1):
        generator.manual_seed(seed + block)
        start = block * BLOCK
        drawn = weight.new_empty(BLOCK, *weight.shape[1:]).normal_(generator=generator)
        low, high = max(first, start), min(last, start + BLOCK)
        weight[low - first : high - first] = drawn[low - start : high - start] * head.initial_spread


def shard(num_classes: int, world: int, rank: int) -> range:
    """The classes of one of `world` processes: equal shards, rounded up, the last one smaller."""
    size = -(-num_classes // world)
    if size * (world - 1) >= num_classes:
        raise ValueError(
            f"{num_classes} classes in shards of {size} leave none for the last of {world} processes; "
            "use fewer processes, or MarginHead, which holds all classes on each"
        )
    return range(rank * size, min((rank + 1) * size, num_classes))


def within(classes: range, labels: Tensor) -> Tensor:
    """Labels counted from the first of these classes; -1 for other classes and for none."""
    inside = (labels >= classes.start) & (labels < classes.stop)
    return torch.where(inside, labels - classes.start, -1)


def is_in(classes: range, labels: Tensor) -> Tensor:
    """[n] whether the own class is among these; as everywhere, class 0 stands in for no class."""
    labels = labels.clamp(min=0)
    return (labels >= classes.start) & (labels < classes.stop)


def check_gradients(margin: Margin, per_sample: dict[str, Tensor]) -> None:
    """Raise ValueError where the gradient of a value per sample would miss the classes of other processes."""
    for name, values in per_sample.items():
        if values.requires_grad and margin.reshapes_others:
            raise ValueError(
                f"per_sample {name!r} of {margin.kind} must not require a gradient in a sharded head, "
                "because the margin also changes the other classes with it; detach it"
            )
