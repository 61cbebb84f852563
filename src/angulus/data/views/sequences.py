"""Recordings or features kept in memory, one after the other in one array, each of its own length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account, Source, account_of, bytes_of, labels_of, stamp_of
from angulus.data.parts import part_of
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """n examples [length, ...] of unlike lengths.

    values: [total, ...], all examples one after the other.  ends: int64 [n], where each ends in `values`.
    source: what they were read from, which knows their bytes; None where this is all there is.
    """

    values: NDArray[Any]
    ends: NDArray[np.int64]
    labels: NDArray[np.int64]
    identities: Sequence[str]
    keys: Sequence[str]
    origin: str
    source: Source | None = None

    @staticmethod
    def load(source: Source, *, progress: Callable[[int, int], None] | None = None) -> "Sequences":
        """Read every recording of a source once. Raises DataError naming what cannot be read."""
        parts: list[NDArray[Any]] = []
        for index in range(len(source)):
            parts.append(source.read(index))
            if progress is not None:
                progress(index + 1, len(source))
        if not parts:
            raise DataError("a source needs at least 1 recording, got 0")
        return Sequences(
            values=np.concatenate(parts),
            ends=np.cumsum([len(part) for part in parts]),
            labels=np.asarray(source.labels, dtype=np.int64),
            identities=source.identities,
            keys=source.keys,
            origin=account_of(source).origin,
            source=source,
        )

    @property
    def account(self) -> Account:
        """What the source kept and dropped, or how many examples there are."""
        if self.source is not None:
            return account_of(self.source)
        return Account(origin=self.origin, images=len(self), identities=len(self.identities), noun="recording")

    def __len__(self) -> int:
        return len(self.ends)

    def labels_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Labels [n] of the examples at `indices` [n]."""
        return self.labels[indices] if self.source is None else labels_of(self.source, indices)

    def length_of(self, index: int) -> int:
        """Samples or frames of one example."""
        return int(self.ends[index]) - (int(self.ends[index - 1]) if index else 0)

    def read(self, index: int) -> NDArray[Any]:
        """One example [length, ...]; shares the memory."""
        end = int(self.ends[index])
        return self.values[end - self.length_of(index) : end]

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of one example; shares the memory."""
        return part_of(self.read(index), share, length)

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded recording, where the source holds one."""
        return None if self.source is None else bytes_of(self.source, index)

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of this example; its length and checksum where there is no source."""
        if self.source is not None:
            return stamp_of(self.source, index, times=times)
        values = np.ascontiguousarray(self.read(index))
        return f"{len(values)}:{crc32(values.tobytes())}"
