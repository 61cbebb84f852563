"""How good is a cleaning whose truth is known: which of the images that it drops have a wrong label?

    precision = wrong and dropped / dropped     recall = wrong and dropped / wrong     F1 = their harmonic mean

Average precision is the area under precision over recall as the threshold moves, and best F1 the best of all
thresholds: they compare the orders in which two rules drop images, whatever their thresholds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True)
class CleaningScore:
    """wrong: images with a wrong label.  dropped: how many went.  Rates are 0 where nothing was dropped or wrong."""

    images: int
    wrong: int
    dropped: int
    precision: float
    recall: float
    f1: float


def score_cleaning(dropped: ArrayLike, is_wrong: ArrayLike) -> CleaningScore:
    """Precision, recall and F1 of what was dropped, bool [n] each."""
    gone, wrong = np.asarray(dropped, dtype=bool), np.asarray(is_wrong, dtype=bool)
    hits = int((gone & wrong).sum())
    precision = hits / max(1, int(gone.sum()))
    recall = hits / max(1, int(wrong.sum()))
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return CleaningScore(
        images=len(gone),
        wrong=int(wrong.sum()),
        dropped=int(gone.sum()),
        precision=precision,
        recall=recall,
        f1=f1,
    )


def average_precision(suspicion: ArrayLike, is_wrong: ArrayLike) -> float:
    """Area under precision over recall when images are dropped from the most suspicious on; ties go together."""
    precision, recall, _ = precision_recall(suspicion, is_wrong)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def best_f1(suspicion: ArrayLike, is_wrong: ArrayLike) -> tuple[float, float]:
    """The best F1 of all thresholds, and that threshold: images at or beyond it are dropped."""
    precision, recall, thresholds = precision_recall(suspicion, is_wrong)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    place = int(f1.argmax())
    return float(f1[place]), float(thresholds[place])


def precision_recall(suspicion: ArrayLike, is_wrong: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and recall at every distinct threshold, the highest first, and the thresholds."""
    scores, wrong = np.asarray(suspicion, dtype=np.float64), np.asarray(is_wrong, dtype=bool)
    order = np.argsort(-scores, kind="stable")
    hits, kept = np.cumsum(wrong[order]), np.arange(1, len(scores) + 1)
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    return hits[last] / kept[last], hits[last] / max(1, int(wrong.sum())), scores[order][last]
