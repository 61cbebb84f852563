"""Batches of images in the order that the sampler says, whoever decodes them.

Every process computes the same global batch and reads its own contiguous slice of it, so that the slices of all
processes laid end to end are what one process would have seen. Workers only change the speed, never the order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.data.examples import Source, labels_of, will_need
from angulus.data.index.rows import rows_at
from angulus.data.loading.chunks import Chunks
from angulus.data.loading.workers import Piece, read_batches
from angulus.data.order.sampling import LooksAhead, Sampler
from angulus.data.views.split import Subset
from angulus.errors import DataError

_Place = tuple[int, int, int, int]  # epoch, batch in the epoch, first row of the slice, rows in the global batch


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The slice of a global batch that one process trains on."""

    examples: Tensor
    """Images uint8 [n, 3, height, width], RGB (where they were decoded, a view on pixels [n, height, width, 3]); or
    chunks of recordings, int16 [n, samples], or of stored features [n, frames, bands]."""
    labels: Tensor
    """int64 [n]."""
    indices: Tensor
    """int64 [n], positions in the source."""
    epoch: int
    index: int
    """Number of the batch in its epoch, from 0."""
    start: int
    """Row of the global batch at which this slice starts."""
    total: int
    """Rows of the global batch."""

    def __len__(self) -> int:
        return len(self.labels)


def batches(
    source: Source,
    sampler: Sampler,
    *,
    epoch: int = 0,
    start: int = 0,
    end_epoch: int | None = None,
    chunks: Chunks | None = None,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    prefetch: int = 2,
) -> Iterator[Batch]:
    """Batches from batch `start` of `epoch` to the end of the epoch before `end_epoch`.

    Args:
        source: where the images are; `InMemory` and views on it need no workers.
        sampler: which examples stand in which batch.
        epoch: where to begin, from 0.
        start: the first batch of that epoch, from 0: a resumed run passes the number of batches it has seen.
        end_epoch: the epoch to stop before; None stops at the end of `epoch`. Workers live until then.
        chunks: of recordings, how they are cut to one length a batch; None for images.
        rank: which slice of each batch, from 0.
        world_size: into how many slices a batch is cut; they differ by one row where it can't be cut evenly.
        num_workers: processes that decode; 0 decodes in this one.
        prefetch: batches that each worker holds ready.

    Raises DataError naming the example that can't be read, from a worker too.
    """
    if not 0 <= rank < world_size:
        raise DataError(f"rank must be in 0..{world_size - 1}, got {rank}")
    if sampler.num_examples != len(source):
        raise DataError(f"the sampler counts {sampler.num_examples} examples, the source {len(source)}")
    smallest = min(sampler.batch_size, sampler.num_examples)
    if smallest < world_size:
        raise DataError(f"a batch of {smallest} examples cannot be cut into {world_size} slices")
    plan = _Plan(sampler, epoch, start, epoch + 1 if end_epoch is None else end_epoch, rank, world_size, source, chunks)
    return _generate(source, plan, num_workers, prefetch)


def sequential(
    source: Source, batch_size: int, *, num_workers: int = 0, prefetch: int = 2
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, in order: (uint8 [n, 3, height, width], positions int64 [n]); the last batch may be smaller."""
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}")
    every = np.arange(len(source), dtype=np.int64)
    pieces = [every[begin : begin + batch_size] for begin in range(0, len(every), batch_size)]
    read = read_batches(source, pieces, num_workers=num_workers, prefetch=prefetch)
    for images, indices in zip(read, pieces, strict=True):
        yield images, torch.from_numpy(indices.copy())


def slice_of(rows: int, rank: int, world_size: int) -> tuple[int, int]:
    """Where the rows of one process begin and end in a global batch; the slices differ by one row at most."""
    return rows * rank // world_size, rows * (rank + 1) // world_size


@dataclass(frozen=True)
class _Plan:
    # Which rows to read for which batch; it can be walked any number of times.
    sampler: Sampler
    epoch: int
    start: int
    end_epoch: int
    rank: int
    world_size: int
    source: Source
    chunks: Chunks | None = None

    def __iter__(self) -> Iterator[Piece]:
        # rows of `root`, so that a worker needs nothing of a view on millions of images
        looks_ahead = self.sampler if isinstance(self.sampler, LooksAhead) else None
        for place, indices in self.walk():
            for begin, end in looks_ahead.upcoming(place[0], place[1]) if looks_ahead else ():
                will_need(self.source, begin, end)
            yield self._piece(place, indices)

    def first(self) -> Piece | None:
        """The first batch; nothing is fetched ahead."""
        return next((self._piece(place, indices) for place, indices in self.walk()), None)

    def _piece(self, place: _Place, indices: NDArray[np.int64]) -> Piece:
        rows = self._at_root(indices)
        if self.chunks is None:
            return rows
        epoch, index, start, total = place
        return self.chunks.cuts(rows, epoch=epoch, index=index, start=start, total=total)

    def _at_root(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows_at(self.source.rows, indices) if isinstance(self.source, Subset) else indices

    @property
    def root(self) -> Source:
        return self.source.source if isinstance(self.source, Subset) else self.source

    def walk(self) -> Iterator[tuple[_Place, NDArray[np.int64]]]:
        for epoch in range(self.epoch, self.end_epoch):
            first = self.start if epoch == self.epoch else 0
            for index in range(first, self.sampler.batches_per_epoch):
                rows = self.sampler.batch(epoch, index)
                begin, end = slice_of(len(rows), self.rank, self.world_size)
                if begin == end:
                    raise DataError(
                        f"batch {index} has {len(rows)} examples, too few for {self.world_size} processes; "
                        "set drop_last"
                    )
                yield (epoch, index, begin, len(rows)), rows[begin:end]


def _generate(source: Source, plan: _Plan, num_workers: int, prefetch: int) -> Iterator[Batch]:
    read = read_batches(plan.root, plan, first=plan.first(), num_workers=num_workers, prefetch=prefetch)
    for (place, indices), examples in zip(plan.walk(), read, strict=True):
        epoch, index, start, total = place
        yield Batch(
            examples=examples,
            labels=torch.from_numpy(labels_of(source, indices)),
            indices=torch.from_numpy(indices),
            epoch=epoch,
            index=index,
            start=start,
            total=total,
        )
