"""How a rate moves when other people are drawn: replicates of FAR, TAR and thresholds, and the size of their spread.

The product weights w_s w_t count the variation of single couples of people up to three times: with d_st the excess of
false accepts of s and t over the mean rate and h_s = sum_t d_st, the replicates vary by sum h_s^2 + sum d_st^2, while
the variance of the rate is sum h_s^2 - sum d_st^2 (Fafchamps and Gubert 2007; Aronow, Samii and Assenova 2015). Where
false accepts are rare single couples are nearly all there is. So replicates of FAR are drawn towards the estimate, on
the scale log(p / (1 - p)), by the square root of the ratio of both; the variance is never less than sum d_st^2.
People of great weight pull the estimate towards themselves; h_s is therefore taken as the jackknife takes it, divided
by one less their share (Bell and McCaffrey 2002), and Student's quantile has fewer degrees of freedom.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.logits import inverse_logit, logit
from angulus.evaluation.scores.subjects import SubjectScores, Weights, batches, couple_keys

TAIL_SAFETY = 2.0  # a replicate's threshold may lie deeper in the tail than the estimate
KEPT_WHOLE = 100_000  # so few impostor scores are all kept: ties and few people lead deeper than any factor allows for


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """How sure a rate is: its variance, by whom it is made, and how many independent trials it is worth.

    variance: of the rate. bootstrap: what plain replicates would show. influence [S]: what each person adds.
    freedom: degrees of freedom of the variance. units: independent trials if nothing but people (couples) counted.
    """

    rate: float
    variance: float
    bootstrap: float
    influence: NDArray[np.float64]
    freedom: float
    units: float

    @property
    def ratio(self) -> float:
        """By what factor replicates must be drawn towards the estimate (or away, above 1)."""
        return math.sqrt(self.variance / self.bootstrap) if self.bootstrap > 0 else 1.0

    @property
    def effective_errors(self) -> float:
        """Independent errors of the rarer kind that would be known as surely: rate^2 / variance."""
        rarer = min(self.rate, 1 - self.rate)
        return rarer**2 / self.variance if self.variance > 0 else 0.0


def needed_tail(far: float, impostors: int) -> int:
    """How many of the highest impostor scores to keep for the threshold at `far`: `usual_tail`, or all of a few."""
    return impostors if impostors <= KEPT_WHOLE else usual_tail(far, impostors)


def usual_tail(far: float, impostors: int) -> int:
    """How many of the highest impostor scores replicates of the threshold at `far` look at as a rule: 2 far N + 100."""
    return min(impostors, math.ceil(TAIL_SAFETY * far * impostors) + 100)


def count_above(values: NDArray[np.float32], threshold: float) -> int:
    """How many of the descending values exceed the threshold."""
    bound = np.float32(threshold)
    if float(bound) > threshold:  # the next float32 below accepts the same scores
        bound = np.nextafter(bound, np.float32(-np.inf))
    return len(values) - int(np.searchsorted(values[::-1], bound, side="right"))


def false_accepts(scores: SubjectScores, threshold: float) -> int:
    """Impostor comparisons above a threshold; an error where the tail does not reach down to it."""
    if not scores.complete and (len(scores.tail) == 0 or threshold < scores.tail[-1]):
        lowest = "is empty" if len(scores.tail) == 0 else f"ends at {scores.tail[-1]:.4f}"
        raise EvaluationError(
            f"the tail of impostor scores must reach the threshold {threshold:.4f}, and it {lowest};"
            " keep more of the highest impostor scores"
        )
    return count_above(scores.tail, threshold)


def far_spread(scores: SubjectScores, threshold: float) -> Spread:
    """Variance of the FAR at a fixed threshold from all people and couples of people."""
    accepted = false_accepts(scores, threshold)
    total, size, rate = scores.impostors, scores.subjects, accepted / max(scores.impostors, 1)
    if total == 0:
        raise EvaluationError("a FAR needs at least one impostor pair, got none")
    each = scores.compared.per_subject(size)
    left, right = scores.tail_left[:accepted], scores.tail_right
    caught = np.bincount(left, minlength=size).astype(np.float64)
    keys, counts = np.unique(couple_keys(left, None if right is None else right[:accepted], size), return_counts=True)
    couples = 0.0
    if right is not None:
        caught += np.bincount(right[:accepted], minlength=size)
        expected = scores.compared.between(keys // size, keys % size, size)
        couples = float((counts**2.0).sum() - 2 * rate * (counts * expected).sum())
        couples = max(couples + rate**2 * scores.compared.squares(), 0.0)
    excess = caught - rate * each
    share = np.minimum(each / total, 0.5)
    wide, plain = float(((excess / (1 - share)) ** 2).sum()), float((excess**2).sum())
    variance = couples + max(wide - 2 * couples, 0.0)
    return Spread(
        rate=rate,
        variance=variance / total**2,
        bootstrap=(plain + couples) / total**2,
        influence=excess / total,
        freedom=freedom_of(excess, each),
        units=total**2 / scores.compared.squares(),
    )


def tar_spread(scores: SubjectScores, threshold: float, *, per_person: bool = False) -> Spread:
    """Variance of the TAR at a fixed threshold from all people; per_person: of the mean of each one's own TAR."""
    pairs = genuine_pairs(scores)
    accepted = np.bincount(scores.genuine_subject[: count_above(scores.genuine, threshold)], minlength=scores.subjects)
    divisor = np.maximum(pairs, 1) if per_person else 1.0
    return share_spread(accepted / divisor, pairs / divisor)


