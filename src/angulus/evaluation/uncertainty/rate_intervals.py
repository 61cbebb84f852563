"""Between which values does a rate lie, when pairs share people: intervals from drawing the people anew.

The figures of a set of images are figures of its people: a person with 100 images gives 4,950 genuine pairs, all with
one face. So people are drawn with replacement, not pairs (see `subjects` and `replicates`), thresholds that belong to a
target FAR are chosen again in each replicate, and the spread of the replicates gives the interval. Where no error (or
nothing but errors) was observed there is no spread; then the Clopper-Pearson interval for as many independent trials as
there are people, or couples of people, worth counting ("rule of three" by people). References: Owen 2007, "The
pigeonhole bootstrap"; Bolle, Ratha and Pankanti 2004, "Error analysis of pattern recognition systems - the subsets
bootstrap"; ISO/IEC 19795-1, annex B.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.roc import descending
from angulus.evaluation.scores.subjects import SubjectScores, Weights
from angulus.evaluation.uncertainty.bootstrap import FEW, Bootstrap, bounded, complement, finish, of_units
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.replicates import (
    KEPT_WHOLE,
    Spread,
    count_above,
    far_replicates,
    far_spread,
    largest_count,
    share_replicates,
    share_spread,
    tar_replicates,
    tar_spread,
    threshold_replicates,
    usual_tail,
)
from angulus.plain_numbers import plain


@dataclass(frozen=True, kw_only=True)
class TarInterval:
    """TAR at a target FAR with its interval, and what is known of the FAR itself.

    threshold: the smallest whose FAR does not exceed the target; threshold_low, threshold_high: where it lies in 95 %
    (`level`) of the replicates. person_tar: the mean over people of each one's own TAR, nobody counting more than
    another. far: the FAR at this threshold, held fixed, with its interval. resolved: False when
    the set is worth fewer than 10 independent false accepts at this FAR; smallest_far: the least it resolves, 1 where
    its scores allow none.
    """

    target: float
    threshold: float
    threshold_low: float
    threshold_high: float
    false_accepts: int
    impostors: int
    true_accepts: int
    genuine: int
    tar: Interval
    person_tar: Interval
    far: Interval
    resolved: bool
    smallest_far: float

    @property
    def remark(self) -> str:
        """The sentence for a target that this set cannot resolve, else empty."""
        if self.resolved:
            return ""
        sentence = f"this set cannot resolve FAR {plain(self.target)}"
        if not self.target < self.smallest_far < 1:
            return f"{sentence}, nor a larger one"
        rounded = [float(f"{self.smallest_far:.{digits}g}") for digits in (1, 2, 3)]
        close = [far for far in rounded if far > self.target and far >= 0.9 * self.smallest_far]
        shown = next(iter(close), self.smallest_far)
        return f"{sentence}: the smallest FAR it can resolve is {plain(shown)}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"target_far": self.target, "threshold": self.threshold},
            "threshold_interval": [self.threshold_low, self.threshold_high],
            **{"false_accepts": self.false_accepts, "impostors": self.impostors},
            **{"true_accepts": self.true_accepts, "genuine": self.genuine},
            "person_tar": self.person_tar.as_dict(),
            **{"tar": self.tar.as_dict(), "far": self.far.as_dict()},
            **{"resolved": self.resolved, "smallest_far": self.smallest_far, "remark": self.remark},
        }


def far_interval(scores: SubjectScores, threshold: float, bootstrap: Bootstrap | None = None) -> Interval:
    """FAR (FMR) at a threshold fixed beforehand."""
    options = bootstrap or Bootstrap()
    spread = far_spread(scores, threshold)
    if not 0 < spread.rate < 1 or spread.variance == 0:
        return of_units(spread, options.level, "couples of people")
    weights = options.weights(scores.subjects)
    return finish(spread, far_replicates(scores, threshold, weights, spread), weights, options)


def tar_interval(scores: SubjectScores, threshold: float, bootstrap: Bootstrap | None = None) -> Interval:
    """TAR (TMR) at a threshold fixed beforehand."""
    hits = np.bincount(scores.genuine_subject[: count_above(scores.genuine, threshold)], minlength=scores.subjects)
    trials = np.bincount(scores.genuine_subject, minlength=scores.subjects)
    return share_interval_of(hits.astype(np.float64), trials.astype(np.float64), bootstrap or Bootstrap())


def frr_interval(scores: SubjectScores, threshold: float, bootstrap: Bootstrap | None = None) -> Interval:
    """FRR (FNMR) at a threshold fixed beforehand: one less the TAR."""
    return complement(tar_interval(scores, threshold, bootstrap))


def share_interval(correct: ArrayLike, subject: ArrayLike, bootstrap: Bootstrap | None = None) -> Interval:
    """Share of trials that went right, trials [n] of one person drawn together: rank-1 with the gallery held fixed."""
    right, names = np.asarray(correct, dtype=bool), np.asarray(subject)
    if right.shape != names.shape or right.ndim != 1 or len(right) == 0:
        raise EvaluationError(
            f"each trial must have its person, got {list(right.shape)} trials and {list(names.shape)} people"
        )
    numbers = np.unique(names, return_inverse=True)[1]
    trials = np.bincount(numbers).astype(np.float64)
    return share_interval_of(
        np.bincount(numbers[right], minlength=len(trials)).astype(np.float64), trials, bootstrap or Bootstrap()
    )


def share_interval_of(hits: NDArray[np.float64], trials: NDArray[np.float64], options: Bootstrap) -> Interval:
    """Interval of sum(hits) / sum(trials), both by person [S]."""
    spread = share_spread(hits, trials)
    if not 0 < spread.rate < 1 or spread.variance == 0:
        return of_units(spread, options.level, "people")
    weights = options.weights(len(trials))
    found = finish(spread, share_replicates(hits, trials, weights), weights, options, spread.ratio)
    return bounded(found, spread.units)


def tar_at_far_intervals(
    scores: SubjectScores, fars: Sequence[float], bootstrap: Bootstrap | None = None
) -> tuple[TarInterval, ...]:
    """TAR at each target FAR, largest first; thresholds are chosen anew in each replicate.

    With one-way scores (`right_subject` None) these are TPIR at FPIR. The tail must hold `needed_tail` scores.
    """
    options = bootstrap or Bootstrap()
    targets = descending(fars)
    sample, spreads, places = threshold_study(scores, targets, options)
    weights = options.weights(scores.subjects)
    unresolved = [far for far, spread in zip(targets, spreads, strict=True) if spread.effective_errors < FEW]
    smallest_far = smallest_resolved_far(scores, max(targets), above=max(unresolved, default=0.0))
    found = []
    for column, (target, spread) in enumerate(zip(targets, spreads, strict=True)):
        threshold = float(scores.tail[sample[column]])
        thresholds = scores.tail[places[:, column]]
        tar, person_tar = (_tar(scores, threshold, thresholds, weights, options, each) for each in (False, True))
        ends = np.quantile(thresholds, [(1 - options.level) / 2, (1 + options.level) / 2], method="nearest")
        found.append(
            TarInterval(
                **{"target": target, "threshold": threshold},
                **{"threshold_low": float(ends[0]), "threshold_high": float(ends[1])},
                **{"false_accepts": count_above(scores.tail, threshold), "impostors": scores.impostors},
                **{"true_accepts": count_above(scores.genuine, threshold), "genuine": len(scores.genuine)},
                **{"tar": tar, "person_tar": person_tar, "far": far_interval(scores, threshold, options)},
                resolved=spread.effective_errors >= FEW,
                smallest_far=smallest_far,
            )
        )
    return tuple(found)


def _tar(
    scores: SubjectScores,
    threshold: float,
    thresholds: NDArray[np.float32],
    weights: Weights,
    options: Bootstrap,
    per_person: bool,
) -> Interval:
    own = tar_spread(scores, threshold, per_person=per_person)
    if not 0 < own.rate < 1 or own.variance == 0:
        return of_units(own, options.level, "people")
    replicates = tar_replicates(scores, thresholds, weights, per_person=per_person)
    return bounded(finish(own, replicates, weights, options, own.ratio), own.units)


def threshold_study(
    scores: SubjectScores, targets: Sequence[float], options: Bootstrap
) -> tuple[list[int], list[Spread], NDArray[np.int64]]:
    """Places in the tail of the sample's thresholds, the spread of FAR there, and the replicates' places [b, k]."""
    for target in targets:
        if not 0 <= target < 1:
            raise EvaluationError(f"far must be at least 0 and below 1, got {target}")
    allowed = [largest_count(target, scores.impostors) for target in targets]
    if not allowed or max(allowed) >= len(scores.tail):
        raise EvaluationError(
            f"FAR {max(targets, default=0):g} of {scores.impostors:,} impostor pairs needs a tail of more than"
            f" {max(allowed, default=0):,} scores, got {len(scores.tail):,}"
        )
    spreads = [far_spread(scores, float(scores.tail[place])) for place in allowed]
    ratios = [spread.ratio for spread in spreads]
    weights = options.weights(scores.subjects)
    return allowed, spreads, threshold_replicates(scores, allowed, list(targets), weights, ratios)


def smallest_resolved_far(scores: SubjectScores, largest: float = 0.5, *, above: float = 0.0) -> float:
    """The least FAR, up to steps of a half, at which the set is worth 10 independent false accepts; 1 for none.

    Looked for from the tail that `largest` needs up, then from half of all scores. above: a FAR that is not resolved;
    the answer is greater. Where even the whole tail is not worth so many: three (the rule of three) per couples of
    people that count, but never less than the scores allow, as equal ones are accepted together.
    """
    total, tail = scores.impostors, len(scores.tail)
    usual = tail if total > KEPT_WHOLE else min(tail, usual_tail(largest, total))
    for start in (usual, min(tail, -(-3 * total // 4))):
        best = _resolved_from(scores, start, above)
        if best is not None:
            return best
    top = tail - int(np.searchsorted(scores.tail[::-1], scores.tail[0], side="left"))
    least = max(3 / far_spread(scores, float(scores.tail[0])).units, top / total)
    return min(1.0, least) if least > above else 1.0


def _resolved_from(scores: SubjectScores, place: int, above: float) -> float | None:
    """The last FAR greater than `above` that is resolved on the way up the tail from a place; None for none."""
    best = None
    while place > 1:
        place = place * 2 // 3
        threshold = float(scores.tail[place])
        far = (count_above(scores.tail, threshold) + 1) / scores.impostors
        if far <= above or far_spread(scores, threshold).effective_errors < FEW:
            break
        best = far
    return best
