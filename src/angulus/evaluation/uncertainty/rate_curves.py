"""FAR and FRR of all pairs of a set at some hundred thresholds, each with its interval.

Rates are exact; FRR is the mean over people of each one's own. Intervals of FRR are those of `rate_intervals`, the
replicates being the same at all thresholds. Those of FAR do without replicates, which would take minutes for so many:
Student's t on the scale log(p / (1 - p)) with the variance that `replicates` gives to rates. Below the kept tail the
variance of FAR is that of a sample of the people, times the ratio of their numbers: what single people add falls as the
number of people, what couples add falls faster, so that this is on the safe side.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.evaluation.rates.all_pairs import AllPairs
from angulus.evaluation.rates.logits import inverse_logit, logit
from angulus.evaluation.scores.subjects import SubjectScores, batches
from angulus.evaluation.uncertainty.bootstrap import Bootstrap, bounded, finish, of_units
from angulus.evaluation.uncertainty.intervals import Interval, student_quantile
from angulus.evaluation.uncertainty.replicates import Spread, count_above, far_spread, quotient, share_spread

MOST_THRESHOLDS = 390
MOST_SAMPLED = 500
"""Images of the sample, 125,000 pairs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RateCurves:
    """far, frr: estimate, low and high [3, k] at rising thresholds [k]."""

    thresholds: NDArray[np.float64]
    far: NDArray[np.float64]
    frr: NDArray[np.float64]
    level: float


def rate_curves(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    counted: AllPairs,
    scores: SubjectScores,
    *,
    bootstrap: Bootstrap | None = None,
) -> RateCurves:
    """Rates at the thresholds of the ROC, dense where one of them is small; at most 400 thresholds.

    vectors: unit [n, d]; labels [n]; counted, scores: all pairs of these, the latter with a tail.
    """
    options = bootstrap or Bootstrap()
    roc = counted.roc_curve(most_points=MOST_THRESHOLDS)
    order = np.argsort(roc.threshold)
    thresholds, fars = roc.threshold[order], roc.far[order]
    sample = _sampled(vectors, labels, scores.subjects, options.seed)
    far = [_far(scores, sample, float(t), float(rate), options.level) for t, rate in zip(thresholds, fars, strict=True)]
    frr = frr_of_people(scores, thresholds, options)
    return RateCurves(thresholds=thresholds, far=_columns(far), frr=_columns(frr), level=options.level)


@dataclass(frozen=True, eq=False)
class _Sample:
    """All pairs of some of the people, and how many times as many people there are."""

    scores: SubjectScores
    times: float


def _sampled(vectors: NDArray[np.float32], labels: NDArray[np.int64], subjects: int, seed: int) -> _Sample:
    people, counts = np.unique(labels, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(people))
    fitting = order[: max(5, int((counts[order].cumsum() <= MOST_SAMPLED).sum()))]
    rows = np.flatnonzero(np.isin(labels, people[fitting]))
    left, right = (rows[side] for side in np.triu_indices(len(rows), 1))
    cosines = (vectors[rows] @ vectors[rows].T)[np.triu_indices(len(rows), 1)]
    found = SubjectScores.of_pairs(cosines, labels[left] == labels[right], labels[left], labels[right])
    return _Sample(found, subjects / found.subjects)


def _far(scores: SubjectScores, sample: _Sample, threshold: float, rate: float, level: float) -> Interval:
    in_tail = scores.complete or (len(scores.tail) > 0 and threshold >= scores.tail[-1])
    own = far_spread(scores if in_tail else sample.scores, threshold)
    times = 1.0 if in_tail else sample.times
    spread = Spread(
        **{"rate": rate, "variance": own.variance / times, "bootstrap": own.bootstrap, "influence": own.influence},
        **{"freedom": own.freedom, "units": own.units * times},
    )
    return _interval(spread, level, "couples of people")


def frr_of_people(scores: SubjectScores, thresholds: NDArray[np.float64], options: Bootstrap) -> list[Interval]:
    """FRR at rising thresholds [k]: the mean over people of the share of each one's own pairs, nobody counting more."""
    size = scores.subjects
    pairs = np.bincount(scores.genuine_subject, minlength=size).astype(np.float64)
    trials = (pairs > 0).astype(np.float64)
    accepted = [count_above(scores.genuine, float(threshold)) for threshold in thresholds]
    misses = np.stack([np.bincount(scores.genuine_subject[k:], minlength=size) for k in accepted], 1)
    misses = misses / np.maximum(pairs, 1)[:, None]
    weights = options.weights(size)
    replicates = np.empty((len(weights), len(thresholds)))
    for part, factors in batches(weights):
        replicates[part] = quotient(factors @ misses, (factors @ trials)[:, None])
    found = []
    for place in range(len(thresholds)):
        spread = share_spread(misses[:, place], trials)
        if not 0 < spread.rate < 1 or spread.variance == 0:
            found.append(of_units(spread, options.level, "people"))
            continue
        interval = finish(spread, replicates[:, place], weights, options, spread.ratio)
        found.append(bounded(interval, spread.units))
    return found


def _interval(spread: Spread, level: float, what: str) -> Interval:
    if not 0 < spread.rate < 1 or spread.variance == 0:
        return of_units(spread, level, what)
    half = student_quantile((1 + level) / 2, spread.freedom) * np.sqrt(spread.variance)
    half /= spread.rate * (1 - spread.rate)
    low, high = (float(inverse_logit(logit(spread.rate) + side * half)) for side in (-1, 1))
    found = Interval(estimate=spread.rate, low=low, high=high, level=level, method="logit-t")
    return bounded(found, spread.units)


def _columns(intervals: list[Interval]) -> NDArray[np.float64]:
    rows = [[each.estimate, min(each.low, each.estimate), max(each.high, each.estimate)] for each in intervals]
    return np.clip(np.array(rows, dtype=np.float64).T, 0, 1)
