"""Images of a source in batches, decoded ahead: here, or by worker processes where decoding is what takes the time."""

import math
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from angulus.data.examples import ReadsInto, ReadsMany, Source
from angulus.data.index.rows import rows_at
from angulus.data.loading.workers import Rows, read_batches
from angulus.data.views.split import Subset

BATCHES_PER_WORKER = 8
"""Fewer are read sooner than a process has started."""
MOST_WORKERS = 16


def pieces_of(count: int, size: int) -> list[Rows]:
    """The rows of every batch; the last may be smaller."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def rest(source: Source, pieces: list[Rows], workers: int) -> Iterator[Tensor]:
    """The images of the pieces, in order. Raises DataError naming what cannot be read, from a worker too."""
    if not pieces:
        return iter(())
    while isinstance(source, Subset):
        pieces = [rows_at(source.rows, rows) for rows in pieces]
        source = source.source
    return read_batches(source, pieces, num_workers=workers)


def workers_for(pieces: int, *, reading: float, computing: float, lanes: int, cores: int) -> int:
    """How many processes decode. 0: this one does, beside computing.

    pieces: batches to come.  reading, computing: seconds that a batch takes to be decoded, and on one lane to be
    computed.  lanes: batches that are computed beside each other.
    """
    busy = reading * lanes / max(computing, 1e-9)  # batches that are computed while one is decoded
    if busy <= 0.8:
        return 0
    wanted = math.ceil(1.25 * busy)
    return max(0, min(wanted, pieces // BATCHES_PER_WORKER, cores - 1, MOST_WORKERS))


def is_in_memory(source: Source) -> bool:
    """Whether images only have to be copied."""
    while isinstance(source, Subset):
        source = source.source
    return isinstance(source, ReadsMany) and not isinstance(source, ReadsInto)
