"""Whose images are compared: scores with the people behind them, and what drawing people anew does to their weights.

Two pairs that share a person are not independent. Here a set of n_s images of S people is resampled by drawing S people
with replacement; a person drawn w_s times gives each of their genuine pairs the weight w_s and each impostor pair with
person t the weight w_s w_t (the two-way "pigeonhole" bootstrap, Owen 2007). The total weight of all impostor pairs,
sum_{s<t} w_s w_t n_s n_t, has a closed form, so that only the scores at the top (the tail) are ever touched.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError

Weights = NDArray[np.uint8]
_BATCH = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """How many impostor comparisons there are of each two people, without listing them all.

    All pairs of a set: `one` [S] and `other` [S], the number of pairs of s and t being one_s other_t + one_t other_s.
    Listed pairs: left, right [u], count [u]: each two people once. One-way (a probe against a fixed gallery): right is
    None and a comparison has the weight of its probe's person alone.
    """

    one: NDArray[np.float64] | None = None
    other: NDArray[np.float64] | None = None
    left: NDArray[np.int64] | None = None
    right: NDArray[np.int64] | None = None
    count: NDArray[np.float64] | None = None

    def totals(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Total weight of the impostor comparisons in each replicate; weights: float64 [b, S]."""
        if self.one is not None and self.other is not None:
            return (weights @ self.one) * (weights @ self.other) - (weights**2) @ (self.one * self.other)
        assert self.left is not None
        assert self.count is not None
        factors = weights[:, self.left]
        return (factors if self.right is None else factors * weights[:, self.right]) @ self.count

    def per_subject(self, subjects: int) -> NDArray[np.float64]:
        """Number of comparisons that each person takes part in [S]."""
        if self.one is not None and self.other is not None:
            return self.one * self.other.sum() + self.other * self.one.sum() - 2 * self.one * self.other
        assert self.left is not None
        found = np.zeros(subjects)
        for side in (self.left, self.right):
            if side is not None:
                found += np.bincount(side, weights=self.count, minlength=subjects)
        return found

    def squares(self) -> float:
        """Sum over each two people of their number of comparisons, squared."""
        if self.one is not None and self.other is not None:
            own = float(((self.one * self.other) ** 2).sum())
            crossed = float((self.one**2).sum() * (self.other**2).sum()) - own
            return crossed + float((self.one * self.other).sum()) ** 2 - own
        assert self.count is not None
        return float((self.count**2).sum())

    def between(self, left: NDArray[np.int64], right: NDArray[np.int64], subjects: int) -> NDArray[np.float64]:
        """Number of comparisons of each of these couples of people [k]."""
        if self.one is not None and self.other is not None:
            return self.one[left] * self.other[right] + self.one[right] * self.other[left]
        assert self.left is not None
        assert self.count is not None
        keys = couple_keys(self.left, self.right, subjects)
        order = np.argsort(keys)
        return self.count[order[np.searchsorted(keys[order], couple_keys(left, right, subjects))]]


