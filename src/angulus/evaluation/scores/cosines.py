"""How alike are the images of one person, and of two: cosine scores of listed pairs or of all pairs of a set."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.scores.pairs import Pairs

# All pairs are held in memory; 400 million float32 scores are 1.6 GB.
MOST_PAIRS = 400_000_000
_BLOCK_ROWS = 512
_BLOCK_PAIRS = 65_536


@dataclass(frozen=True, eq=False)
class Scores:
    """Similarities of genuine pairs (one person) and of impostor pairs (two people); a higher score is more alike.

    Both float32 and kept in ascending order, so that the order in which they are given changes nothing.
    Raises EvaluationError when one of them is empty or not finite.
    """

    genuine: NDArray[np.float32]
    impostor: NDArray[np.float32]

    def __post_init__(self) -> None:
        check_kinds(len(self.genuine), len(self.impostor))
        object.__setattr__(self, "genuine", _sorted("genuine", self.genuine))
        object.__setattr__(self, "impostor", _sorted("impostor", self.impostor))

    @classmethod
    def of_pairs(cls, scores: NDArray[np.float32], pairs: Pairs) -> "Scores":
        """Part the scores [p] of listed pairs into genuine and impostor."""
        return cls(scores[pairs.same], scores[~pairs.same])


def check_kinds(genuine: int, impostors: int, where: str = "") -> None:
    """Raise EvaluationError naming the kind of pair that there is none of."""
    if genuine and impostors:
        return
    lacking = "genuine" if not genuine else "impostor"
    there = f"all {genuine + impostors:,} pairs are of {'one person' if genuine else 'two people'}"
    raise EvaluationError(
        f"TAR, EER and AUC need genuine and impostor pairs, and there is no {lacking} pair"
        f" ({there if genuine or impostors else 'there are no pairs at all'}){where}; give pairs of both kinds"
    )


def pair_scores(vectors: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float32]:
    """Cosines [p] of listed pairs; vectors: unit vectors float32 [n, d]. Rounding may pass 1 by 1e-7."""
    pairs.check_rows(len(vectors))
    scores = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _BLOCK_PAIRS):
        part = slice(start, start + _BLOCK_PAIRS)
        scores[part] = np.einsum("pd,pd->p", vectors[pairs.left[part]], vectors[pairs.right[part]])
    return scores


def all_pair_scores(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Scores:
    """Cosines of each of the n (n - 1) / 2 pairs of a labelled set, computed in blocks of rows and held in memory.

    vectors: unit vectors float32 [n, d]; labels: int64 [n], at least 0. Raises EvaluationError for unlabelled rows and
    for more than MOST_PAIRS pairs.
    """
    labels = checked_labels(labels, len(vectors))
    counts = np.unique(labels, return_counts=True)[1]
    genuine_count = int((counts * (counts - 1) // 2).sum())
    total = len(labels) * (len(labels) - 1) // 2
    if total > MOST_PAIRS:
        raise EvaluationError(
            f"all pairs of a set are held in memory, at most {MOST_PAIRS:,}; {len(labels):,} examples make {total:,};"
            " draw a pair list or select fewer"
        )
    genuine = np.empty(genuine_count, dtype=np.float32)
    impostor = np.empty(total - genuine_count, dtype=np.float32)
    filled_genuine = filled_impostor = 0
    for _, scores, same, later in _upper_blocks(vectors, labels):
        own, other = scores[same & later], scores[~same & later]
        genuine[filled_genuine : filled_genuine + len(own)] = own
        impostor[filled_impostor : filled_impostor + len(other)] = other
        filled_genuine += len(own)
        filled_impostor += len(other)
    genuine.sort()  # in place: Scores keeps a sorted array as it is, without a second copy
    impostor.sort()
    return Scores(genuine, impostor)


@dataclass(frozen=True)
class ScoredPair:
    """One comparison: the rows of its two images and their score."""

    left: int
    right: int
    score: float


def hardest_pairs(
    vectors: NDArray[np.float32],
    *,
    pairs: Pairs | None = None,
    labels: NDArray[np.int64] | None = None,
    count: int = 12,
) -> tuple[list[ScoredPair], list[ScoredPair]]:
    """The `count` genuine pairs of lowest score and impostor pairs of highest score, hardest first.

    Looks at the listed pairs, or at all pairs of a labelled set when `pairs` is None. Wrong labels show up here first.
    """
    if pairs is not None:
        scores = pair_scores(vectors, pairs)
        candidates = [(pairs.left, pairs.right, scores, pairs.same)]
    elif labels is not None:
        candidates = _hard_candidates(vectors, checked_labels(labels, len(vectors)), count)
    else:
        raise EvaluationError("hardest_pairs needs pairs or labels, got neither")
    left, right, scores, same = (np.concatenate(column) for column in zip(*candidates, strict=True))

    def hardest(kind: NDArray[np.bool_], sign: float) -> list[ScoredPair]:
        order = sorted(np.flatnonzero(kind), key=lambda i: (sign * scores[i], left[i], right[i]))[:count]
        return [ScoredPair(int(left[i]), int(right[i]), float(scores[i])) for i in order]

    return hardest(same, 1.0), hardest(~same, -1.0)


def _hard_candidates(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], count: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]]:
    """The hardest of each block: among them are the hardest of all."""
    found = []
    for start, scores, same, later in _upper_blocks(vectors, labels):
        for kind, sign in ((same & later, 1.0), (~same & later, -1.0)):
            rows, columns = np.nonzero(kind)
            values = scores[rows, columns]
            if len(values) > count:
                picked = np.argpartition(sign * values, count)[:count]
                rows, columns, values = rows[picked], columns[picked], values[picked]
            found.append((rows + start, columns + start, values, np.full(len(values), sign > 0)))
    return found


def _upper_blocks(
    vectors: NDArray[np.float32], labels: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]]:
    """Blocks of rows against all rows from the block's first on: first row, scores, same person, column after row."""
    for start in range(0, len(labels), _BLOCK_ROWS):
        rows = slice(start, min(start + _BLOCK_ROWS, len(labels)))
        scores = vectors[rows] @ vectors[start:].T
        same = labels[rows, None] == labels[None, start:]
        later = np.arange(scores.shape[1])[None, :] > np.arange(scores.shape[0])[:, None]
        yield start, scores, same, later


def checked_labels(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    """Labels int64 [count]; raises EvaluationError for another length and for unlabelled rows."""
    labels = np.asarray(labels, dtype=np.int64)
    if labels.shape != (count,):
        raise EvaluationError(f"labels must have one entry for each of the {count} images, got {list(labels.shape)}")
    unlabelled = np.flatnonzero(labels < 0)
    if len(unlabelled):
        raise EvaluationError(
            f"all pairs need a label of at least 0 for each image, got {labels[unlabelled[0]]} in row {unlabelled[0]}"
            f" ({len(unlabelled)} such rows); select the labelled rows first"
        )
    return labels


def _sorted(name: str, values: ArrayLike) -> NDArray[np.float32]:
    scores = np.asarray(values, dtype=np.float32)
    if scores.ndim != 1:
        raise EvaluationError(f"{name} scores must be a list, got the shape {list(scores.shape)}")
    if not bool(np.all(scores[:-1] <= scores[1:])):  # NaN compares false, so that it reaches the sort and lands last
        scores = np.sort(scores)
    if not (np.isfinite(scores[0]) and np.isfinite(scores[-1])):
        raise EvaluationError(f"{name} scores must be finite, got NaN or infinity; check the embeddings")
    return scores