def share_spread(hits: NDArray[np.float64], trials: NDArray[np.float64]) -> Spread:
    """Variance of sum(hits) / sum(trials) when whole people are drawn; both [S]."""
    total = float(trials.sum())
    if total == 0:
        raise EvaluationError("a rate needs at least one comparison, got none")
    rate = float(hits.sum()) / total
    excess = hits - rate * trials
    wide = (excess / (1 - np.minimum(trials / total, 0.5))) ** 2
    return Spread(
        rate=rate,
        variance=float(wide.sum()) / total**2,
        bootstrap=float((excess**2).sum()) / total**2,
        influence=excess / total,
        freedom=freedom_of(excess, trials),
        units=total**2 / float((trials**2).sum()),
    )


def freedom_of(excess: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """Degrees of freedom of a variance that is a sum of squares over people: the lesser of two estimates.

    From the squares themselves, 3 (sum e^2)^2 / sum e^4, and from the numbers of comparisons (Satterthwaite).
    """
    found = []
    for values, factor in ((excess, 3.0), (sizes, 1.0)):
        squares = values**2
        found.append(factor * float(squares.sum()) ** 2 / max(float((squares**2).sum()), 1e-300))
    return max(min(found), 1.0)


def genuine_pairs(scores: SubjectScores) -> NDArray[np.float64]:
    """Genuine pairs of each person [S]."""
    return np.bincount(scores.genuine_subject, minlength=scores.subjects).astype(np.float64)


def share_replicates(hits: NDArray[np.float64], trials: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """sum(w hits) / sum(w trials) in each replicate [b]; NaN where nobody with trials was drawn."""
    found = np.empty(len(weights))
    for part, factors in batches(weights):
        found[part] = quotient(factors @ hits, factors @ trials)
    return found


def far_replicates(scores: SubjectScores, threshold: float, weights: Weights, spread: Spread) -> NDArray[np.float64]:
    """FAR at a fixed threshold in each replicate, drawn towards the estimate as the module says."""
    size, accepted = scores.subjects, false_accepts(scores, threshold)
    right = None if scores.tail_right is None else scores.tail_right[:accepted]
    keys, counts = np.unique(couple_keys(scores.tail_left[:accepted], right, size), return_counts=True)
    found = np.empty(len(weights))
    for part, factors in batches(weights):
        drawn = factors[:, keys] if right is None else factors[:, keys // size] * factors[:, keys % size]
        found[part] = quotient(drawn @ counts.astype(np.float64), scores.compared.totals(factors))
    return contracted(found, spread, 0.5 / scores.impostors)


def contracted(found: NDArray[np.float64], spread: Spread, smallest: float) -> NDArray[np.float64]:
    """Replicates moved towards the estimate by the spread's ratio, on the scale log(p / (1 - p))."""
    if not 0 < spread.rate < 1:
        return found
    centre = logit(spread.rate)
    return inverse_logit(centre + spread.ratio * (logit(np.clip(found, smallest, 1 - smallest)) - centre))


def threshold_replicates(
    scores: SubjectScores, allowed: list[int], fars: list[float], weights: Weights, ratios: list[float]
) -> NDArray[np.int64]:
    """For each replicate and target FAR the place in the tail of its threshold: int64 [b, k].

    The exact threshold of a replicate comes from cumulative weights over the tail; the FAR that it has in the sample
    itself is then drawn towards the target by `ratios`. allowed: false accepts at each target in the sample itself.
    """
    usual = min(len(scores.tail), 4 * max(allowed) + 1000)
    places = np.empty((len(weights), len(fars)), dtype=np.int64)
    for part, factors in batches(weights):
        totals = scores.compared.totals(factors)
        for row, total in zip(range(part.start, part.start + len(factors)), totals, strict=True):
            if total == 0:  # nobody to compare: the sample's own threshold
                places[row] = allowed
                continue
            counts = [largest_count(far, total) for far in fars]
            places[row] = np.searchsorted(_reached(scores, weights[row], usual), counts, side="right")
            if (places[row] >= usual).any() and usual < len(scores.tail):
                places[row] = np.searchsorted(_reached(scores, weights[row], len(scores.tail)), counts, side="right")
    if (places >= len(scores.tail)).any():
        short = int((places >= len(scores.tail)).any(axis=1).sum())
        raise EvaluationError(
            f"the tail of {len(scores.tail):,} impostor scores is too short for FAR {max(fars):g} in {short} of"
            f" {len(weights)} replicates; keep at least {needed_tail(2 * max(fars), scores.impostors):,}"
        )
    base = np.array(allowed) + 0.5
    moved = base * np.exp(np.array(ratios) * np.log((places + 0.5) / base))
    deepest = len(scores.tail) if scores.complete else max(usual, int(places.max()) + 1)
    return np.clip(np.round(moved - 0.5).astype(np.int64), 0, deepest - 1)


def _reached(scores: SubjectScores, weights: NDArray[np.uint8], length: int) -> NDArray[np.int64]:
    """Total weight of the first, the first two, ... of the `length` highest impostor scores in one replicate."""
    drawn, right = weights.astype(np.int32), scores.tail_right
    mass = drawn[scores.tail_left[:length]]
    return np.cumsum(mass if right is None else mass * drawn[right[:length]], dtype=np.int64)


def quotient(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    """top / bottom, NaN where the replicate drew nobody who counts."""
    return np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom > 0)


def largest_count(far: float, total: float) -> int:
    """Largest whole k with k / total <= far."""
    allowed = int(far * total)
    allowed += (allowed + 1) / total <= far  # 0.29 * 100 is 28.999..., and 29 / 100 <= 0.29
    return allowed - (allowed / total > far)


def tar_replicates(
    scores: SubjectScores, thresholds: NDArray[np.float32], weights: Weights, *, per_person: bool = False
) -> NDArray[np.float64]:
    """TAR of each replicate at its own threshold [b]; NaN where nobody with genuine pairs was drawn.

    per_person: the mean of each person's own TAR, so that all people count alike.
    """
    pairs = genuine_pairs(scores)
    divisor = np.maximum(pairs, 1) if per_person else np.ones(len(pairs))
    each = 1 / divisor[scores.genuine_subject]
    totals, accepts = np.empty(len(weights)), np.empty(len(weights))
    for part, factors in batches(weights):
        totals[part] = factors @ (pairs / divisor)
    for row, threshold in enumerate(thresholds):
        accepted = count_above(scores.genuine, float(threshold))
        accepts[row] = weights[row].take(scores.genuine_subject[:accepted]) @ each[:accepted]
    return quotient(accepts, totals)
