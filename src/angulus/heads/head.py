"""The head: class weights with a margin softmax over them, as a module that is trained beside the backbone."""

import logging
from dataclasses import dataclass, replace
from typing import Any, ClassVar, SupportsIndex

import torch
import torch.distributed as dist
from torch import Tensor, nn

from angulus.heads.auto import Auto
from angulus.heads.kernels.fused import Fused
from angulus.heads.kernels.panels import Panels
from angulus.heads.sampled import Sampled
from angulus.heads.softmax import (
    Batch,
    Summed,
    as_float,
    check_demands,
    check_labels,
    check_reduction,
    check_shapes,
    check_smoothing,
    finish,
    start,
)
from angulus.heads.strategies.dense import Dense
from angulus.heads.strategies.problem import Strategy
from angulus.heads.strategies.streamed import Streamed
from angulus.heads.strategies.updates import Mover, RowRule
from angulus.margins import MarginName, margin_of
from angulus.margins.base import Margin, PerSample, Seen

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadOutput:
    """loss: the mean over the examples that have a class.  losses: [n].

    cos_target: [n], detached: the cosine to the own class, or the product with its weight where weights are free.
    balance: [3, n], detached: see `angulus.heads.softmax.balance_of`.
    """

    loss: Tensor
    losses: Tensor
    cos_target: Tensor
    balance: Tensor


