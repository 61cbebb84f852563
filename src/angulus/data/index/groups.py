"""The examples of each identity, for samplers: where they start and how many they are, or one sorted order.

Where the images of an identity lie together, as conversion and folders leave them, 16 bytes an identity are all that is
kept; else the positions sorted by label as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.data.examples import Source, labels_of
from angulus.data.index.permutation import mixed, permuted
from angulus.data.index.rows import blocks, smallest
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """labels, starts, counts: [c], of the identities that have an image, by label. Build it with `of` or `of_labels`.

    order: [n] positions of the examples by label; None where they lie so already.
    """

    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    order: NDArray[np.integer] | None = None

    @staticmethod
    def of(source: Source) -> "Groups":
        """The examples of a source by identity. Raises DataError for a source without one."""

        def read(begin: int, end: int) -> NDArray[np.int64]:
            return labels_of(source, np.arange(begin, end))

        return _grouped(read, len(source), len(source.identities))

    @staticmethod
    def of_labels(labels: ArrayLike) -> "Groups":
        """The same for labels [n] of at least 0."""
        numbers = np.asarray(labels, dtype=np.int64)
        return _grouped(lambda begin, end: numbers[begin:end], len(numbers), int(numbers.max(initial=-1)) + 1)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_examples(self) -> int:
        """Of all identities."""
        return int(self.counts.sum())

    def at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of the examples at places of the order by label."""
        return places if self.order is None else self.order[places].astype(np.int64)

    def drawn(self, which: NDArray[np.int64], turn: NDArray[np.int64], images: int, key: int) -> NDArray[np.int64]:
        """Positions [m, images] of different examples of identities `which` [m], for the `turn`-th time [m] from 0.

        Each identity goes through its examples in a shuffled order, cut into pieces of `images`, another order when
        all pieces were given; an identity with fewer examples repeats them as evenly as can be.
        """
        counts = self.counts[which]
        cycle, piece = np.divmod(turn, np.maximum(counts // images, 1))
        slots = (piece[:, None] * images + np.arange(images)) % counts[:, None]
        keys = mixed(mixed(mixed(which) ^ np.uint64(key)) + cycle.astype(np.uint64))
        return self.at(self.starts[which][:, None] + permuted(slots, counts[:, None], keys[:, None]))


def counts_of(source: Source) -> NDArray[np.int64]:
    """Images of each identity [c]."""
    known = getattr(source, "counts", None)
    if isinstance(known, np.ndarray):
        return known
    total = np.zeros(len(source.identities), dtype=np.int64)
    for begin, end in blocks(len(source)):
        total += np.bincount(labels_of(source, np.arange(begin, end)), minlength=len(total))
    return total


def _grouped(read: Callable[[int, int], NDArray[np.int64]], size: int, most: int) -> Groups:
    if not size:
        raise DataError("examples cannot be grouped by identity: there is none")
    counts, is_sorted, last = np.zeros(most, dtype=np.int64), True, -1
    for begin, end in blocks(size):
        labels = read(begin, end)
        counts += np.bincount(labels, minlength=most)
        is_sorted = is_sorted and int(labels[0]) >= last and bool((labels[1:] >= labels[:-1]).all())
        last = int(labels[-1])
    present = np.flatnonzero(counts)
    starts = np.cumsum(counts[present]) - counts[present]
    order = None if is_sorted else _sorted_order(read, size, most)
    return Groups(labels=present, starts=starts, counts=counts[present], order=order)


def _sorted_order(read: Callable[[int, int], NDArray[np.int64]], size: int, most: int) -> NDArray[np.integer]:
    labels = np.concatenate([smallest(read(begin, end), most) for begin, end in blocks(size)])
    return smallest(np.argsort(labels, kind="stable"), size)
