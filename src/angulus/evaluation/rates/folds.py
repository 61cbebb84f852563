"""How often is "same person or not" decided rightly: cross-validated accuracy over the folds of a pair list.

The decision threshold is chosen on all folds but one and applied to that one, in turn. Three named protocols; the first
two are the ones behind most published LFW figures and differ by up to 0.3 points on the same embeddings, so that a
figure without its protocol says little.

"mean-centred" (SphereFace, MobileFaceNet_Pytorch)
    x = [plain, flipped] side by side, raw; subtract the mean of x over both images of all training pairs; divide by the
    norm; score = cosine. Threshold: of -1, -0.9999, ..., 1 (20,001 of them) the mean of all that reach the best
    training accuracy; accept score > threshold.
"insightface" (insightface's verification.py)
    x = plain + flipped, the raw embeddings added; divide by the norm; distance = squared Euclidean distance.
    Threshold: of 0, 0.01, ..., 3.99 the first that reaches the best training accuracy; accept distance < threshold.
"plain" (for one's own data; needs no mirrored images)
    x = the view asked for, divided by its norm; score = cosine. Threshold: midpoints between neighbouring training
    scores, the middle one of those that reach the best training accuracy; accept score > threshold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.embeddings.directions import unit_rows
from angulus.errors import EvaluationError
from angulus.evaluation.scores.cosines import pair_scores
from angulus.evaluation.scores.pairs import Pairs

Protocol = Literal["plain", "mean-centred", "insightface"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

_CENTRED_GRID = np.arange(-10_000, 10_001) / 10_000
_DISTANCE_GRID = np.arange(0, 4, 0.01)


@dataclass(frozen=True, kw_only=True)
class FoldAccuracy:
    """One fold: `correct` of `pairs` decided rightly at the threshold that the other folds chose."""

    correct: int
    pairs: int
    threshold: float

    @property
    def accuracy(self) -> float:
        """Share of pairs decided rightly, 0 to 1."""
        return self.correct / self.pairs


@dataclass(frozen=True, kw_only=True)
class FoldedAccuracy:
    """Accuracy over the folds of a protocol; `measure` says what the thresholds are on."""

    protocol: Protocol
    measure: Literal["cosine", "squared distance"]
    folds: tuple[FoldAccuracy, ...]

    @property
    def mean(self) -> float:
        """Mean of the folds' accuracies."""
        return float(np.mean([fold.accuracy for fold in self.folds]))

    @property
    def std(self) -> float:
        """Standard deviation over the folds (divided by their number, as published figures are)."""
        return float(np.std([fold.accuracy for fold in self.folds]))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"protocol": self.protocol, "measure": self.measure, "mean": self.mean, "std": self.std},
            "folds": [
                {"accuracy": fold.accuracy, "threshold": fold.threshold, "correct": fold.correct, "pairs": fold.pairs}
                for fold in self.folds
            ],
        }


def protocol_view(protocol: Protocol, view: View | None, embeddings: EmbeddingSet) -> View:
    """The view a protocol uses: its own, or for "plain" the one asked for ("sum" where there are mirrored images)."""
    if protocol not in PROTOCOLS:
        raise EvaluationError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if protocol == "plain":
        return view or embeddings.usual_view
    own: View = "concat" if protocol == "mean-centred" else "sum"
    if view not in (None, own):
        raise EvaluationError(f"protocol {protocol!r} is defined on the view {own!r}, got {view!r}; leave view out")
    if embeddings.flipped is None:
        raise EvaluationError(
            f"protocol {protocol!r} needs the embeddings of the mirrored images, and this set has none;"
            " embed with flip=True or use the protocol 'plain'"
        )
    return own


def cannot_be_folded(pairs: Pairs) -> str:
    """Why an accuracy over the folds of these pairs cannot be had, "" where it can."""
    if pairs.fold is None:
        return "cross-validated accuracy needs the fold of each pair, and this pair list has none"
    numbers = np.unique(pairs.fold)
    if len(numbers) < 2:
        return f"cross-validation needs at least 2 folds, got {len(numbers)}"
    for number in numbers:
        kinds = np.unique(pairs.same[pairs.fold != number])
        if len(kinds) < 2:
            lacking = "genuine" if not kinds[0] else "impostor"
            return (
                f"the folds other than {number} must hold genuine and impostor pairs, got one kind: no {lacking} pair"
                " to choose a threshold with"
            )
    return ""