class MarginHead(nn.Module):
    """Class weights and a margin softmax over them.

    Args:
      embedding_dim: d, the size of the embeddings.
      num_classes: c, the number of identities.
      margin: which loss, or its name with its defaults, such as "arcface"; see `angulus.margins`.
      subcenters: k, class weights per identity, of which the nearest counts (sub-center ArcFace).
      strategy: how the classes are summed; default `Dense()`.
      update: a rule that moves the class weights inside the backward pass (`angulus.heads.strategies.updates`), so
        that their gradient is never whole; needs the strategy Streamed, Panels, Fused or Sampled. Set
        `learning_rate` before each backward pass, and leave `weight` out of the optimizer. Its state is in buffers.
      filter_above: for noisy labels: other classes whose cosine exceeds this count as cosine 0 and get no gradient,
        since they may be the same person (inter-class filtering of arcface_torch).
      label_smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016, section 7).
      process_group: processes that hold copies of this head and see parts of one global batch; running
        statistics and the mean of the loss are then those of the global batch.

    Parameters: weight [c, d] or [c, k, d]; bias [c] and learned scalars where the margin has them.
    Running statistics of the margin are buffers, so that a checkpoint holds them.
    """

    # Whether the gradient of the weights is complete in each process, also where there are several.
    holds_whole_gradient: ClassVar[bool] = False

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        margin: Margin | MarginName,
        subcenters: int = 1,
        strategy: Strategy | None = None,
        update: RowRule | None = None,
        process_group: dist.ProcessGroup | None = None,
        filter_above: float | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        margin = margin_of(margin)
        check_smoothing(label_smoothing)
        check_reduction(margin, filter_above, label_smoothing)
        if filter_above is not None and (margin.free_weights or not -1.0 <= filter_above <= 1.0):
            raise ValueError(
                f"filter_above must be a cosine between -1 and 1, for normalised weights, got {filter_above} "
                f"with {margin.kind}"
            )
        self.filter_above, self.label_smoothing = filter_above, label_smoothing
        for name, value in (
            ("embedding_dim", embedding_dim),
            ("num_classes", num_classes),
            ("subcenters", subcenters),
        ):
            if not isinstance(value, SupportsIndex) or isinstance(value, bool):
                raise TypeError(f"{name} must be a whole number, got {type(value).__name__} {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.embedding_dim, self.num_classes, self.subcenters = embedding_dim, num_classes, subcenters
        self.margin = margin
        self.strategy = Dense() if strategy is None else checked_strategy(strategy)
        check_demands(margin, self.strategy)
        self.process_group = process_group
        self.step = 0
        rows = len(self.classes)
        shape = (rows, embedding_dim) if subcenters == 1 else (rows, subcenters, embedding_dim)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(rows)) if margin.has_bias else None
        initial = margin.initial_learned(num_classes)
        self.learned = nn.ParameterDict({name: nn.Parameter(torch.tensor(float(x))) for name, x in initial.items()})
        self.state_names = tuple(margin.initial_state(num_classes))
        for name, value in margin.initial_state(num_classes).items():
            self.register_buffer(f"state_{name}", value)
        self.register_buffer("labels_outside", torch.zeros((), dtype=torch.int64), persistent=False)
        self.reset_parameters()
        self.update = update
        self.learning_rate: float | None = None
        self.mover = None if update is None else self.prepare_update(update)
        if self.mover is not None:
            self.register_state_dict_pre_hook(lambda module, prefix, keep_vars: module.settle())
        for sentence in margin.advice(num_classes):
            log.warning(sentence)

    def reset_parameters(self) -> None:
        """Draw the class weights anew: normal, with standard deviation 0.01, or 1 / sqrt(d) for free weights."""
        nn.init.normal_(self.weight, std=self.initial_spread)

    @property
    def initial_spread(self) -> float:
        """The standard deviation of the first class weights."""
        return self.embedding_dim**-0.5 if self.margin.free_weights else 0.01

    @property
    def classes(self) -> range:
        """The classes whose weights this process holds."""
        return range(self.num_classes)

    def prepare_update(self, update: RowRule) -> Mover:
        if self.process_group is not None and not self.holds_whole_gradient:
            raise ValueError(
                "update inside backward needs the whole gradient of a class in one process, and each of several has "
                "a part of it: set head.sharded=true (from Python: ShardedHead)"
            )
        if not isinstance(self.strategy, (Streamed, Sampled, Fused, Panels, Auto)):
            raise ValueError(
                "update inside backward needs the strategy Streamed, Panels, Fused, Sampled or Auto, got "
                f"{self.strategy}"
            )
        rows = self.weight.detach().flatten(0, -2)
        state = update.initial(rows)
        for name, value in state.items():
            self.register_buffer(f"update_{name}", value)
        return Mover(update, rows, state, lagging=isinstance(self.strategy, Sampled))

    def mover_now(self) -> Mover | None:
        """The mover, looking at the weights where they are now; None where nothing is moved in this call."""
        if self.mover is None or not self.training:
            return None
        if self.learning_rate is None:
            raise ValueError("set head.learning_rate before a step that updates the class weights")
        self.attach()
        return self.mover

    def attach(self) -> None:
        """Let the mover look at the weights and state where they are now (a module may be moved or cast)."""
        assert self.mover is not None
        self.mover.rows = self.weight.detach().flatten(0, -2)
        self.mover.state = {name: self.get_buffer(f"update_{name}") for name in self.mover.state}
        self.mover.touched = self.mover.touched.to(self.weight.device)

    def settle(self) -> None:
        """Bring class weights that were sampled out up to date; saving does it by itself."""
        if self.mover is not None:
            self.attach()
            self.mover.settle()

    def extra_repr(self) -> str:
        return (
            f"embedding_dim={self.embedding_dim}, num_classes={self.num_classes}, subcenters={self.subcenters}, "
            f"margin={self.margin}, strategy={self.strategy}"
        )

    @property
    def state(self) -> dict[str, Tensor]:
        """The margin's running statistics by name."""
        return {name: self.get_buffer(f"state_{name}") for name in self.state_names}

    def get_extra_state(self) -> dict[str, int]:
        return {"step": self.step, "update_steps": 0 if self.mover is None else self.mover.steps}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.step = int(state["step"])
        if self.mover is not None:
            self.mover.restart(int(state.get("update_steps", 0)))

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        step: int | None = None,
        per_sample: dict[str, Tensor] | None = None,
    ) -> HeadOutput:
        """The loss of a batch.

        Args:
          embeddings: [n, d], not normalised.
          labels: [n] int64, -1 for an example that contributes no loss.
          step: the optimizer step for schedules; default: the number of training-mode calls so far.
          per_sample: values [n] that replace fields of the margin for this batch, such as {"m": margins}.

        Raises ValueError for labels outside the head: at once on a CPU; on other devices they count as -1
        and `raise_for_labels` reports them, so that no step waits for the device.
        """
        check_shapes(embeddings, self.weight, labels, None)
        labels = self.checked(labels)
        margin = self.margin
        if per_sample:
            margin = with_values(margin, per_sample)
        step = self.step if step is None else step
        with torch.autocast(embeddings.device.type, enabled=False):
            output = self.compute(as_float(embeddings), labels, margin, step)
        if self.training:
            self.step = step + 1
        return output

    def compute(self, embeddings: Tensor, labels: Tensor, margin: Margin, step: int) -> HeadOutput:
        mover = self.mover_now()
        batch = start(embeddings, as_float(self.weight), labels, margin, self.strategy, step, mover)
        if mover is not None and self.learning_rate is not None:
            mover.begin(self.learning_rate)
        batch = replace(batch, seen=self.whole_batch(batch.seen))
        summed = self.summed(batch, margin, step)
        loss = self.mean(summed.losses, batch.valid)
        return HeadOutput(loss, summed.losses, batch.seen.cos_target, summed.balance)

    def summed(self, batch: Batch, margin: Margin, step: int, own_bias: Tensor | None = None) -> Summed:
        """The losses of a batch; in training the running statistics move."""
        seen = replace(batch.seen, step=step, learned=dict(self.learned.items()), state=self.state)
        if self.training and self.state_names:
            self.keep(margin.update(self.state, seen))
            seen = replace(seen, state={name: value.clone() for name, value in self.state.items()})
        whole = replace(batch, seen=seen)
        summed = finish(whole, margin, self.bias, own_bias, self.filter_above, self.label_smoothing)
        if self.training and self.state_names:
            self.keep(margin.update_after(self.state, self.of_all(summed.rest.detach()), seen))
        return summed

    def checked(self, labels: Tensor) -> Tensor:
        if labels.device.type == "cpu":
            check_labels(labels, self.num_classes)
            return labels
        outside = (labels < -1) | (labels >= self.num_classes)
        self.get_buffer("labels_outside").add_(outside.sum())
        return labels.masked_fill(outside, -1)

    def raise_for_labels(self) -> None:
        """Raise ValueError if labels outside the head were seen (reads the device: call it now and then)."""
        count = int(self.get_buffer("labels_outside"))
        if count:
            raise ValueError(
                f"labels must be between 0 and {self.num_classes - 1} (or -1 for no class); "
                f"{count} labels outside were seen and ignored"
            )

    @torch.no_grad()
    def keep(self, state: dict[str, Tensor]) -> None:
        for name, value in state.items():
            self.get_buffer(f"state_{name}").copy_(value)

    def whole_batch(self, seen: Seen) -> Seen:
        """The same, with the cosines, norms and validity of the examples of all processes."""
        if self.process_group is None or not self.margin.uses_batch:
            return seen
        cos, offset = gather(seen.all_cos_target, self.process_group)
        norms, _ = gather(seen.all_norms, self.process_group)
        valid, _ = gather(seen.all_valid, self.process_group)
        return replace(seen, all_cos_target=cos, all_norms=norms, all_valid=valid, offset=offset)

    def of_all(self, values: Tensor) -> Tensor:
        """values [n] of the examples of all processes."""
        return gather(values, self.process_group)[0]

    def mean(self, losses: Tensor, valid: Tensor) -> Tensor:
        """The mean over the examples with a class; over the global batch where there are several processes.

        Its gradient, averaged over the processes as DistributedDataParallel does, is that of the global mean.
        """
        count = valid.sum().to(losses.dtype)
        if self.process_group is not None:
            dist.all_reduce(count, group=self.process_group)
            return losses.sum() * dist.get_world_size(self.process_group) / count.clamp(min=1)
        return losses.sum() / count.clamp(min=1)


