"""Which rows of a large set a view shows, and their names, in little memory: ranges where rows follow one another.

ranges [2, 5) and [8, 10)  ->  rows 2 3 4 8 9       starts = [2, 8], ends = [3, 5]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from angulus.data.index.strings import StringTable, decode_name, encode_name

BLOCK = 2**20
_BYTES_OF_A_RANGE = 16


@dataclass(frozen=True, eq=False)
class Ranges:
    """Rows that come in ranges. starts [k]: the first row of each; ends [k]: how many rows there are up to its end."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @staticmethod
    def whole(count: int) -> "Ranges":
        """The rows 0..count-1."""
        return Ranges(np.zeros(1, dtype=np.int64), np.array([count], dtype=np.int64))

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows at places [n]."""
        places = np.asarray(places, dtype=np.int64)
        if _is_run(places):
            return self.between(int(places[0]), int(places[-1]) + 1)
        part = np.searchsorted(self.ends, places, side="right")
        return self.starts[part] + places - self._begins(part)

    def between(self, begin: int, end: int) -> NDArray[np.int64]:
        """The rows at the places begin..end-1, faster than one by one."""
        if begin >= end:
            return np.empty(0, dtype=np.int64)
        first, last = np.searchsorted(self.ends, [begin, end - 1], side="right")
        part = np.arange(first, last + 1)
        lows = np.maximum(self._begins(part), begin)
        lengths = np.minimum(self.ends[part], end) - lows
        shifts = self.starts[part] - self._begins(part)
        return np.repeat(shifts, lengths) + np.arange(begin, end)

    def _begins(self, part: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(part > 0, self.ends[part - 1], 0)


def _is_run(places: NDArray[np.int64]) -> bool:
    near = places.ndim == 1 and len(places) > 1 and int(places[-1] - places[0]) == len(places) - 1
    return near and bool((np.diff(places) == 1).all())


Rows = Ranges | NDArray[np.integer]
"""Rows of a source in the order of a view."""


def rows_at(rows: Rows, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows at places [n]."""
    return rows[places].astype(np.int64, copy=False)


def block_of(rows: Rows, begin: int, end: int) -> NDArray[np.int64]:
    """The rows at the places begin..end-1."""
    return rows.between(begin, end) if isinstance(rows, Ranges) else rows[begin:end].astype(np.int64)


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """Beginning and end of pieces that are worked on at a time."""
    for begin in range(0, count, BLOCK):
        yield begin, min(begin + BLOCK, count)


def smallest(values: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """Whole numbers of at least 0 in the smallest type that holds `most`."""
    return values.astype(np.min_scalar_type(max(most, 0)), copy=False)


def kept_rows(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    """The rows where `keep` [n] is true, in their order, as ranges where these take less memory than numbers."""
    if isinstance(rows, Ranges):
        found = _kept_ranges(rows, keep, 4 * int(np.count_nonzero(keep)) // _BYTES_OF_A_RANGE)
        if found is not None:
            return found
    largest = _largest(rows)
    pieces = [smallest(block_of(rows, begin, end)[keep[begin:end]], largest) for begin, end in blocks(len(keep))]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint8)


def _kept_ranges(rows: Ranges, keep: NDArray[np.bool_], most: int) -> Ranges | None:
    """The same as ranges; None where there are more than `most`."""
    edges, total = [np.zeros(1, dtype=np.int64)], len(rows.ends)
    for begin, end in blocks(len(keep)):
        begin = max(begin, 1)
        edges.append(np.flatnonzero(keep[begin:end] != keep[begin - 1 : end - 1]) + begin)
        total += len(edges[-1]) // 2
        if total > most:
            return None
    # a range of places is cut where the view itself goes on elsewhere
    cuts = np.union1d(np.concatenate(edges), rows.ends)
    lows, lengths = cuts[:-1], np.diff(cuts)
    inside = keep[lows]
    return Ranges(rows[lows[inside]], np.cumsum(lengths[inside]))


def taken_rows(rows: Rows, places: NDArray[np.int64]) -> Rows:
    """The rows at any places, in the order of these."""
    count = len(places)
    if count == len(rows) and all(np.array_equal(places[b:e], np.arange(b, e)) for b, e in blocks(count)):
        return rows
    largest = _largest(rows)
    pieces = [smallest(rows_at(rows, places[begin:end]), largest) for begin, end in blocks(count)]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint8)


def _largest(rows: Rows) -> int:
    if isinstance(rows, Ranges):
        widths = np.diff(rows.ends, prepend=0)
        return int((rows.starts + widths).max(initial=0))
    return int(np.iinfo(rows.dtype).max)


@dataclass(frozen=True, eq=False)
class Picked(Sequence[str]):
    """Some names of a sequence, looked up when asked for; equal to any sequence of the same names."""

    names: Sequence[str]
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self.names[int(rows_at(self.rows, np.array([places]))[0])]
        return names_at(self, np.array(places, dtype=np.int64))

    def __iter__(self) -> Iterator[str]:
        for begin, end in blocks(len(self)):
            yield from names_at(self.names, block_of(self.rows, begin, end))

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # pyrefly: ignore[bad-override]


def names_at(names: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    """The names at any rows [n]."""
    while isinstance(names, Picked):
        names, rows = names.names, rows_at(names.rows, rows)
    if isinstance(names, StringTable):
        return [decode_name(text) for text in names.many(rows)]
    return list(map(names.__getitem__, rows.tolist()))


def encoded_at(names: Sequence[str], rows: NDArray[np.int64]) -> list[bytes]:
    """The same names in UTF-8."""
    while isinstance(names, Picked):
        names, rows = names.names, rows_at(names.rows, rows)
    if isinstance(names, StringTable):
        return names.many(rows)
    return [encode_name(names[row]) for row in rows.tolist()]
