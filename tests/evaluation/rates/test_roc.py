"""Rates, EER, AUC and curves against plain loops, scikit-learn, and their own laws."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import verification as oracle
from sklearn import metrics

from angulus.errors import EvaluationError
from angulus.evaluation.rates.roc import (
    area_under_roc,
    equal_error_rate,
    rates_at,
    roc_curve,
    score_histogram,
    tar_at_far,
    tars_at_fars,
)
from angulus.evaluation.scores.cosines import Scores

# A few distinct values, so that ties are the rule.
tied = st.lists(st.sampled_from([-0.5, -0.25, 0.0, 0.125, 0.25, 0.5, 0.75]), min_size=1, max_size=30)
spread = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30)
some_scores = st.tuples(tied | spread, tied | spread)
quick = settings(max_examples=60, deadline=None)
some_far = st.sampled_from([0.0, 1e-3, 0.01, 0.1, 0.29, 1 / 3, 0.5, 0.9, 0.999])


def scores_of(pair):
    return Scores(np.array(pair[0], np.float32), np.array(pair[1], np.float32))


def normal_scores(genuine=700, impostor=3000, seed=0):
    random = np.random.default_rng(seed)
    return Scores(random.normal(0.5, 0.2, genuine), random.normal(0.0, 0.15, impostor))


def labelled(scores):
    truth = np.r_[np.ones(len(scores.genuine)), np.zeros(len(scores.impostor))]
    return truth, np.r_[scores.genuine, scores.impostor]


@quick
@given(some_scores, some_far)
def test_tar_at_far_is_the_loop(pair, far):
    scores = scores_of(pair)
    point = tar_at_far(scores, far)
    assert (point.threshold, point.far, point.tar) == oracle.tar_at_far(*pair, far)
    assert point.far <= far
    assert point.target == far


@quick
@given(some_scores)
def test_eer_is_the_loop(pair):
    found = equal_error_rate(scores_of(pair))
    assert found.rate == pytest.approx(oracle.equal_error_rate(*pair), abs=1e-12)
    point = rates_at(scores_of(pair), found.threshold)
    assert (point.far, point.frr) == (found.far, found.frr)
    assert min(found.far, found.frr) - 1e-12 <= found.rate <= max(found.far, found.frr) + 1e-12


@quick
@given(some_scores)
def test_auc_is_the_loop_and_scikit_learn(pair):
    scores = scores_of(pair)
    found = area_under_roc(scores)
    assert found == pytest.approx(oracle.area_under_roc(*pair), abs=1e-12)
    assert found == pytest.approx(metrics.roc_auc_score(*labelled(scores)), abs=1e-9)


@quick
@given(some_scores)
def test_curve_is_scikit_learns(pair):
    scores = scores_of(pair)
    far, tar, _ = metrics.roc_curve(*labelled(scores), drop_intermediate=False)
    curve = roc_curve(scores)
    np.testing.assert_allclose(curve.far, far, atol=1e-12)
    np.testing.assert_allclose(curve.tar, tar, atol=1e-12)


@quick
@given(some_scores, st.randoms())
def test_order_of_pairs_changes_nothing(pair, random):
    shuffled = tuple(random.sample(values, len(values)) for values in pair)
    one, other = scores_of(pair), scores_of(shuffled)
    assert tar_at_far(one, 0.1) == tar_at_far(other, 0.1)
    assert equal_error_rate(one) == equal_error_rate(other)
    assert area_under_roc(one) == area_under_roc(other)


@quick
@given(some_scores)
def test_rates_are_monotone(pair):
    scores = scores_of(pair)
    points = [tar_at_far(scores, far) for far in (0.0, 0.01, 0.1, 0.3, 0.7, 0.99)]
    for stricter, looser in pairwise(points):
        assert stricter.threshold >= looser.threshold
        assert stricter.tar <= looser.tar
        assert stricter.far <= looser.far
    curve = roc_curve(scores)
    assert (np.diff(curve.threshold) < 0).all()
    assert (np.diff(curve.far) >= 0).all()
    assert (np.diff(curve.tar) >= 0).all()


@quick
@given(some_scores)
def test_an_increasing_map_of_the_scores_changes_no_rate(pair):
    mapped = Scores(*(np.array(values, np.float32) * 2 + 1 for values in pair))
    scores = Scores(*((values - 1) / 2 for values in (mapped.genuine, mapped.impostor)))
    assert area_under_roc(scores) == area_under_roc(mapped)
    assert equal_error_rate(scores).rate == equal_error_rate(mapped).rate


@pytest.mark.parametrize(
    ("genuine", "impostor", "eer", "auc"),
    [([0.9], [0.1], 0.0, 1.0), ([0.1], [0.9], 1.0, 0.0), ([0.5], [0.5], 0.5, 0.5), ([0.2] * 4, [0.2] * 9, 0.5, 0.5)],
)
def test_smallest_cases(genuine, impostor, eer, auc):
    scores = Scores(genuine, impostor)
    assert equal_error_rate(scores).rate == eer
    assert area_under_roc(scores) == auc


def test_large_sets_against_scikit_learn():
    scores = normal_scores()
    truth, values = labelled(scores)
    far, tar, threshold = metrics.roc_curve(truth, values, drop_intermediate=False)
    for target in (0.1, 0.01, 1e-3):
        allowed = np.flatnonzero(far <= target)[-1]
        point = tar_at_far(scores, target)
        assert (point.far, point.tar) == (far[allowed], tar[allowed])
        assert point.threshold < threshold[allowed]  # scikit-learn accepts >=, at the next score above
    assert area_under_roc(scores) == pytest.approx(metrics.roc_auc_score(truth, values), abs=1e-12)


def test_thinned_curve_lies_on_the_full_one():
    scores = normal_scores(5000, 50_000)
    thin = roc_curve(scores)
    assert 200 < len(thin) <= 700
    assert (thin.far[0], thin.tar[0], thin.far[-1], thin.tar[-1]) == (0, 0, 1, 1)
    for index in range(0, len(thin), 37):
        point = rates_at(scores, thin.threshold[index])
        assert (point.far, point.tar) == (thin.far[index], thin.tar[index])
    assert thin.far[thin.far > 0].min() <= 2 / 50_000


def test_decimal_far_allows_its_full_count():
    impostor = np.arange(100) / 100
    for percent in range(100):
        assert tar_at_far(Scores([0.5], impostor), percent / 100).false_accepts == percent


def test_unresolved_far_says_so():
    scores = normal_scores(50, 500)
    assert [point.resolved for point in tars_at_fars(scores, (1e-3, 1e-2, 2e-3))] == [True, True, False]
    assert tar_at_far(scores, 1e-3).false_accepts == 0


def test_threshold_between_float32_numbers():
    score = np.float32(0.1)
    scores = Scores([score], [score])
    assert rates_at(scores, float(score)).true_accepts == 0
    assert rates_at(scores, np.nextafter(float(score), -1)).true_accepts == 1
    assert rates_at(scores, np.nextafter(float(score), 1)).true_accepts == 0


@pytest.mark.parametrize("far", [-0.1, 1.0, 2.0, float("nan")])
def test_far_outside_its_range(far):
    with pytest.raises(EvaluationError, match="far must be at least 0 and below 1"):
        tar_at_far(normal_scores(5, 5), far)


def test_dicts_are_strict_json_with_both_names():
    scores = normal_scores(20, 60)
    point = json.loads(json.dumps(tar_at_far(scores, 0.1).as_dict(), allow_nan=False))
    assert point["far"] == point["fmr"] == point["false_accepts"] / point["impostors"]
    assert point["tar"] == point["tmr"] == 1 - point["fnmr"] == pytest.approx(1 - point["frr"])
    json.dumps([roc_curve(scores).as_dict(), equal_error_rate(scores).as_dict()], allow_nan=False)


@quick
@given(some_scores, st.integers(1, 20))
def test_histogram_counts_every_score_once(pair, bins):
    found = score_histogram(scores_of(pair), bins=bins)
    assert found.genuine.sum() == len(pair[0])
    assert found.impostor.sum() == len(pair[1])
    assert len(found.edges) == bins + 1
    json.dumps(found.as_dict(), allow_nan=False)


def test_histogram_is_numpys():
    scores = normal_scores()
    found = score_histogram(scores, bins=20)
    edges = found.edges.astype(np.float32).astype(np.float64)
    edges[0] -= 1e-6
    edges[-1] += 1e-6
    np.testing.assert_array_equal(found.genuine, np.histogram(scores.genuine.astype(np.float64), edges)[0])
