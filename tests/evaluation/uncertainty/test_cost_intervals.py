"""Intervals of minDCF: replicates against a loop over drawn people, and the ends of the scale."""

import numpy as np
import pytest
from evaluation_sets import all_pairs, drawn_pairs
from reference import uncertainty as oracle

from angulus.errors import EvaluationError
from angulus.evaluation import SubjectScores
from angulus.evaluation.rates.costs import VOXCELEB_005, CostModel, min_dcf
from angulus.evaluation.uncertainty import cost_intervals
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.cost_intervals import min_dcf_interval, needed_for_cost

EVEN = CostModel(name="even", prior=0.3)


def test_the_estimate_is_the_least_cost_and_lies_inside():
    scores, same, left, right, labels = drawn_pairs([4] * 12, 0)
    found = SubjectScores.of_pairs(scores, same, labels[left], labels[right])
    for model in (VOXCELEB_005, EVEN):
        sure = min_dcf_interval(found, model, Bootstrap(replicates=200))
        assert sure.estimate == pytest.approx(min_dcf(scores[same], scores[~same], model).cost)
        assert 0 < sure.low < sure.estimate < sure.high <= 1


def test_each_replicate_is_the_least_cost_of_the_people_drawn():
    """Without the drawing together of FAR (ratio 1) a replicate is the weighted cost at the best of all thresholds."""
    scores, same, left, right, labels = drawn_pairs([3, 2, 4, 3], 3, levels=8)
    sides = labels[left], labels[right]
    found = SubjectScores.of_pairs(scores, same, *sides)
    factor = (1 - EVEN.prior) / EVEN.prior
    thresholds = cost_intervals._thresholds(found, EVEN)
    weights = Bootstrap(replicates=30, seed=1).weights(found.subjects)
    moved = cost_intervals._replicates(found, cost_intervals._counts(found, thresholds), weights, factor, 1.0)
    for value, drawn in zip(moved, weights.astype(int), strict=True):
        costs = [1.0]
        for threshold in thresholds:
            far, tar = oracle.weighted_rates(scores, same, *sides, drawn, threshold)
            costs.append(1 - tar + factor * far)
        if np.isfinite(costs).all():
            assert value == pytest.approx(min(costs), abs=0.03)  # shares of 0 are taken as half a false accept


def test_more_people_make_it_narrower():
    wide, narrow = (
        min_dcf_interval(all_pairs([4] * people, 5), VOXCELEB_005, Bootstrap(replicates=200)) for people in (12, 60)
    )
    assert narrow.high - narrow.low < 0.7 * (wide.high - wide.low)


def test_a_short_tail_and_an_odd_prior_say_so():
    with pytest.raises(EvaluationError, match="too short for minDCF; keep at least"):
        min_dcf_interval(all_pairs([4] * 20, 0, tail=50), VOXCELEB_005)
    with pytest.raises(EvaluationError, match=r"accepting everybody costs more .* got 0\.9"):
        min_dcf_interval(all_pairs([4] * 5, 0), CostModel(name="", prior=0.9))
    assert needed_for_cost(100_000, VOXCELEB_005) == int(200_000 / 19) + 100
