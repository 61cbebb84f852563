"""Calibration with quality measures: the least cost by scikit-learn, zero gradient, and what separated scores get."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import scoring as oracle
from reference import uncertainty
from sklearn.linear_model import LogisticRegression

from angulus.errors import EvaluationError
from angulus.evaluation.rates.costs import SRE08, VOXCELEB_001, VOXCELEB_005, act_dcf
from angulus.evaluation.rates.likelihood import cllr, fit_logistic
from angulus.evaluation.rates.quality_calibration import QualityCalibration, fit_quality, quality_measures
from angulus.evaluation.rates.step_costs import costs_of_list

NAMES = ("log lesser seconds", "log greater seconds")


def trials(seed=0, count=400):
    """Overlapping scores whose means fall with the shorter of two durations, and the two measures."""
    random = np.random.default_rng(seed)
    same = random.random(count) < 0.3
    seconds = random.uniform(0.5, 20, (2 * count,))
    measures = quality_measures(seconds, np.arange(count), count + np.arange(count), "seconds")
    scores = random.normal(0.3 * same + 0.1 * measures[:, 0], 0.15)
    return scores, same, measures


@pytest.mark.parametrize("prior", [0.5, 0.05])
def test_the_fit_is_scikit_learns_and_its_gradient_is_zero(prior):
    scores, same, measures = trials()
    found = fit_quality(scores, same, measures, NAMES, prior=prior)
    columns = np.column_stack([scores, measures])
    shares = np.where(same, prior / same.sum(), (1 - prior) / (~same).sum())
    fitted = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    fitted.fit(columns, same, sample_weight=shares * len(same))
    expected = fitted.decision_function(columns) - math.log(prior / (1 - prior))
    np.testing.assert_allclose(found.llr(scores, measures), expected, atol=2e-5)
    chance = 1 / (1 + np.exp(-(found.llr(scores, measures) + math.log(prior / (1 - prior)))))
    gradient = (shares * (chance - same)) @ np.column_stack([columns, np.ones(len(same))])
    assert np.abs(gradient).max() < 1e-9


def test_without_measures_it_is_linear_calibration():
    scores, same, _ = trials(1)
    found = fit_quality(scores, same, np.empty((len(scores), 0)), ())
    linear = fit_logistic(scores[same], scores[~same])
    assert (found.slope, found.offset) == pytest.approx((linear.slope, linear.offset), rel=1e-9)


def test_measures_that_matter_lower_cllr_on_other_trials_and_equal_ones_weigh_nothing():
    (scores, same, measures), (new, truth, beside) = trials(0, 4000), trials(2, 4000)
    with_measures = fit_quality(scores, same, measures, NAMES).llr(new, beside)
    alone = fit_quality(scores, same, measures[:, :0], ()).llr(new, beside[:, :0])
    assert cllr(with_measures[truth], with_measures[~truth]) < cllr(alone[truth], alone[~truth]) - 0.02
    constant = fit_quality(scores, same, np.full((len(scores), 1), 3.7), ("same",))
    assert constant.weights == (0.0,)


def test_the_order_of_the_sides_changes_nothing():
    seconds, left, right = np.array([1.0, 4.0, 9.0]), np.array([0, 1, 2]), np.array([1, 1, 0])
    found = quality_measures(seconds, left, right, "seconds")
    np.testing.assert_allclose(found, np.log([[1, 4], [4, 4], [1, 9]]))
    np.testing.assert_array_equal(found, quality_measures(seconds, right, left, "seconds"))


quick = settings(max_examples=40, deadline=None)
some = st.lists(st.sampled_from([-6.0, -1.5, 0.0, 0.25, 2.9, 4.6, 7.0]), min_size=1, max_size=12)


@quick
@given(some, some)
def test_costs_of_ratios_are_the_loops(genuine, impostor):
    found = costs_of_list(np.array(genuine), np.array(impostor), are_llr=True)
    assert found.cllr == pytest.approx(uncertainty.cllr(genuine, impostor))
    for least, actual, model in zip(found.dcf, found.actual, (SRE08, VOXCELEB_001, VOXCELEB_005), strict=True):
        costs = (model.prior, model.cost_miss, model.cost_false)
        assert least.cost == pytest.approx(uncertainty.min_dcf(genuine, impostor, *costs))
        assert actual.cost == pytest.approx(oracle.act_dcf(genuine, impostor, *costs))
        assert actual.cost == act_dcf(genuine, impostor, model).cost
        assert least.cost <= actual.cost + 1e-12
    plain = costs_of_list(np.array(genuine), np.array(impostor), are_llr=False)
    assert (plain.actual, plain.cllr, plain.dcf) == ((), None, found.dcf)


def test_a_calibration_survives_json():
    scores, same, measures = trials()
    found = fit_quality(scores, same, measures, NAMES)
    assert QualityCalibration.from_json(found.to_json()) == found
    assert "log lesser seconds" in found.line()
    for text in ("{}", '{"slope": 1, "weights": 3, "offset": 0, "measures": [], "prior": 0.5}'):
        with pytest.raises(EvaluationError, match="this is no stored"):
            QualityCalibration.from_json(text)
    with pytest.raises(EvaluationError, match="got 1 weights and 0 measures"):
        QualityCalibration.from_json('{"slope": 1, "weights": [3], "offset": 0, "measures": [], "prior": 0.5}')


def test_what_cannot_be_fitted_says_so():
    scores, same, measures = trials()
    with pytest.raises(EvaluationError, match="perfectly separated"):
        fit_quality(np.where(same, 1.0, 0.0) + 0.1 * scores, same, measures, NAMES)
    with pytest.raises(EvaluationError, match="both kinds, got 0 genuine"):
        fit_quality(scores, np.zeros(len(scores)), measures, NAMES)
    with pytest.raises(EvaluationError, match="infinity in trial 3"):
        fit_quality(np.where(np.arange(len(scores)) == 3, np.nan, scores), same, measures, NAMES)
    with pytest.raises(EvaluationError, match=r"here \[400, 1\] \(seconds\), got \[400, 2\]"):
        fit_quality(scores, same, measures, ("seconds",))
    with pytest.raises(EvaluationError, match="quality seconds must be a number above 0, got 0 in row 1"):
        quality_measures([1, 0.0], [0], [1], "seconds")
    with pytest.raises(EvaluationError, match="holds text"):
        quality_measures(["a"], [0], [0], "seconds")
    with pytest.raises(EvaluationError, match="prior must lie"):
        fit_quality(scores, same, measures, NAMES, prior=0)
