"""How often is the right class among the first: errors over known classes, also where their sizes are uneven.

    top-k error        share of images whose true class is not among the k of highest score
    class accuracy     share of a class's images whose highest score is the true class's
    balanced accuracy  mean of the class accuracies over the classes that have test images
    many, medium, few  classes with more than 100, 20 to 100, and fewer than 20 training images (Liu et al., Large-Scale
                       Long-Tailed Recognition, CVPR 2019; CIFAR-10-LT and CIFAR-100-LT)

Ties are pessimistic: the true class stands behind every other class of the same score, so that equal scores for all
classes are an error. Where a tie hides the true class, the first other class of that score counts as the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError

_BLOCK_ROWS = 1024
MANY_ABOVE = 100
FEW_BELOW = 20


@dataclass(frozen=True, kw_only=True)
class TopError:
    """The true class is not among the first k for `wrong` of `images`."""

    k: int
    wrong: int
    images: int

    @property
    def error(self) -> float:
        """Top-k error, 0 to 1."""
        return self.wrong / self.images


@dataclass(frozen=True, kw_only=True)
class ClassGroup:
    """Classes of like size in training: `correct` of the `images` of their tests; classes without a test not counted.

    balanced: mean of the class accuracies, None where no class of the group has a test image.
    """

    name: str
    classes: int
    correct: int
    images: int
    balanced: float | None

    @property
    def accuracy(self) -> float | None:
        """Share of the group's test images answered rightly; None without any."""
        return self.correct / self.images if self.images else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        counts = {"classes": self.classes, "correct": self.correct, "images": self.images}
        return {"name": self.name, **counts, "accuracy": self.accuracy, "balanced_accuracy": self.balanced}


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassificationResult:
    """top: the errors at each k. confusion: int64 [c, c], true class by answer. groups: many, medium, few, or none."""

    top: tuple[TopError, ...]
    confusion: NDArray[np.int64]
    groups: tuple[ClassGroup, ...] = ()

    @property
    def images(self) -> int:
        """Test images."""
        return int(self.confusion.sum())

    @property
    def class_accuracies(self) -> NDArray[np.float64]:
        """Accuracy of each class [c]; NaN where a class has no test image."""
        return _class_accuracies(self.confusion)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the class accuracies over the classes that have test images."""
        return float(np.nanmean(self.class_accuracies))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; classes without test images have the accuracy None."""
        accuracies = [None if np.isnan(value) else value for value in self.class_accuracies.tolist()]
        return {
            **{"images": self.images, "classes": len(self.confusion)},
            "top_error": [
                {"k": top.k, "wrong": top.wrong, "images": top.images, "error": top.error} for top in self.top
            ],
            **{"balanced_accuracy": self.balanced_accuracy, "class_accuracies": accuracies},
            "groups": [group.as_dict() for group in self.groups],
            "confusion": self.confusion.tolist(),
        }

    def table(self) -> str:
        """The figures as lines of text."""
        tested = int((self.confusion.sum(axis=1) > 0).sum())
        lines = [f"classification: {self.images:,} images of {tested:,} classes (of {len(self.confusion):,})"]
        lines += [f"top-{top.k:<3} error     {top.error:8.2%}  {top.wrong:,} of {top.images:,}" for top in self.top]
        lines.append(f"balanced accuracy {self.balanced_accuracy:7.2%}")
        for group in self.groups:
            shown = "no test images" if group.accuracy is None else f"{group.accuracy:8.2%}"
            lines.append(f"{group.name:<8} {group.classes:5,} classes {shown}  {group.correct:,} of {group.images:,}")
        return "\n".join(lines)