@dataclass(frozen=True, kw_only=True, eq=False)
class SubjectScores:
    """Genuine scores and the highest impostor scores, each with its people; people are numbered 0 to subjects - 1.

    genuine: float32 [g], descending; genuine_subject: int64 [g]. tail: the t highest impostor scores, float32 [t],
    descending, exact (no impostor outside scores higher); tail_left, tail_right: int64 [t], tail_right None where only
    probes are resampled. impostors: how many impostor comparisons there are in all. Make one with the class methods.
    """

    subjects: int
    genuine: NDArray[np.float32]
    genuine_subject: NDArray[np.int64]
    tail: NDArray[np.float32]
    tail_left: NDArray[np.int64]
    tail_right: NDArray[np.int64] | None
    impostors: int
    compared: Compared

    @property
    def complete(self) -> bool:
        """True when the tail holds every impostor score."""
        return len(self.tail) == self.impostors

    @classmethod
    def of_pairs(
        cls, scores: ArrayLike, same: ArrayLike, left_subject: ArrayLike, right_subject: ArrayLike | None
    ) -> Self:
        """Listed pairs: scores [p], same bool [p], the people of both sides [p] (any whole numbers).

        right_subject None: impostor comparisons have one person only (probes against a fixed gallery).
        """
        values, kind = finite("scores", scores), np.asarray(same, dtype=bool)
        sides = [np.asarray(side) for side in (left_subject, right_subject) if side is not None]
        _check_lengths(values, kind, *sides)
        names, numbers = np.unique(np.concatenate(sides), return_inverse=True)
        left = numbers[: len(values)]
        right = None if right_subject is None else numbers[len(values) :]
        if right is not None and (left == right)[~kind].any():
            bad = int(np.flatnonzero(~kind & (left == right))[0])
            raise EvaluationError(f"an impostor pair must have two people, pair {bad} has {names[left[bad]]} twice")
        if right is not None and (left != right)[kind].any():
            bad = int(np.flatnonzero(kind & (left != right))[0])
            raise EvaluationError(f"a genuine pair must have one person, pair {bad} has two")
        others = None if right is None else right[~kind]
        keys, counts = np.unique(couple_keys(left[~kind], others, len(names)), return_counts=True)
        low, high = (keys, None) if right is None else (keys // len(names), keys % len(names))
        compared = Compared(left=low, right=high, count=counts.astype(np.float64))
        parts = (values[kind], left[kind], values[~kind], left[~kind], others)
        return cls._sorted(len(names), *parts, int((~kind).sum()), compared)

    @classmethod
    def of_all_pairs(
        cls,
        labels: ArrayLike,
        *,
        genuine: ArrayLike,
        genuine_rows: ArrayLike,
        tail: ArrayLike,
        tail_left: ArrayLike,
        tail_right: ArrayLike,
        against: ArrayLike | None = None,
    ) -> Self:
        """All pairs of a labelled set, from all genuine scores and the highest impostor scores, by rows of the set.

        labels: whole numbers [n]. genuine: float32 [g] with genuine_rows int64 [g] (either row of the pair); tail with
        tail_left and tail_right int64 [t]. against: labels of a second group of images whose pairs with the first are
        meant instead (a breakdown across groups); tail_right then counts rows of `against`.
        """
        first = np.asarray(labels)
        second = first if against is None else np.asarray(against)
        names, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
        one, other = numbers[: len(first)], numbers[len(first) :]
        counts = [np.bincount(side, minlength=len(names)).astype(np.float64) for side in (one, other)]
        compared = Compared(one=counts[0], other=counts[1] / (2 if against is None else 1))
        total = round(float(compared.totals(np.ones((1, len(names))))[0]))
        rows = [np.asarray(rows, dtype=np.int64) for rows in (genuine_rows, tail_left, tail_right)]
        own, left, right = (side[part] for side, part in zip((one, one, other), rows, strict=True))
        values = [finite("genuine", genuine), finite("tail", tail)]
        return cls._sorted(len(names), values[0], own, values[1], left, right, total, compared)

    @classmethod
    def _sorted(
        cls,
        subjects: int,
        genuine: NDArray[np.float32],
        genuine_subject: NDArray[np.int64],
        tail: NDArray[np.float32],
        left: NDArray[np.int64],
        right: NDArray[np.int64] | None,
        impostors: int,
        compared: Compared,
    ) -> Self:
        _check_lengths(genuine, genuine_subject)
        _check_lengths(tail, left, *([] if right is None else [right]))
        if len(tail) > impostors:
            raise EvaluationError(
                f"the tail must be part of the impostor scores, got {len(tail):,} scores of {impostors:,}"
            )
        own, order = np.argsort(-genuine, kind="stable"), np.argsort(-tail, kind="stable")
        return cls(
            **{"subjects": subjects, "genuine": genuine[own], "genuine_subject": genuine_subject[own]},
            **{"tail": tail[order], "tail_left": left[order], "tail_right": None if right is None else right[order]},
            **{"impostors": impostors, "compared": compared},
        )

    def restricted(self, chosen: NDArray[np.bool_]) -> Self:
        """The comparisons among the chosen people only, who are numbered anew; chosen: bool [subjects]."""
        kept = chosen[self.tail_left] & (True if self.tail_right is None else chosen[self.tail_right])
        own = chosen[self.genuine_subject]
        numbers = np.cumsum(chosen) - 1
        compared = _restricted(self.compared, chosen, numbers)
        count = int(chosen.sum())
        total = round(float(compared.totals(np.ones((1, count)))[0]))
        right = None if self.tail_right is None else numbers[self.tail_right[kept]]
        genuine = (self.genuine[own], numbers[self.genuine_subject[own]])
        return type(self)._sorted(
            count, *genuine, self.tail[kept], numbers[self.tail_left[kept]], right, total, compared
        )


def _restricted(compared: Compared, chosen: NDArray[np.bool_], numbers: NDArray[np.int64]) -> Compared:
    if compared.one is not None and compared.other is not None:
        return Compared(one=compared.one[chosen], other=compared.other[chosen])
    assert compared.left is not None
    assert compared.count is not None
    kept = chosen[compared.left] & (True if compared.right is None else chosen[compared.right])
    right = None if compared.right is None else numbers[compared.right[kept]]
    return Compared(left=numbers[compared.left[kept]], right=right, count=compared.count[kept])


def draw_weights(subjects: int, replicates: int, seed: int) -> Weights:
    """How often each person is drawn in each replicate: uint8 [replicates, subjects], rows sum to `subjects`."""
    if subjects < 2 or replicates < 2:
        raise EvaluationError(
            f"a bootstrap needs at least 2 people and 2 replicates, got {subjects} people and {replicates} replicates"
        )
    random = np.random.default_rng(seed)
    rows = (np.bincount(random.integers(subjects, size=subjects), minlength=subjects) for _ in range(replicates))
    return np.stack([np.minimum(row, 255).astype(np.uint8) for row in rows])


def batches(weights: Weights) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Replicates a few at a time in float64: 1,000 times 100,000 people would be 800 MB."""
    for start in range(0, len(weights), _BATCH):
        part = slice(start, start + _BATCH)
        yield part, weights[part].astype(np.float64)


def couple_keys(left: NDArray[np.int64], right: NDArray[np.int64] | None, subjects: int) -> NDArray[np.int64]:
    """One number for each two people, whatever their order; the person's own where there is no second."""
    return left if right is None else np.minimum(left, right) * subjects + np.maximum(left, right)


def finite(name: str, values: ArrayLike) -> NDArray[np.float32]:
    """Values as float32 [n]; NaN or infinity is an EvaluationError that names the row (-inf is allowed: no match)."""
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != 1:
        raise EvaluationError(f"{name} must be a list of numbers, got the shape {list(array.shape)}")
    bad = np.flatnonzero(np.isnan(array) | (array == np.inf))
    if len(bad):
        raise EvaluationError(f"{name} must be finite, got {array[bad[0]]} in row {bad[0]} ({len(bad)} such rows)")
    return array


def _check_lengths(values: NDArray[np.float32], *others: NDArray[np.generic]) -> None:
    for other in others:
        if other.shape != values.shape:
            raise EvaluationError(
                f"each score must have its people and its kind, got {len(values)} scores and {len(other)} entries"
            )
