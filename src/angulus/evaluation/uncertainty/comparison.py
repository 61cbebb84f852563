"""Is one model better than the other on the same protocol? Both are tried on the same drawn people.

The difference of two figures on the same pairs is surer than either figure: people who are hard are hard for both. Each
replicate draws people once and computes the figure of both models, each at its own threshold; the spread of the
differences gives interval and p-value (Student's t). McNemar's exact test counts only the pairs on which the models
disagree, but takes pairs as independent; where people occur in several pairs it is too sure of itself.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty.accuracy_intervals import accuracy_replicates
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.intervals import Interval, student_quantile, student_tail
from angulus.evaluation.uncertainty.rate_intervals import threshold_study
from angulus.evaluation.uncertainty.replicates import (
    Spread,
    far_spread,
    freedom_of,
    genuine_pairs,
    tar_replicates,
    tar_spread,
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A figure of two models on the same people, and the difference first - second with its interval.

    p_value: probability of a difference at least as large, either way, if the models were equally good.
    """

    figure: str
    first: float
    second: float
    difference: Interval
    p_value: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def table(self) -> str:
        """The comparison as a line of text."""
        found = self.difference
        return (
            f"{self.figure}: {self.first:.2%} and {self.second:.2%}, difference {100 * found.estimate:+.2f}"
            f" ({100 * found.low:+.2f} to {100 * found.high:+.2f}) points, p = {self.p_value:.2g}: {self.verdict()}"
        )

    def verdict(self) -> str:
        """Which of the two is better, where the interval of the difference leaves out zero."""
        if self.difference.low > 0:
            return "the first is better"
        return "the second is better" if self.difference.high < 0 else "the difference may be chance"


def compare_tar(
    first: SubjectScores,
    second: SubjectScores,
    far: float,
    bootstrap: Bootstrap | None = None,
    *,
    per_person: bool = False,
) -> Comparison:
    """TAR at a target FAR of two models on the same pairs; one-way scores compare TPIR at FPIR.

    per_person: the mean over people of each one's own TAR, in which nobody counts more than another.
    """
    options = bootstrap or Bootstrap()
    _check_same(first, second)
    weights = options.weights(first.subjects)
    spreads, replicates = [], []
    for scores in (first, second):
        sample, _, places = threshold_study(scores, [far], options)
        spreads.append(tar_spread(scores, float(scores.tail[sample[0]]), per_person=per_person))
        replicates.append(tar_replicates(scores, scores.tail[places[:, 0]], weights, per_person=per_person))
    pairs = genuine_pairs(first)
    trials = np.minimum(pairs, 1.0) if per_person else pairs
    figure = f"{'mean TAR of a person' if per_person else 'TAR'} at FAR {far:g}"
    return _difference(figure, spreads, replicates, trials, options)


def compare_accuracy(
    first_correct: ArrayLike,
    second_correct: ArrayLike,
    same: ArrayLike,
    left_subject: ArrayLike,
    right_subject: ArrayLike,
    bootstrap: Bootstrap | None = None,
) -> Comparison:
    """Accuracy of two models on the same listed pairs [p]; the people of both sides are drawn together."""
    options, kind = bootstrap or Bootstrap(), np.asarray(same, dtype=bool)
    share = float(kind.mean())
    spreads, replicates, trials = [], [], np.zeros(0)
    for correct in (first_correct, second_correct):
        accepted = np.asarray(correct, dtype=bool) == kind
        scores = SubjectScores.of_pairs(np.where(accepted, 1.0, -1.0), kind, left_subject, right_subject)
        weights = options.weights(scores.subjects)
        replicates.append(accuracy_replicates(scores, share, weights))
        own, other = tar_spread(scores, 0.0), far_spread(scores, 0.0)
        rate = share * own.rate + (1 - share) * (1 - other.rate)
        spreads.append(replace(own, rate=rate, influence=share * own.influence - (1 - share) * other.influence))
        trials = genuine_pairs(scores) + scores.compared.per_subject(scores.subjects)
    return _difference("accuracy", spreads, replicates, trials, options)


def mcnemar(first_correct: ArrayLike, second_correct: ArrayLike) -> float:
    """Exact two-sided p-value of McNemar's test for pairs that are independent (no person in two of them)."""
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    if first.shape != second.shape:
        raise EvaluationError(f"both models must judge the same pairs, got {first.shape} and {second.shape}")
    only = sorted((int((first & ~second).sum()), int((second & ~first).sum())))
    trials = sum(only)
    terms = (math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in range(only[0] + 1))
    return min(1.0, 2 * math.fsum(math.exp(term - trials * math.log(2)) for term in terms))


def _difference(
    figure: str,
    spreads: list[Spread],
    replicates: list[NDArray[np.float64]],
    trials: NDArray[np.float64],
    options: Bootstrap,
) -> Comparison:
    moved = replicates[0] - replicates[1]
    ratio = max(1.0, *(spread.ratio for spread in spreads))
    deviation = ratio * float(np.nanstd(moved, ddof=1))
    found = spreads[0].rate - spreads[1].rate
    freedom = freedom_of(spreads[0].influence - spreads[1].influence, trials)
    half = student_quantile((1 + options.level) / 2, freedom) * deviation
    p_value = 2 * student_tail(abs(found) / deviation, freedom) if deviation > 0 else float(found == 0)
    difference = Interval(
        **{"estimate": found, "low": found - half, "high": found + half, "level": options.level, "method": "paired t"},
        note="" if deviation > 0 else "the two models decide alike in every replicate",
    )
    return Comparison(
        figure=figure, first=spreads[0].rate, second=spreads[1].rate, difference=difference, p_value=p_value
    )


def _check_same(first: SubjectScores, second: SubjectScores) -> None:
    for name in ("subjects", "impostors"):
        if getattr(first, name) != getattr(second, name):
            raise EvaluationError(
                f"both models must be tried on the same pairs, got {getattr(first, name):,} and"
                f" {getattr(second, name):,} {name}"
            )
    if not np.array_equal(np.bincount(first.genuine_subject), np.bincount(second.genuine_subject)):
        raise EvaluationError(
            "both models must be tried on the same genuine pairs, got other numbers of them by person"
        )
