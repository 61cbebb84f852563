"""Chunks of recordings: a batch has one length, and each example a place in its recording, drawn from the seed.

Recordings differ in length and a batch is one tensor, so that a step sees a chunk of each. The length of a batch and
the places are drawn for the global batch from (seed, epoch, batch): two processes read what one would, and a resumed
run what an uninterrupted one does. A recording that is shorter than the chunk is repeated.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.data.examples import Source
from angulus.data.index.rows import rows_at
from angulus.data.parts import read_part
from angulus.data.views.split import Subset
from angulus.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cuts:
    """Chunks of the recordings at `rows` [n], all of one length; shares: [n] in [0, 1), where each begins."""

    rows: Rows
    shares: NDArray[np.float64]
    length: int

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """How chunks are drawn.

    frames: the shortest and the longest; each batch has a length between them.
    length_of: what so many frames are made of: samples, or frames themselves.
    """

    frames: tuple[int, int]
    length_of: Callable[[int], int]
    seed: int = 0

    def __post_init__(self) -> None:
        check_frames(self.frames)

    def cuts(self, rows: Rows, *, epoch: int, index: int, start: int, total: int) -> Cuts:
        """The chunks of the rows that begin at row `start` of batch `index` of an epoch, which has `total` rows."""
        digest = hashlib.sha256(f"chunks:{self.seed}:{epoch}:{index}".encode()).digest()
        random = np.random.default_rng(np.frombuffer(digest[:16], dtype=np.uint64))
        frames = int(random.integers(self.frames[0], self.frames[1] + 1))
        shares = random.random(total)[start : start + len(rows)]
        return Cuts(rows=rows, shares=shares, length=self.length_of(frames))


def check_frames(frames: tuple[int, int]) -> None:
    """Raise ValueError unless frames are a shortest and a longest chunk."""
    if len(frames) != 2 or not 1 <= frames[0] <= frames[1]:
        raise ValueError(f"frames must be the shortest and the longest chunk, such as (200, 400), got {frames}")


def read_cuts(source: Source, cuts: Cuts) -> Tensor:
    """The chunks of a batch: int16 [n, samples], or features [n, frames, bands] of their own type.

    Raises DataError for a recording without a sample, and where the source holds images.
    """
    while isinstance(source, Subset):
        source, cuts = source.source, replace(cuts, rows=rows_at(source.rows, cuts.rows))
    parts = [
        repeated(read_part(source, row, share, cuts.length), cuts.length, source.keys, row)
        for row, share in zip(cuts.rows.tolist(), cuts.shares.tolist(), strict=True)
    ]
    return torch.from_numpy(np.stack(parts))


def repeated(part: NDArray[Any], length: int, keys: Any, row: int) -> NDArray[Any]:
    """A part of the length, from its beginning again where it is shorter."""
    if part.ndim > 2:
        raise DataError(f"{keys[row]} is an image, and the model takes recordings")
    if len(part) == length:
        return part
    if not len(part):
        raise DataError(f"{keys[row]} has no sample; remove it, or set data.on_unreadable=skip")
    return np.take(part, np.arange(length) % len(part), axis=0)
