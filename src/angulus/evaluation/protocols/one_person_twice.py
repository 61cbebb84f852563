"""Do pairs of two people score as one person does? One person under two names, or one photo in two folders."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALIKE = 0.99
_SHOWN = 3
_COLLAPSED = 0.01  # share of the impostor pairs from which on the model is at fault, not the names


class Described(Protocol):
    """What has a name for each of its examples: a set of embeddings, or what was noted of one."""

    @property
    def noun(self) -> str:
        """What an example is called: image or recording."""
        ...

    def describe(self, row: int) -> str:
        """A name for a row in messages."""
        ...


def notes_on_alike(
    first: Described,
    scores: NDArray[np.float32],
    left: ArrayLike,
    right: ArrayLike,
    impostors: int,
    *,
    second: Described | None = None,
    count: int | None = None,
) -> tuple[str, ...]:
    """A sentence on impostor pairs that score above ALIKE; nothing where none does.

    scores [t], left, right [t]: impostor pairs as far as they are known, by rows of `first`, and of `second` where
    there is one.  impostors: how many were compared.  count: of pairs above ALIKE, where not all are among the scores.
    """
    above = int((scores > ALIKE).sum())
    count = above if count is None else count
    if not count:
        return ()
    if count > max(_COLLAPSED * impostors, 10):
        return (
            f"{count:,} of {impostors:,} pairs of two people score above {ALIKE:g}: the model tells hardly anybody"
            " apart, or the names are wrong throughout",
        )
    rows = alike_rows(scores, left, right)
    pairs = [f"{first.describe(int(a))} and {(second or first).describe(int(b))}" for a, b in zip(*rows, strict=True)]
    return (_sentence(count, pairs, "photo" if first.noun == "image" else first.noun),)


def alike_rows(
    scores: NDArray[np.float32], left: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The images of the few most alike pairs above ALIKE, which a note names; nothing where they are not known."""
    rows = np.asarray(left), np.asarray(right)
    above = np.flatnonzero(scores[: len(rows[0])] > ALIKE)
    order = above[np.argsort(-scores[above], kind="stable")][:_SHOWN]
    return rows[0][order], rows[1][order]


def _sentence(count: int, pairs: Sequence[str], what: str) -> str:
    pairs_of = f"{count:,} pairs of two people score" if count > 1 else "1 pair of two people scores"
    first = f", first {'; '.join(pairs)}" if pairs else ""
    return (
        f"{pairs_of} above {ALIKE:g}, as {what}s of one person do: one person under two names, or one {what} in"
        f" two folders{first}. They count as errors of the model: look at them with angulus data report FOLDER --model"
        " MODEL (two sets: angulus data leaks), which writes a list for --edits"
    )
