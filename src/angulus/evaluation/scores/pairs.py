"""Which images are compared with which: pair lists by row number, and lists drawn from a labelled set."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """p comparisons between rows of one embedding set.

    left, right: int64 [p], row numbers. same: bool [p], True for two images of one person (genuine).
    fold: int64 [p], the part of a cross-validation each pair belongs to, numbered from 0; None when there is none.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "left", np.asarray(self.left, dtype=np.int64))
        set_field(self, "right", np.asarray(self.right, dtype=np.int64))
        set_field(self, "same", np.asarray(self.same, dtype=bool))
        if self.fold is not None:
            set_field(self, "fold", np.asarray(self.fold, dtype=np.int64))
        for name in ("right", "same", "fold"):
            values = getattr(self, name)
            if values is not None and values.shape != self.left.shape:
                raise EvaluationError(
                    f"{name} must have one entry for each of the {len(self.left)} pairs, got {list(values.shape)}"
                )

    def __len__(self) -> int:
        return len(self.left)

    def check_rows(self, count: int) -> None:
        """Raise EvaluationError unless every row number is in 0..count-1."""
        for name, rows in (("left", self.left), ("right", self.right)):
            if len(rows) and (rows.min() < 0 or rows.max() >= count):
                bad = int(np.flatnonzero((rows < 0) | (rows >= count))[0])
                raise EvaluationError(
                    f"pairs must name rows 0 to {count - 1} of the embeddings, got {rows[bad]} as {name} of pair {bad}"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedPairs:
    """p comparisons by image name: left and right names, same bool [p], fold int64 [p] numbered from 0 or None."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.left)

    def names(self) -> list[str]:
        """Every image named, once, in the order of first use."""
        return list(dict.fromkeys(name for pair in zip(self.left, self.right, strict=True) for name in pair))


def draw_pairs(labels: NDArray[np.integer], *, folds: int = 10, per_fold: int | None = None, seed: int = 0) -> Pairs:
    """Draw a balanced pair list as LFW's is made: folds share no person, each is half genuine and half impostor pairs.

    labels: whole numbers [n]. per_fold: genuine pairs of a fold, and as many impostor pairs; None takes what the
    poorest fold can give, at most 300. Genuine pairs are spread evenly over people, no pair is drawn twice, and the
    same labels and seed give the same list. Raises EvaluationError when a fold cannot give `per_fold` of either kind.
    """
    labels = np.asarray(labels)
    if folds < 1:
        raise EvaluationError(f"folds must be at least 1, got {folds}")
    random = np.random.default_rng(seed)
    people = _people_by_fold(labels, folds, random)
    capacities = [min(_genuine_capacity(fold), _impostor_capacity(fold)) for fold in people]
    poorest = int(np.argmin(capacities))
    wanted = min(300, capacities[poorest]) if per_fold is None else per_fold
    if wanted < 1 or wanted > capacities[poorest]:
        raise EvaluationError(
            f"fold {poorest} can give {capacities[poorest]} genuine and impostor pairs, {max(wanted, 1)} are wanted;"
            f" use fewer than {folds} folds, fewer pairs per fold, or more people with two or more images"
        )
    rows, same, fold_numbers = [], [], []
    for number, fold in enumerate(people):
        genuine = _draw_genuine(fold, wanted, random)
        rows += genuine + _draw_impostors(fold, wanted, random)
        same += [True] * wanted + [False] * wanted
        fold_numbers += [number] * (2 * wanted)
    left, right = np.array(rows, dtype=np.int64).T
    return Pairs(left=left, right=right, same=np.array(same), fold=np.array(fold_numbers))


def _people_by_fold(
    labels: NDArray[np.integer], folds: int, random: np.random.Generator
) -> list[list[NDArray[np.int64]]]:
    """For each fold a list of people, each the rows of their images; dealt by turns so that folds are alike.

    People with several images are dealt first: they alone give genuine pairs.
    """
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    people = np.split(order, starts[1:]) if len(order) else []
    shuffled = [people[index] for index in random.permutation(len(people))]
    shuffled.sort(key=lambda rows: len(rows) < 2)
    return [shuffled[fold::folds] for fold in range(folds)]


def _genuine_capacity(people: list[NDArray[np.int64]]) -> int:
    return sum(len(rows) * (len(rows) - 1) // 2 for rows in people)


def _impostor_capacity(people: list[NDArray[np.int64]]) -> int:
    images = sum(len(rows) for rows in people)
    return images * (images - 1) // 2 - _genuine_capacity(people)


def _draw_genuine(people: list[NDArray[np.int64]], count: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """One fresh pair per person and round, until there are enough: no celebrity fills the list."""
    decks = []
    for rows in people:
        capacity = len(rows) * (len(rows) - 1) // 2
        decks.append(list(random.choice(capacity, size=min(capacity, count), replace=False)) if capacity else [])
    drawn: list[tuple[int, int]] = []
    while len(drawn) < count:
        for person in random.permutation(len(people)):
            if decks[person] and len(drawn) < count:
                low, high = _pair_of_index(int(decks[person].pop()))
                drawn.append((int(people[person][low]), int(people[person][high])))
    return drawn


def _pair_of_index(index: int) -> tuple[int, int]:
    """The index-th of the pairs (0,1), (0,2), (1,2), (0,3), ..."""
    high = int((1 + np.sqrt(1 + 8 * index)) // 2)
    high += (high + 1) * high // 2 <= index  # the square root may round either way
    high -= high * (high - 1) // 2 > index
    return index - high * (high - 1) // 2, high


def _draw_impostors(people: list[NDArray[np.int64]], count: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Two different people at random, one image of each; all pairs are listed when nearly all of them are wanted."""
    if _impostor_capacity(people) < 4 * count:
        every = [(int(a), int(b)) for one, other in combinations(people, 2) for a in one for b in other]
        return [every[index] for index in random.choice(len(every), size=count, replace=False)]
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < count:
        one, other = random.choice(len(people), size=2, replace=False)
        a, b = int(random.choice(people[one])), int(random.choice(people[other]))
        drawn[min(a, b), max(a, b)] = None
    return list(drawn)
