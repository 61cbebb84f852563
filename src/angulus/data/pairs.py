"""Pairs drawn for verification: half of them of one identity (genuine), half of two (impostor), in folds.

The folds share no identity where there are enough of them, so that a threshold chosen on nine folds is tried on
people it has not seen. Genuine pairs go round the identities: one pair of each, then a second of each, so that a
person with hundreds of images does not fill the list. Impostor pairs draw two identities uniformly, then an image
of each.
Reference: Huang et al., Labeled Faces in the Wild, 2007, section on the construction of View 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError

MOST_PAIRS = 6000


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of examples, each field [p]."""

    first: NDArray[np.int64]
    """Positions of examples; `second` likewise."""
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    """Whether the pair is genuine."""
    fold: NDArray[np.int64]
    """From 0."""
    disjoint: bool
    """Whether no identity is in two folds."""

    def __len__(self) -> int:
        return len(self.first)


def draw_pairs(labels: NDArray[np.int64], *, num_pairs: int | None = None, seed: int = 0, folds: int = 10) -> Pairs:
    """Balanced pairs without repetition, fold after fold, in each the genuine pairs first.

    Args:
        labels: [n] identity of each example.
        num_pairs: how many in all, a multiple of 2 * folds; None takes as many as every fold can give, 6000 at most.
        seed: another seed draws other pairs and other folds.
        folds: 10 as in LFW. With fewer than two identities a fold, all folds draw from all identities.

    Raises DataError when the labels can't give so many pairs, saying how many they can give.
    """
    if folds < 1:
        raise DataError(f"folds must be at least 1, got {folds}")
    rng = np.random.default_rng([seed, folds])
    members = _members(labels)
    disjoint = len(members) >= 2 * folds
    groups = _deal(members, folds if disjoint else 1, rng)
    shared = 1 if disjoint else folds  # how many folds one group serves
    per_group = _pairs_of_a_kind(groups, num_pairs, folds, shared)
    parts = [_draw_fold(group, per_group, rng) for group in groups]
    first, second, same = (np.concatenate(column) for column in zip(*parts, strict=True))
    fold = np.repeat(np.arange(len(groups)), 2 * per_group)
    if not disjoint:
        fold = np.arange(2 * per_group) % per_group % folds
        order = np.lexsort((~same, fold))
        first, second, same, fold = first[order], second[order], same[order], fold[order]
    return Pairs(first=first, second=second, same=same, fold=fold.astype(np.int64), disjoint=disjoint)


def _members(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(labels, kind="stable")
    bounds = np.flatnonzero(np.diff(labels[order])) + 1
    return [group for group in np.split(order, bounds) if len(group)]


def _deal(members: Sequence[NDArray[np.int64]], folds: int, rng: np.random.Generator) -> list[list[NDArray[np.int64]]]:
    # Identities that can give genuine pairs are dealt out first, so that every fold gets its share of them.
    order = rng.permutation(len(members))
    single = np.array([len(members[index]) < 2 for index in order], dtype=bool)
    dealt = order[np.argsort(single, kind="stable")]
    return [[members[index] for index in dealt[fold::folds]] for fold in range(folds)]


def _pairs_of_a_kind(
    groups: Sequence[Sequence[NDArray[np.int64]]], num_pairs: int | None, folds: int, shared: int
) -> int:
    possible = min(min(_count_genuine(group), _count_impostor(group)) for group in groups) // shared
    if possible < 1:
        raise DataError(
            f"{sum(map(len, groups))} identities in {folds} folds cannot give a genuine and an impostor pair in each "
            "fold; use fewer folds or more identities with at least 2 images"
        )
    if num_pairs is None:
        return min(possible, max(1, MOST_PAIRS // (2 * folds))) * shared
    if num_pairs < 1 or num_pairs % (2 * folds):
        raise DataError(f"num_pairs must be a positive multiple of 2 * folds = {2 * folds}, got {num_pairs}")
    if num_pairs > possible * 2 * folds:
        raise DataError(
            f"num_pairs={num_pairs} is more than these labels can give: at most {possible * 2 * folds} "
            f"({possible} genuine and as many impostor pairs in each of {folds} folds)"
        )
    return num_pairs // (2 * folds) * shared


def _count_genuine(group: Sequence[NDArray[np.int64]]) -> int:
    return sum(len(images) * (len(images) - 1) // 2 for images in group)


def _count_impostor(group: Sequence[NDArray[np.int64]]) -> int:
    total = sum(len(images) for images in group)
    return total * (total - 1) // 2 - _count_genuine(group)


def _draw_fold(
    group: Sequence[NDArray[np.int64]], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    genuine = _genuine(group, count, rng)
    impostor = _impostor(group, count, rng)
    both = np.concatenate([genuine, impostor])
    return both[:, 0], both[:, 1], np.arange(2 * count) < count


def _genuine(group: Sequence[NDArray[np.int64]], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    pairs: list[NDArray[np.int64]] = []
    turns: list[NDArray[np.int64]] = []
    for images in group:
        possible = len(images) * (len(images) - 1) // 2
        if not possible:
            continue
        drawn = rng.choice(possible, size=min(possible, count), replace=False)
        pairs.append(_unrank(drawn, images))
        turns.append(np.arange(len(drawn)))
    turn = np.concatenate(turns)
    order = np.lexsort((rng.random(len(turn)), turn))
    return np.concatenate(pairs)[order[:count]]


def _unrank(number: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.int64]:
    # Pair number k counts the pairs (high, low) with high > low: k = high (high - 1) / 2 + low.
    high = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > number
    low = number - high * (high - 1) // 2
    return np.stack([images[low], images[high]], axis=1)


def _impostor(group: Sequence[NDArray[np.int64]], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    seen: set[tuple[int, int]] = set()
    for _ in range(20 * count):
        left, right = rng.choice(len(group), size=2, replace=False)
        pair = (int(rng.choice(group[left])), int(rng.choice(group[right])))
        seen.add((min(pair), max(pair)))
        if len(seen) == count:
            break
    if len(seen) < count:  # nearly every pair is wanted: list them all
        seen = _all_impostors(group, seen, count, rng)
    pairs = np.array(sorted(seen), dtype=np.int64)
    return pairs[rng.permutation(count)]


def _all_impostors(
    group: Sequence[NDArray[np.int64]], seen: set[tuple[int, int]], count: int, rng: np.random.Generator
) -> set[tuple[int, int]]:
    every = [
        (int(min(one, other)), int(max(one, other)))
        for number, images in enumerate(group)
        for more in group[number + 1 :]
        for one in images
        for other in more
    ]
    missing = sorted(set(every) - seen)
    order = rng.permutation(len(missing))[: count - len(seen)]
    return seen | {missing[index] for index in order}