def classify(
    scores: ArrayLike, labels: ArrayLike, *, at: Sequence[int] = (1, 5), training_counts: ArrayLike | None = None
) -> ClassificationResult:
    """Errors of scores [n, c] (logits or cosines; higher is more likely) against true classes [n], 0 to c - 1.

    at: the k of top-k; each at most c. training_counts: training images of each class [c], for the groups many, medium
    and few. Raises EvaluationError for NaN (naming the row), labels out of range and unlike lengths.
    """
    matrix, truth = _checked(np.asarray(scores), np.asarray(labels))
    classes = matrix.shape[1]
    if not at or min(at) < 1 or max(at) > classes:
        raise EvaluationError(f"at must list numbers from 1 to the {classes} classes, got {list(at)}")
    ranks, answers = np.empty(len(truth), dtype=np.int64), np.empty(len(truth), dtype=np.int64)
    for start in range(0, len(truth), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        ranks[part], answers[part] = _ranks_and_answers(matrix[part], truth[part])
    confusion = np.bincount(truth * classes + answers, minlength=classes * classes).reshape(classes, classes)
    return ClassificationResult(
        top=tuple(TopError(k=k, wrong=int((ranks > k).sum()), images=len(truth)) for k in at),
        confusion=confusion,
        groups=() if training_counts is None else _groups(confusion, np.asarray(training_counts)),
    )


def _checked(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    if scores.ndim != 2 or 0 in scores.shape:
        raise EvaluationError(f"scores must have the shape [images, classes], got {list(scores.shape)}")
    if labels.shape != (len(scores),) or not np.issubdtype(labels.dtype, np.integer):
        raise EvaluationError(
            f"labels must be one whole number for each of the {len(scores)} images, got {labels.dtype}"
            f" {list(labels.shape)}"
        )
    bad = np.flatnonzero((labels < 0) | (labels >= scores.shape[1]))
    if len(bad):
        raise EvaluationError(
            f"labels must be classes from 0 to {scores.shape[1] - 1}, got {labels[bad[0]]} in row {bad[0]}"
        )
    missing = np.flatnonzero(np.isnan(scores).any(axis=1))
    if len(missing):
        raise EvaluationError(f"scores must not be NaN, got NaN in row {missing[0]}, {len(missing)} rows")
    return scores, labels.astype(np.int64)


def _ranks_and_answers(scores: NDArray, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rank of the true class, counted from 1 behind its equals, and the class that is answered."""
    rows = np.arange(len(labels))
    own = scores[rows, labels]
    as_good = scores >= own[:, None]
    as_good[rows, labels] = False
    ranks = 1 + as_good.sum(axis=1)
    best_other = np.where(as_good, scores, -np.inf).argmax(axis=1)
    tied_low = as_good.argmax(axis=1)  # where every score is -infinity the first equal one is the answer
    best_other = np.where(as_good[rows, best_other], best_other, tied_low)
    return ranks, np.where(ranks == 1, labels, best_other)


def _class_accuracies(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    totals = confusion.sum(axis=1)
    return np.where(totals > 0, np.diag(confusion) / np.maximum(totals, 1), np.nan)


def _groups(confusion: NDArray[np.int64], counts: NDArray) -> tuple[ClassGroup, ...]:
    if counts.shape != (len(confusion),) or not np.issubdtype(counts.dtype, np.integer) or counts.min() < 0:
        raise EvaluationError(
            f"training_counts must be one whole number of at least 0 for each of the {len(confusion)} classes,"
            f" got {counts.dtype} {list(counts.shape)}"
        )
    accuracies, totals = _class_accuracies(confusion), confusion.sum(axis=1)
    members = {
        "many": counts > MANY_ABOVE,
        "medium": (counts >= FEW_BELOW) & (counts <= MANY_ABOVE),
        "few": counts < FEW_BELOW,
    }
    return tuple(
        ClassGroup(
            name=name,
            classes=int(chosen.sum()),
            correct=int(np.diag(confusion)[chosen].sum()),
            images=int(totals[chosen].sum()),
            balanced=float(np.nanmean(accuracies[chosen])) if totals[chosen].any() else None,
        )
        for name, chosen in members.items()
    )
