"""Several heads over one backbone: each data set has people, class weights and a softmax of its own.

    loss  =  sum_h  share_h factor_h loss_h        share_h = n_h / n,  loss_h = the mean over the n_h examples of set h

With factors of 1 that is the mean over all n examples. The classes are numbered through: those of the first set, then
those of the second, and so on. An example is compared with the classes of its own set alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from angulus.heads.head import HeadOutput, MarginHead
from angulus.heads.sharding.sharded import ShardedHead
from angulus.heads.strategies.updates import RowRule
from angulus.margins.base import Margin


@dataclass(frozen=True, kw_only=True, eq=False)
class Portion:
    """The examples of one set in a micro-batch.

    rows: [n_h] int64, their places among the examples of this process.  sizes: how many each process brings.
    share: of the examples of all processes, those of this set.
    """

    rows: Tensor
    sizes: tuple[int, ...]
    share: float


class SeparateHeads(nn.Module):
    """A `MarginHead` (or `ShardedHead`) for each data set, called as one.

    heads: by the names of the sets, in the order of their classes; one is the submodule "of_NAME".
    factors: of the losses of the sets; 1 each where none are given.
    """

    def __init__(self, heads: Mapping[str, MarginHead], factors: Sequence[float] | None = None) -> None:
        super().__init__()
        if not heads:
            raise ValueError("heads must have at least 1 head, got 0")
        self.names = tuple(heads)
        self.factors = (1.0,) * len(heads) if factors is None else tuple(float(factor) for factor in factors)
        if len(self.factors) != len(heads):
            raise ValueError(f"factors must be one for each of {len(heads)} heads, got {len(self.factors)}")
        for name, head in heads.items():
            self.add_module(f"of_{name}", head)

    def head(self, name: str) -> MarginHead:
        """The head of a set."""
        head = self.get_submodule(f"of_{name}")
        assert isinstance(head, MarginHead)
        return head

    def __iter__(self) -> Iterator[MarginHead]:
        return (self.head(name) for name in self.names)

    @property
    def classes(self) -> dict[str, range]:
        """The classes of each set among all."""
        found: dict[str, range] = {}
        start = 0
        for name in self.names:
            found[name] = range(start, start + self.head(name).num_classes)
            start = found[name].stop
        return found

    def forward(
        self, embeddings: Tensor, labels: Tensor, portions: Sequence[Portion], *, step: int | None = None
    ) -> HeadOutput:
        """The loss of a micro-batch; it alone carries a gradient.

        Args:
          embeddings: [n, d], not normalised.
          labels: [n] int64, counted through all sets.
          portions: which examples are of which set.
          step: the optimizer step, for schedules.
        """
        starts = [classes.start for classes in self.classes.values()]
        outputs = [
            one_output(head, embeddings[portion.rows], labels[portion.rows] - start, portion, step)
            for head, portion, start in zip(self, portions, starts, strict=True)
        ]
        weights = [portion.share * factor for portion, factor in zip(portions, self.factors, strict=True)]
        loss = torch.stack([output.loss * weight for output, weight in zip(outputs, weights, strict=True)]).sum()
        losses, cos_target = outputs[0].losses.new_zeros(len(labels)), outputs[0].cos_target.new_zeros(len(labels))
        balance = outputs[0].balance.new_zeros(3, len(labels))
        for output, portion in zip(outputs, portions, strict=True):
            losses[portion.rows] = output.losses.detach()
            cos_target[portion.rows] = output.cos_target
            balance[:, portion.rows] = output.balance
        return HeadOutput(loss, losses, cos_target, balance)

    # What a training run asks of any head

    @property
    def num_classes(self) -> int:
        """Of all sets together."""
        return sum(head.num_classes for head in self)

    @property
    def subcenters(self) -> int:
        return next(iter(self)).subcenters

    @property
    def margin(self) -> Margin:
        """That of the first set; the others have the same but for values per class."""
        return next(iter(self)).margin

    @property
    def state(self) -> dict[str, Tensor]:
        """The running statistics of all margins, "NAME.statistic"."""
        return {f"{name}.{key}": value for name in self.names for key, value in self.head(name).state.items()}

    @property
    def holds_whole_gradient(self) -> bool:
        return all(head.holds_whole_gradient for head in self)

    @property
    def update(self) -> RowRule | None:
        return next(iter(self)).update

    @property
    def learning_rate(self) -> float | None:
        return next(iter(self)).learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | None) -> None:
        for head in self:
            head.learning_rate = value

    def raise_for_labels(self) -> None:
        """Raise ValueError if labels outside a head were seen (reads the device)."""
        for head in self:
            head.raise_for_labels()


def one_output(head: MarginHead, embeddings: Tensor, labels: Tensor, portion: Portion, step: int | None) -> HeadOutput:
    if isinstance(head, ShardedHead):
        return head(embeddings, labels, step=step, batch_sizes=portion.sizes)
    return head(embeddings, labels, step=step)


def each_head(head: MarginHead | SeparateHeads) -> list[tuple[str, MarginHead, range]]:
    """Every head with the name of its set ("" for the only one) and its classes among all."""
    if isinstance(head, MarginHead):
        return [("", head, range(head.num_classes))]
    return [(name, head.head(name), classes) for name, classes in head.classes.items()]
