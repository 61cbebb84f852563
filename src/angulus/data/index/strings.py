"""Millions of names without a Python object for each: one text, and where each name ends in it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

_WIDEST = 64


@dataclass(frozen=True, eq=False)
class StringTable(Sequence[str]):
    """Names that are decoded when asked for; `text` and `ends` may lie in a mapped file."""

    text: NDArray[np.uint8]
    ends: NDArray[np.uint64]
    """[n], where each name ends in the text."""

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        begin = int(self.ends[place - 1]) if place else 0
        return decode_name(self.text[begin : int(self.ends[place])].tobytes())

    def __iter__(self) -> Iterator[str]:
        step = 2**16
        for begin in range(0, len(self), step):
            yield from map(decode_name, self.many(np.arange(begin, min(begin + step, len(self)))))

    def many(self, rows: NDArray[np.int64]) -> list[bytes]:
        """The names at rows [n] in UTF-8, without a Python object for anything else."""
        if not len(rows):
            return []
        stops = self.ends[rows].astype(np.int64)
        starts = np.where(rows > 0, self.ends[rows - 1].astype(np.int64), 0)
        low, high = int(starts.min()), int(stops.max())
        if high - low > _WIDEST * int((stops - starts).sum() + 1):  # names far apart, not worth reading all between
            return [self.text[start:stop].tobytes() for start, stop in zip(starts, stops, strict=True)]
        text = self.text[low:high].tobytes()
        return [text[start:stop] for start, stop in zip((starts - low).tolist(), (stops - low).tolist(), strict=True)]


def ends_of(names: Iterable[str], count: int) -> NDArray[np.uint64]:
    """Where each of `count` names ends when they are written one after the other."""
    lengths = np.fromiter((len(encode_name(name)) for name in names), dtype=np.uint64, count=count)
    return np.cumsum(lengths, dtype=np.uint64)


def encode_name(name: str) -> bytes:
    """UTF-8; names of files that are no UTF-8 keep their bytes."""
    return name.encode("utf-8", "surrogateescape")


def decode_name(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
