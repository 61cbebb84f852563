"""Do pairs of two people score as one person does? One person under two names, or one photo in two folders."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.embeddings import EmbeddingSet

ALIKE = 0.99
_SHOWN = 3
_COLLAPSED = 0.01  # share of the impostor pairs from which on the model is at fault, not the names


def notes_on_alike(
    first: EmbeddingSet,
    scores: NDArray[np.float32],
    left: ArrayLike,
    right: ArrayLike,
    impostors: int,
    *,
    second: EmbeddingSet | None = None,
    count: int | None = None,
) -> tuple[str, ...]:
    """A sentence on impostor pairs that score above ALIKE; nothing where none does.

    scores [t], left, right [t]: impostor pairs as far as they are known, by rows of `first`, and of `second` where
    there is one.  impostors: how many were compared.  count: of pairs above ALIKE, where not all are among the scores.
    """
    above = np.flatnonzero(scores > ALIKE)
    count = len(above) if count is None else count
    if not count:
        return ()
    if count > max(_COLLAPSED * impostors, 10):
        return (
            f"{count:,} of {impostors:,} pairs of two people score above {ALIKE:g}: the model tells hardly anybody"
            " apart, or the names are wrong throughout",
        )
    order = above[np.argsort(-scores[above], kind="stable")][:_SHOWN]
    rows = np.asarray(left)[order], np.asarray(right)[order]
    pairs = [f"{first.describe(int(a))} and {(second or first).describe(int(b))}" for a, b in zip(*rows, strict=True)]
    return (_sentence(count, pairs),)


def _sentence(count: int, pairs: Sequence[str]) -> str:
    pairs_of = f"{count:,} pairs of two people score" if count > 1 else "1 pair of two people scores"
    first = f", first {'; '.join(pairs)}" if pairs else ""
    return (
        f"{pairs_of} above {ALIKE:g}, as photos of one person do: one person under two names, or one photo in two"
        f" folders{first}. They count as errors of the model: look at them with angulus data report FOLDER --model"
        " MODEL (two sets: angulus data leaks), which writes a list for --edits"
    )