def folded_cosines(embeddings: EmbeddingSet, pairs: Pairs, *, protocol: Protocol, view: View) -> NDArray[np.float32]:
    """The cosine [p] of each pair as its own test fold sees it, which needs no accuracy."""
    if protocol != "mean-centred":
        return pair_scores(embeddings.unit(view), pairs)
    if pairs.fold is None or len(np.unique(pairs.fold)) < 2:
        raise EvaluationError(
            f"protocol {protocol!r} takes the mean of the other folds from each, and this pair list has one fold or"
            " none; use the protocol 'plain'"
        )
    vectors = embeddings.combined(view)
    cosines = np.empty(len(pairs), dtype=np.float32)
    for test in (pairs.fold == number for number in np.unique(pairs.fold)):
        cosines[test] = pair_scores(_centred(vectors, pairs, ~test), pairs)[test]
    return cosines


def folded_accuracy(
    embeddings: EmbeddingSet, pairs: Pairs, *, protocol: Protocol = "plain", view: View | None = None
) -> tuple[FoldedAccuracy, NDArray[np.float32]]:
    """Cross-validated accuracy, and the cosine [p] of each pair as its own test fold saw it.

    Only "mean-centred" gives a pair another cosine in each fold; the second result is what ROC curves are made of.
    Raises EvaluationError without folds, or when a fold's training part lacks genuine or impostor pairs.
    """
    view = protocol_view(protocol, view, embeddings)
    folds = []
    cosines = np.empty(len(pairs), dtype=np.float32)
    for test, scores in _scores_by_fold(embeddings, pairs, protocol, view):
        cosines[test] = scores[test]
        if protocol == "insightface":
            scores = 2 * scores - 2  # minus the squared distance of unit vectors: higher is more alike
        threshold = _choose_threshold(scores[~test], pairs.same[~test], protocol)
        accepted = scores[test].astype(np.float64) > threshold  # float32 could round the threshold onto a score
        correct = int((accepted == pairs.same[test]).sum())
        shown = -threshold if protocol == "insightface" else threshold
        folds.append(FoldAccuracy(correct=correct, pairs=int(test.sum()), threshold=shown))
    measure = "squared distance" if protocol == "insightface" else "cosine"
    return FoldedAccuracy(protocol=protocol, measure=measure, folds=tuple(folds)), cosines


def decided_rightly(accuracy: FoldedAccuracy, cosines: NDArray[np.float32], pairs: Pairs) -> NDArray[np.bool_]:
    """Which pairs [p] were decided rightly, each at the threshold of its fold; both as `folded_accuracy` gave them."""
    measured = 2 * cosines - 2 if accuracy.measure == "squared distance" else cosines
    right = np.zeros(len(pairs), dtype=bool)
    for test, fold in zip(_test_masks(pairs), accuracy.folds, strict=True):
        threshold = -fold.threshold if accuracy.measure == "squared distance" else fold.threshold
        right[test] = (measured[test].astype(np.float64) > threshold) == pairs.same[test]
    return right


def _scores_by_fold(
    embeddings: EmbeddingSet, pairs: Pairs, protocol: Protocol, view: View
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
    """For each fold: which pairs are its test, and the cosine of every pair as this fold computes it."""
    tests = _test_masks(pairs)
    if protocol != "mean-centred":
        scores = pair_scores(embeddings.unit(view), pairs)
        yield from ((test, scores) for test in tests)
        return
    vectors = embeddings.combined(view)
    for test in tests:
        yield test, pair_scores(_centred(vectors, pairs, ~test), pairs)


def _test_masks(pairs: Pairs) -> list[NDArray[np.bool_]]:
    if why := cannot_be_folded(pairs):
        raise EvaluationError(why)
    assert pairs.fold is not None
    return [pairs.fold == number for number in np.unique(pairs.fold)]


def _centred(vectors: NDArray[np.float32], pairs: Pairs, train: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Unit vectors after subtracting the mean over both images of the training pairs (an image counts at each use)."""
    pairs.check_rows(len(vectors))
    uses = np.bincount(np.concatenate([pairs.left[train], pairs.right[train]]), minlength=len(vectors))
    mean = (uses.astype(np.float64) @ vectors) / uses.sum()
    centred = vectors - mean.astype(np.float32)
    return unit_rows(centred)[0]


def _choose_threshold(scores: NDArray[np.float32], same: NDArray[np.bool_], protocol: Protocol) -> float:
    genuine, impostor = np.sort(scores[same]).astype(np.float64), np.sort(scores[~same]).astype(np.float64)
    if protocol == "plain":
        every = np.unique(scores).astype(np.float64)
        grid = np.concatenate([[every[0] - 1e-3], (every[:-1] + every[1:]) / 2, [every[-1]]])
    else:
        grid = _CENTRED_GRID if protocol == "mean-centred" else -_DISTANCE_GRID
    accepted = len(genuine) - np.searchsorted(genuine, grid, side="right")
    rejected = np.searchsorted(impostor, grid, side="right")
    correct = accepted + rejected
    best = grid[correct == correct.max()]
    if protocol == "mean-centred":
        return float(best.mean())
    return float(best[0] if protocol == "insightface" else best[len(best) // 2])
