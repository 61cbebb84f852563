"""How sure is a least detection cost? Its interval when other people are drawn, the best threshold found anew in each.

    minDCF = min over t of FRR(t) + k FAR(t),   k = cost_false (1 - prior) / (cost_miss prior),   at most 1

for priors that make accepting everybody the dearer way of not looking. Replicates are those of the EER's interval:
people are drawn anew, FAR is drawn towards its estimate (see `replicates`), and the spread is that of FRR and FAR at
the sample's own best threshold.
"""

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.costs import CostModel
from angulus.evaluation.rates.logits import inverse_logit, logit
from angulus.evaluation.scores.subjects import SubjectScores, Weights, batches
from angulus.evaluation.uncertainty.bootstrap import Bootstrap, finish, of_units
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.replicates import Spread, far_spread, genuine_pairs, quotient, tar_spread

_GRID = 300


def min_dcf_interval(scores: SubjectScores, model: CostModel, bootstrap: Bootstrap | None = None) -> Interval:
    """The interval of minDCF of scores whose tail reaches down to where a false accept costs as much as all misses.

    Raises EvaluationError for a shorter tail, and for a prior at which rejecting everybody is the dearer way.
    """
    options, factor = bootstrap or Bootstrap(), _factor(model)
    thresholds = _thresholds(scores, model)
    accepts, passed = _counts(scores, thresholds)
    costs = 1 - passed / len(scores.genuine) + factor * accepts / scores.impostors
    best = int(np.argmin(costs))
    false, true = far_spread(scores, float(thresholds[best])), tar_spread(scores, float(thresholds[best]))
    joint = Spread(
        rate=min(float(costs[best]), 1.0),
        variance=true.variance + factor**2 * false.variance,
        bootstrap=0.0,
        influence=factor * false.influence - true.influence,
        freedom=min(false.freedom, true.freedom) if false.variance and true.variance else true.freedom,
        units=true.units,
    )
    if joint.variance == 0 or not 0 < joint.rate < 1:
        return of_units(joint, options.level, "people")
    weights = options.weights(scores.subjects)
    replicates = _replicates(scores, (accepts, passed), weights, factor, false.ratio)
    return finish(joint, replicates, weights, options, true.ratio)


def _factor(model: CostModel) -> float:
    """What a false accept weighs, a miss weighing 1."""
    factor = model.cost_false * (1 - model.prior) / (model.cost_miss * model.prior)
    if factor < 1:
        raise EvaluationError(
            f"an interval of minDCF needs a prior at which accepting everybody costs more than rejecting everybody, got"
            f" {model.prior:g} with the costs {model.cost_miss:g} and {model.cost_false:g}"
        )
    return factor


def needed_for_cost(impostors: int, model: CostModel) -> int:
    """How many of the highest impostor scores minDCF looks at: down to where FAR alone costs 2."""
    return min(impostors, int(2 * impostors / _factor(model)) + 100)


def _thresholds(scores: SubjectScores, model: CostModel) -> NDArray[np.float32]:
    """Thresholds from the strictest down to the end of the tail that is wanted."""
    wanted = needed_for_cost(scores.impostors, model)
    if len(scores.tail) < wanted:
        raise EvaluationError(
            f"the tail of {len(scores.tail):,} impostor scores is too short for minDCF; keep at least {wanted:,}"
        )
    values = np.unique(np.concatenate([scores.tail[:wanted], scores.genuine]))[::-1]
    lowest = scores.tail[wanted - 1]
    return values[values >= lowest]


def _counts(scores: SubjectScores, thresholds: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """False and true accepts at each threshold."""
    tail, genuine = scores.tail[::-1], scores.genuine[::-1]
    accepts = len(tail) - np.searchsorted(tail, thresholds, side="right")
    return accepts, len(genuine) - np.searchsorted(genuine, thresholds, side="right")


def _replicates(
    scores: SubjectScores,
    counts: tuple[NDArray[np.int64], NDArray[np.int64]],
    weights: Weights,
    factor: float,
    ratio: float,
) -> NDArray[np.float64]:
    """The least cost of each replicate, over some hundred thresholds."""
    chosen = np.unique(np.linspace(0, len(counts[0]) - 1, _GRID).astype(np.int64))
    accepts, passed = (values[chosen] for values in counts)
    least = 0.5 / scores.impostors
    base = logit(np.clip(accepts / scores.impostors, least, 1 - least))
    left, right = scores.tail_left[: accepts[-1]], scores.tail_right
    found, pairs = np.empty(len(weights)), genuine_pairs(scores)
    for part, factors in batches(weights):
        far, tar = np.empty((2, len(factors), len(chosen)))
        for row, drawn in enumerate(weights[part].astype(np.int32)):
            mass = drawn[left] if right is None else drawn[left] * drawn[right[: accepts[-1]]]
            far[row] = np.cumsum(np.append(0, mass), dtype=np.int64)[accepts]
            tar[row] = np.cumsum(np.append(0, drawn[scores.genuine_subject]), dtype=np.int64)[passed]
        shares = quotient(far, scores.compared.totals(factors)[:, None])
        moved = inverse_logit(base + ratio * (logit(np.clip(shares, least, 1 - least)) - base))
        moved = np.where(accepts == 0, 0.0, moved)
        costs = 1 - quotient(tar, (factors @ pairs)[:, None]) + factor * moved
        found[part] = np.minimum(costs.min(axis=1), 1.0)
    return found
