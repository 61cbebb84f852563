"""How sure is an accuracy or an equal error rate? Intervals of the figures that mix genuine and impostor pairs.

Both are made from the same replicates as the rates (see `uncertainty`): people are drawn anew, FAR is drawn towards its
estimate, and for the EER the crossing of FAR and FRR is looked for again in each replicate.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.logits import inverse_logit, logit
from angulus.evaluation.scores.subjects import SubjectScores, Weights, batches
from angulus.evaluation.uncertainty.bootstrap import Bootstrap, finish, of_units
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.replicates import (
    Spread,
    far_replicates,
    far_spread,
    genuine_pairs,
    quotient,
    tar_replicates,
    tar_spread,
)

_GRID = 200
_REACH = 8  # the crossing is looked for at up to so many times the FAR of the sample's own


def accuracy_interval(
    correct: ArrayLike,
    same: ArrayLike,
    left_subject: ArrayLike,
    right_subject: ArrayLike,
    bootstrap: Bootstrap | None = None,
) -> Interval:
    """Share of listed pairs [p] decided rightly, as in 10 folds; the folds' thresholds are held as they were chosen.

    Genuine and impostor pairs keep their shares in each replicate, as the protocol fixes them.
    """
    options, right = bootstrap or Bootstrap(), np.asarray(correct, dtype=bool)
    kind = np.asarray(same, dtype=bool)
    scores = SubjectScores.of_pairs(np.where(right == kind, 1.0, -1.0), kind, left_subject, right_subject)
    weights = options.weights(scores.subjects)
    genuine, impostor = tar_spread(scores, 0.0), far_spread(scores, 0.0)
    share = float(kind.mean())
    rate = share * genuine.rate + (1 - share) * (1 - impostor.rate)
    joint = Spread(
        rate=rate,
        variance=share**2 * genuine.variance + (1 - share) ** 2 * impostor.variance,
        bootstrap=0.0,
        influence=share * genuine.influence - (1 - share) * impostor.influence,
        freedom=min(genuine.freedom, impostor.freedom) if genuine.variance and impostor.variance else genuine.freedom,
        units=min(genuine.units, impostor.units),
    )
    if joint.variance == 0:
        return of_units(joint, options.level, "people")
    return finish(joint, accuracy_replicates(scores, share, weights), weights, options)


def accuracy_replicates(scores: SubjectScores, share: float, weights: Weights) -> NDArray[np.float64]:
    """Accuracy in each replicate of scores that are 1 for accepted pairs and -1 for rejected ones."""
    impostor = far_spread(scores, 0.0)
    rejected = 1 - far_replicates(scores, 0.0, weights, impostor)
    return share * tar_replicates(scores, np.zeros(len(weights), np.float32), weights) + (1 - share) * rejected


def eer_interval(scores: SubjectScores, bootstrap: Bootstrap | None = None) -> Interval:
    """EER: where FAR and FRR meet, found again in each replicate on 200 thresholds around the sample's own.

    The tail must reach well below the EER's threshold, 2 to 8 times its FAR; an EvaluationError says when it does not.
    """
    options = bootstrap or Bootstrap()
    rate, crossing, thresholds = sample_crossing(scores)
    joint, ratio, spread = _joint(scores, rate, float(thresholds[crossing]))
    if joint.variance == 0 or not 0 < rate < 1:
        return of_units(joint, options.level, "people")
    ends = np.clip([crossing // _REACH, crossing * _REACH + _REACH], 0, len(thresholds) - 1)
    grid = np.unique(np.linspace(ends[0], ends[1], _GRID).astype(np.int64))
    weights = options.weights(scores.subjects)
    replicates = _eer_replicates(scores, thresholds[grid], weights, ratio)
    if np.isnan(replicates).mean() > 0.01 and not scores.complete:
        raise EvaluationError(
            f"the tail of {len(scores.tail):,} impostor scores ends too near the EER's threshold; keep twice as many"
        )
    return finish(joint, replicates, weights, options, spread)


def sample_crossing(scores: SubjectScores) -> tuple[float, int, NDArray[np.float32]]:
    """The EER of the sample itself, the place of its threshold, and all thresholds of the tail, descending."""
    lowest = np.array([np.finfo(np.float32).min], dtype=np.float32)  # everything is accepted
    thresholds = np.unique(np.concatenate([scores.tail, lowest] if scores.complete else [scores.tail]))[::-1]
    if len(scores.genuine) == 0 or scores.impostors == 0:
        raise EvaluationError(
            f"an EER needs pairs of both kinds, got {len(scores.genuine)} genuine and {scores.impostors} impostor"
        )
    own = scores.genuine if scores.complete else scores.genuine[scores.genuine >= thresholds[-1]]
    thresholds = np.unique(np.concatenate([thresholds, own]))[::-1]
    far = (len(scores.tail) - np.searchsorted(scores.tail[::-1], thresholds, side="right")) / scores.impostors
    frr = np.searchsorted(scores.genuine[::-1], thresholds, side="right") / len(scores.genuine)
    met = np.flatnonzero(far >= frr)
    if len(met) == 0:
        raise EvaluationError(
            f"the tail of {len(scores.tail):,} impostor scores ends before FAR and FRR meet; keep more of them"
        )
    return float(_crossings(far[None], frr[None])[0]), int(met[0]), thresholds


def _joint(scores: SubjectScores, rate: float, threshold: float) -> tuple[Spread, float, float]:
    """A spread for the EER from those of FAR and TAR at its threshold, and the ratios of these two."""
    false, true = far_spread(scores, threshold), tar_spread(scores, threshold)
    joint = Spread(
        rate=rate,
        variance=(false.variance + true.variance) / 4,
        bootstrap=0.0,
        influence=(false.influence - true.influence) / 2,
        freedom=min(false.freedom, true.freedom),
        units=min(false.units, true.units),
    )
    return joint, false.ratio, true.ratio


def _crossings(far: NDArray[np.float64], frr: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rate where FAR (rising) meets FRR (falling) along each row, on straight lines; NaN where they do not."""
    gap = far - frr
    after, rows = np.argmax(gap >= 0, axis=1), np.arange(len(far))
    before = np.maximum(after - 1, 0)
    low, high = gap[rows, before], gap[rows, after]
    share = np.divide(-low, high - low, out=np.zeros(len(rows)), where=high > low)
    found = far[rows, before] + share * (far[rows, after] - far[rows, before])
    return np.where((gap >= 0).any(axis=1) & ((after > 0) | (gap[:, 0] == 0)), found, np.nan)


