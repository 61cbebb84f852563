"""In which order the examples of several sets are seen, where every batch holds so many of each.

Set h has q_h examples in every batch of B: weight_h / sum of weights of them, rounded to whole numbers whose sum is B,
at least one (`quotas`). They stand spread over the batch, in the same places of every batch (`pattern`), so that the
slices of processes and micro-batches have their share as well. A set is gone through in a shuffled order that begins
anew, in another order, after its last example, wherever that falls:

    the j-th example of set h in step t  =  entry t q_h + j of  shuffle(h, 0), shuffle(h, 1), ...

An epoch is as many batches as all sets have examples for, taken together once: N // B. A set of n_h examples is then
gone through about q_h N / (B n_h) times. Everything is a function of the seed, the epoch and the number of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from angulus.data.index.permutation import Permutation, key_of
from angulus.data.order.sampling import LISTED
from angulus.errors import DataError


def quotas(weights: Sequence[float], batch_size: int) -> list[int]:
    """How many examples of each set stand in a batch: the shares of the weights, by largest remainders.

    A set whose share would round to none gets one, from the set that has the most. Raises DataError for a weight that
    is not above 0, and for a batch with fewer examples than there are sets.
    """
    if not weights or not all(np.isfinite(weight) and weight > 0 for weight in weights):
        raise DataError(f"the weight of every set must be above 0, got {list(weights)}")
    if batch_size < len(weights):
        raise DataError(f"a batch of {batch_size} examples cannot hold one of each of {len(weights)} sets")
    exact = np.asarray(weights, dtype=np.float64) / np.sum(weights) * batch_size
    counts = np.floor(exact + 1e-9).astype(np.int64)
    for number in np.argsort(counts - exact, kind="stable")[: batch_size - int(counts.sum())]:
        counts[number] += 1
    for number in np.flatnonzero(counts == 0):
        counts[np.argmax(counts)] -= 1
        counts[number] = 1
    return counts.tolist()


def spread(counts: Sequence[int]) -> NDArray[np.int64]:
    """[sum of counts], the number of the set in each place of a batch: every set at even distances."""
    places = [(np.arange(count) + 0.5) / count for count in counts]
    sets = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return sets[np.lexsort((sets, np.concatenate(places)))]


@dataclass(frozen=True, kw_only=True, eq=False)
class MixedSampler:
    """Batches with a fixed number of examples of every set.

    Args:
        sets: [num_examples], from which set each example is, counted from 0.
        weights: of the sets, in their order; only their ratios count.
        batch_size: examples of a global batch, over all processes.
        seed: another seed gives another order.
    """

    sets: NDArray[np.int64]
    weights: tuple[float, ...]
    batch_size: int
    seed: int = 0
    counts: tuple[int, ...] = field(init=False)
    pattern: NDArray[np.int64] = field(init=False)
    """[batch_size], the set in each place of every batch."""
    _places: list[NDArray[np.int64]] = field(init=False, repr=False)
    _orders: dict[int, dict[int, NDArray[np.int64]]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        counts = quotas(self.weights, self.batch_size)
        places = [np.flatnonzero(self.sets == number) for number in range(len(counts))]
        empty = [number for number, some in enumerate(places) if not len(some)]
        if empty or (len(self.sets) and int(self.sets.max()) >= len(counts)):
            raise DataError(
                f"every one of {len(counts)} sets needs an example, and no other may have any; set "
                f"{empty[0] if empty else int(self.sets.max())} is against it"
            )
        for name, value in (("counts", tuple(counts)), ("pattern", spread(counts)), ("_places", places)):
            object.__setattr__(self, name, value)

    @property
    def num_examples(self) -> int:
        """Of all sets together."""
        return len(self.sets)

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        return max(1, self.num_examples // self.batch_size)

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions of the examples in batch `index` (from 0) of `epoch`."""
        if epoch < 0 or not 0 <= index < self.batches_per_epoch:
            raise DataError(
                f"batch must be in 0..{self.batches_per_epoch - 1} of an epoch from 0, got {index} of {epoch}"
            )
        step = epoch * self.batches_per_epoch + index
        rows = np.empty(self.batch_size, dtype=np.int64)
        for number, count in enumerate(self.counts):
            rows[self.pattern == number] = self._stretch(number, step * count, count)
        return rows

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        return divmod(step, self.batches_per_epoch)

    def _stretch(self, number: int, begin: int, count: int) -> NDArray[np.int64]:
        # `count` examples of a set from `begin` on, over as many rounds through the set as that takes
        size = len(self._places[number])
        entries = np.arange(begin, begin + count)
        found = np.empty(count, dtype=np.int64)
        for turn in range(begin // size, (begin + count - 1) // size + 1):
            here = entries // size == turn
            found[here] = self._shuffled(number, turn, entries[here] % size)
        return found

    def _shuffled(self, number: int, turn: int, entries: NDArray[np.int64]) -> NDArray[np.int64]:
        size = len(self._places[number])
        if size < LISTED:
            return self._order(number, turn)[entries]
        return self._places[number][Permutation(size, key_of(self.seed, number, turn))(entries)]

    def _order(self, number: int, turn: int) -> NDArray[np.int64]:
        kept = self._orders.setdefault(number, {})
        if turn not in kept:
            for old in sorted(kept)[:-1]:  # the round before is still asked for by batches that reach over its end
                del kept[old]
            rng = np.random.default_rng([self.seed, number, turn])
            kept[turn] = self._places[number][rng.permutation(len(self._places[number]))]
        return kept[turn]
