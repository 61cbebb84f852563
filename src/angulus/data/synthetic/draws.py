"""Where do a face's numbers come from? Counter-based random draws that depend on nothing but their place.

Every parameter is a field of a dataclass and says in its annotation how it is drawn; its place among the fields is its
slot in the stream, so that new fields go at the end and leave the old ones as they were. One 64-bit word of Philox
makes one parameter. The raw words are fixed by numpy's compatibility policy, numpy's distributions are not: those are
made here, from additions and multiplications alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar, get_type_hints

import numpy as np

Record = TypeVar("Record")

PEOPLE_STREAM, VIEW_STREAM, NOISE_STREAM = 0, 1, 2


@dataclass(frozen=True)
class Draw:
    """How one parameter is drawn: with probability `chance` from the law, otherwise `rest`."""

    is_normal: bool
    first: float
    second: float
    chance: float
    rest: float


def normal(mean: float, spread: float) -> Draw:
    """Drawn about `mean` with standard deviation `spread`, never farther than 3.5 spreads away."""
    return Draw(True, mean, spread, 1.0, mean)


def uniform(low: float, high: float, *, rest: float | None = None) -> Draw:
    """Drawn evenly between `low` and `high`; without nuisance it is `rest` (the middle unless given)."""
    return Draw(False, low, high, 1.0, (low + high) / 2 if rest is None else rest)


def sometimes(chance: float, low: float, high: float, *, rest: float = 0.0) -> Draw:
    """`rest` except with probability `chance`, when drawn evenly between `low` and `high`."""
    return Draw(False, low, high, chance, rest)


@cache
def _plan(kind: type) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the fields, and their draws as a table [5, fields]."""
    draws = {name: hint.__metadata__[0] for name, hint in get_type_hints(kind, include_extras=True).items()}
    table = [[d.is_normal, d.first, d.second, d.chance, d.rest] for d in draws.values()]
    return tuple(draws), np.array(table).T


def words(seed: int, stream: int, identity: int, view: int, count: int) -> np.ndarray:
    """The first `count` raw 64-bit words of the stream of this identity and view."""
    key = np.array([seed, stream], dtype=np.uint64)
    counter = np.array([0, view, identity, 0], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(count)


def sample(
    kind: type[Record], seed: int, stream: int, places: Sequence[tuple[int, int]], strength: float = 1.0
) -> Record:
    """Draw a record of arrays [n] for n places (identity, view).

    `strength` scales how far a value goes from its rest, and the chance that it leaves it at all.
    """
    names, (is_normal, first, second, chance, rest) = _plan(kind)
    raw = np.stack([words(seed, stream, identity, view, len(names)) for identity, view in places])
    even = (raw >> np.uint64(11)) * 2.0**-53
    quarters = sum((raw >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48))
    bell = (quarters / 65536.0 - 2.0) * 3.0**0.5  # a sum of four uniforms: mean 0, variance 1
    reached = np.where(chance < 1, np.minimum(chance * strength, 1.0), 1.0)
    inside = even / np.maximum(reached, 1e-12)
    drawn = np.where(is_normal > 0, first + second * bell, first + (second - first) * inside)
    moved = np.where(chance < 1, drawn, rest + strength * (drawn - rest))
    values = np.where(even < reached, moved, rest)
    return kind(**{name: values[:, slot] for slot, name in enumerate(names)})