def _eer_replicates(
    scores: SubjectScores, thresholds: NDArray[np.float32], weights: Weights, ratio: float
) -> NDArray[np.float64]:
    accepts = len(scores.tail) - np.searchsorted(scores.tail[::-1], thresholds, side="right")
    passed = len(scores.genuine) - np.searchsorted(scores.genuine[::-1], thresholds, side="right")
    least = 0.5 / scores.impostors
    base = logit(np.clip(accepts / scores.impostors, least, 1 - least))
    left, right = scores.tail_left[: accepts[-1]], scores.tail_right
    found, pairs = np.empty(len(weights)), genuine_pairs(scores)
    for part, factors in batches(weights):
        far, tar = np.empty((2, len(factors), len(thresholds)))
        for row, drawn in enumerate(weights[part].astype(np.int32)):
            mass = drawn[left] if right is None else drawn[left] * drawn[right[: accepts[-1]]]
            far[row] = np.cumsum(np.append(0, mass), dtype=np.int64)[accepts]
            tar[row] = np.cumsum(np.append(0, drawn[scores.genuine_subject]), dtype=np.int64)[passed]
        shares = np.clip(quotient(far, scores.compared.totals(factors)[:, None]), least, 1 - least)
        moved = inverse_logit(base + ratio * (logit(shares) - base))
        found[part] = _crossings(moved, 1 - quotient(tar, (factors @ pairs)[:, None]))
    return found
