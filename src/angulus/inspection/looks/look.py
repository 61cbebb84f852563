"""What every kind of example must say of itself so that a set of it can be looked at: its columns, hashes and words.

The pass over a set (`contents`), the search for copies, the figures and the page know examples by this alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.inspection.hashing import BITS

Same = Literal["same pixels", "same samples", "same frames"]

HASH_BYTES = BITS // 8
COMMON = (("readable", "?"), ("bytes", "<i8"), ("format", "<i2"), ("bytes_digest", "<u8"), ("values_digest", "<u8"))
"""Columns that every kind has; bytes: -1 where an example is not stored as a file of its own."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """What an example, who is in it, and what two copies share are called; `many`, `people`: of several."""

    one: str
    many: str
    person: str
    people: str
    picture: str
    footer: str


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number of every example: the column, what it is called on the page, and the digits to show."""

    column: str
    title: str
    digits: int = 0
    bars: bool = True


@dataclass(frozen=True, kw_only=True)
class Extreme:
    """Examples to look at: those with the smallest value of a column, or the largest."""

    title: str
    column: str
    largest: bool = False


@dataclass(frozen=True, kw_only=True)
class CopyBounds:
    """From which agreement on two examples are called copies: `copy`, or `by_hash` where at most `few_bits` differ."""

    copy: float
    by_hash: float
    few_bits: int


@dataclass(frozen=True, kw_only=True)
class Concern:
    """Something that looks wrong in some examples. rows: int64; act: worth a line in the list of edits."""

    what: str
    sentence: str
    rows: NDArray[np.int64]
    act: bool = True


class Look(Protocol):
    """How one kind of example is looked at."""

    @property
    def words(self) -> Words: ...

    @property
    def columns(self) -> np.dtype[np.void]:
        """Of a row: `COMMON` and its own."""
        ...

    @property
    def hashes(self) -> Sequence[tuple[str, str]]:
        """Pairs of columns of hashes that are compared: one example's, and the other's."""
        ...

    @property
    def same(self) -> Same:
        """What two examples are called that decode to equal values."""
        ...

    @property
    def bounds(self) -> CopyBounds: ...

    @property
    def measures(self) -> Sequence[Measure]: ...

    @property
    def extremes(self) -> Sequence[Extreme]: ...

    def decode(self, source: Source, index: int, content: bytes | None) -> NDArray[Any]:
        """One example from its stored bytes, or from the source that has none. Raises DataError."""
        ...

    def spectra(self, example: NDArray[Any]) -> NDArray[np.float32]:
        """Of the pictures that are hashed: [k, 256]."""
        ...

    def measured(self, example: NDArray[Any], content: bytes | None, typical: NDArray[np.float32]) -> Mapping[str, Any]:
        """Its own columns; typical: the spectra [k, 256] that are taken out before hashing."""
        ...

    def kind(self, example: NDArray[Any], content: bytes | None) -> str:
        """How it is stored, for example "JPEG RGB" or "FLAC PCM_16"."""
        ...

    def agreement(self, one: NDArray[Any], other: NDArray[Any]) -> float:
        """How well two examples agree once laid over each other, -1 to 1."""
        ...

    def telling(self, rows: NDArray[np.void]) -> NDArray[np.bool_]:
        """Which rows [n] can be read and hold enough for a hash to say something."""
        ...

    def concerns(self, rows: NDArray[np.void]) -> list[Concern]:
        """What looks wrong, of the rows of a set."""
        ...
