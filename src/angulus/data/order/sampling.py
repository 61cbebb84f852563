"""In which order the examples are seen: a pure function of the seed, the epoch and the number of the batch.

Nothing has a state to save: (seed, epoch, number of the batch) says it all, so a run that resumes in the middle of an
epoch sees exactly what it would have seen. Batches are global; a process takes its slice of them in
`angulus.data.loading.batch_loader`. Sets of 2**20 examples and more are never listed: the example at a place of the
order is computed (`angulus.data.index.permutation`).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from angulus.data.index.groups import Groups
from angulus.data.index.permutation import Permutation, key_of
from angulus.errors import DataError

LISTED = 2**20
"""Smaller sets are shuffled by listing them, as they always were."""


class Sampler(Protocol):
    """Which examples stand in which batch; pure functions of the fields."""

    @property
    def num_examples(self) -> int:
        """Size of the set."""
        ...

    @property
    def batch_size(self) -> int:
        """Examples of a global batch, over all processes."""
        ...

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        ...

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions of the examples in batch `index` (from 0) of `epoch`."""
        ...

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """A sampler that knows which positions, in ranges begin..end-1, come soon after a batch has begun."""

    def upcoming(self, epoch: int, index: int) -> list[tuple[int, int]]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochSampler:
    """Every example once an epoch, in shuffled batches; a set smaller than `batch_size` is one batch.

    Args:
        num_examples: size of the set.
        batch_size: examples of a global batch, over all processes.
        seed: another seed gives another order.
        drop_last: whether the rest that does not fill a batch is left out of an epoch (another rest each epoch).
    """

    num_examples: int
    batch_size: int
    seed: int = 0
    drop_last: bool = True

    def __post_init__(self) -> None:
        check_sizes(self.num_examples, self.batch_size)

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        return batches_in(self.num_examples, self.batch_size, drop_last=self.drop_last)

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions of the examples in batch `index` (from 0) of `epoch`."""
        places = places_of(self, epoch, index)
        if self.num_examples < LISTED:
            return _listed(self.num_examples, self.seed, epoch)[places]
        return _shuffled(self.num_examples, key_of(self.seed, epoch))(places)

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        return divmod(step, self.batches_per_epoch)


@dataclass(frozen=True, kw_only=True, eq=False)
class BalancedSampler:
    """Identities equally often, whatever their number of images; an epoch keeps its length.

    Identities follow one another in shuffled rounds; each goes through its own images in shuffled rounds too.

    Args:
        groups: the examples of each identity.
        batch_size, seed, drop_last: as in `EpochSampler`.
    """

    groups: Groups
    batch_size: int
    seed: int = 0
    drop_last: bool = True

    def __post_init__(self) -> None:
        check_sizes(self.num_examples, self.batch_size)

    @property
    def num_examples(self) -> int:
        """Size of the set."""
        return self.groups.num_examples

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        return batches_in(self.num_examples, self.batch_size, drop_last=self.drop_last)

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions of the examples in batch `index` (from 0) of `epoch`."""
        places = places_of(self, epoch, index)
        if self.num_examples < LISTED:
            return _balanced_order(self.groups, self.seed, epoch)[places]
        turns, slots = np.divmod(places, len(self.groups))
        which = np.empty_like(slots)
        for turn in np.unique(turns).tolist():
            here = turns == turn
            which[here] = _shuffled(len(self.groups), key_of(self.seed, epoch, 1, turn))(slots[here])
        return self.groups.drawn(which, turns, 1, key_of(self.seed, epoch, 2))[:, 0]

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        return divmod(step, self.batches_per_epoch)


def check_sizes(num_examples: int, batch_size: int) -> None:
    """Raise DataError unless both are at least 1."""
    if num_examples < 1:
        raise DataError(f"num_examples must be at least 1, got {num_examples}")
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}")


def batches_in(num_examples: int, batch_size: int, *, drop_last: bool) -> int:
    """Batches of an epoch, at least 1."""
    full, rest = divmod(num_examples, batch_size)
    return max(1, full if drop_last else full + bool(rest))


def check_batch(sampler: Sampler, epoch: int, index: int) -> None:
    """Raise DataError where an epoch has no such batch."""
    if epoch < 0 or not 0 <= index < sampler.batches_per_epoch:
        raise DataError(
            f"batch must be in 0..{sampler.batches_per_epoch - 1} of an epoch from 0, got {index} of {epoch}"
        )


def places_of(sampler: Sampler, epoch: int, index: int) -> NDArray[np.int64]:
    """The places in the order of an epoch that a batch takes up."""
    check_batch(sampler, epoch, index)
    begin = index * sampler.batch_size
    return np.arange(begin, min(begin + sampler.batch_size, sampler.num_examples), dtype=np.int64)


@lru_cache(maxsize=8)
def _shuffled(size: int, key: int) -> Permutation:
    return Permutation(size, key)


@lru_cache(maxsize=2)
def _listed(num_examples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(num_examples).astype(np.int64)


@lru_cache(maxsize=2)
def _balanced_order(groups: Groups, seed: int, epoch: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([seed, epoch])
    total, people = groups.num_examples, len(groups)
    labels = np.repeat(np.arange(people), groups.counts)
    shuffled = groups.at(np.lexsort((rng.random(total), labels)))
    order = np.empty((-(-total // people), people), dtype=np.int64)
    for turn in range(len(order)):
        images = shuffled[groups.starts + turn % groups.counts]
        order[turn] = images[rng.permutation(people)]
    return order.reshape(-1)[:total]