def checked_strategy(strategy: Strategy) -> Strategy:
    """The strategy itself. Raises TypeError for anything else, a class or a name included."""
    if isinstance(strategy, type) or not hasattr(strategy, "sweep"):
        got = strategy.__name__ if isinstance(strategy, type) else repr(strategy)
        raise TypeError(f"strategy must be a strategy of angulus.heads such as Streamed(), got {got}")
    return strategy


def with_values(margin: Margin, values: dict[str, Tensor]) -> Margin:
    """The same margin with fields replaced by values per sample."""
    fields: dict[str, Any] = {name: PerSample(tensor) for name, tensor in values.items()}
    return replace(margin, **fields)


def gather(values: Tensor, group: dist.ProcessGroup | None) -> tuple[Tensor, int]:
    """values [n] of all processes in order of rank, and where the own ones start. n may differ."""
    if group is None:
        return values, 0
    size = torch.tensor([len(values)], device=values.device)
    sizes = [torch.zeros_like(size) for _ in range(dist.get_world_size(group))]
    dist.all_gather(sizes, size, group=group)
    counts = [int(count) for count in sizes]
    padded = values.new_zeros(max(counts))
    padded[: len(values)] = values
    parts = [torch.zeros_like(padded) for _ in counts]
    dist.all_gather(parts, padded, group=group)
    joined = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return joined, sum(counts[: dist.get_rank(group)])
