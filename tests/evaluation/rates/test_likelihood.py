"""Log-likelihood ratios, their costs, and normalised scores against loops and scikit-learn."""

import json
import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from reference import uncertainty as oracle
from scipy import optimize
from sklearn.isotonic import IsotonicRegression

from angulus.errors import EvaluationError
from angulus.evaluation.rates.costs import SRE08, VOXCELEB_001, CostModel, act_dcf, min_dcf
from angulus.evaluation.rates.likelihood import (
    LinearCalibration,
    StepCalibration,
    cllr,
    fit_logistic,
    fit_pav,
    min_cllr,
    pool_adjacent_violators,
)
from angulus.evaluation.scores.normalization import cohort_statistics, normalized_scores

quick = settings(max_examples=60, deadline=None)
tied = st.lists(st.sampled_from([-0.5, -0.25, 0.0, 0.125, 0.5, 0.75]), min_size=1, max_size=25)
# in steps that scikit-learn's interpolation can tell apart: it divides by the distance of two scores
spread = st.lists(st.integers(-10_000, 10_000).map(lambda step: step / 10_000), min_size=1, max_size=25)
some = tied | spread


@quick
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=1, max_size=40))
def test_pooling_is_scikit_learns(points):
    values, weights = np.array(points).T
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values, sample_weight=weights)
    np.testing.assert_allclose(pool_adjacent_violators(values, weights), expected, atol=1e-9)


@quick
@given(some, some)
def test_steps_are_isotonic_regression_with_ties(genuine, impostor):
    scores, truth = np.r_[genuine, impostor], np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    expected = IsotonicRegression().fit_transform(scores, truth)
    odds = fit_pav(genuine, impostor).llr(scores) + math.log(len(genuine) / len(impostor))
    np.testing.assert_allclose(1 / (1 + np.exp(-np.clip(odds, -700, 700))), expected, atol=1e-9)
    llr = fit_pav(genuine, impostor).llr(np.sort(scores))
    assert (llr[1:] >= llr[:-1]).all()


@quick
@given(some, some)
def test_costs_are_the_loop(genuine, impostor):
    assert cllr(genuine, impostor) == pytest.approx(oracle.cllr(genuine, impostor))
    assert min_cllr(genuine, impostor) <= cllr(genuine, impostor) + 1e-12
    assert 0 <= min_cllr(genuine, impostor) <= 1 + 1e-12
    for model in (SRE08, VOXCELEB_001, CostModel(name="even", prior=0.5)):
        found = min_dcf(genuine, impostor, model)
        costs = (model.prior, model.cost_miss, model.cost_false)
        assert found.cost == pytest.approx(oracle.min_dcf(genuine, impostor, *costs))
        assert found.cost <= min(1, act_dcf(genuine, impostor, model).cost) + 1e-12
        assert found.cost == pytest.approx(
            model.cost(found.misses / found.genuine, found.false_accepts / len(impostor))
        )
        json.dumps(found.as_dict(), allow_nan=False)


@quick
@example([0.0] * 8 + [-0.593], [-0.5], 0.01)  # flat far from the minimum: the first steps of Newton lead away
@given(some, some, st.sampled_from([0.01, 0.5, 0.9]))
def test_logistic_is_the_least_loss(genuine, impostor, prior):
    assume(min(genuine) < max(impostor) - 0.05)
    assume(max(genuine) > min(impostor) + 0.05)

    def loss(at):
        shift = math.log(prior / (1 - prior))
        own = np.logaddexp(0, -(at[0] * np.array(genuine) + at[1] + shift)).mean()
        return prior * own + (1 - prior) * np.logaddexp(0, at[0] * np.array(impostor) + at[1] + shift).mean()

    found = fit_logistic(genuine, impostor, prior=prior)
    best = optimize.minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    assert loss([found.slope, found.offset]) <= best.fun + 1e-7


def test_logistic_finds_the_truth_and_calibrates():
    random = np.random.default_rng(0)
    genuine, impostor = random.normal(1, 1, 40_000), random.normal(-1, 1, 60_000)  # llr = 2 score
    found = fit_logistic(3 * genuine + 1, 3 * impostor + 1)
    assert (found.slope, found.offset) == pytest.approx((2 / 3, -2 / 3), abs=0.02)
    llr = [found.llr(3 * values + 1) for values in (genuine, impostor)]
    assert cllr(*llr) == pytest.approx(min_cllr(*llr), abs=2e-3)
    assert act_dcf(*llr, SRE08).cost == pytest.approx(min_dcf(*llr, SRE08).cost, abs=0.03)
    assert cllr(5 * genuine, 5 * impostor) > min_cllr(genuine, impostor) + 0.1


def test_calibrations_survive_json():
    linear = fit_logistic([0.1, 0.8, 0.9], [0.0, 0.2, 0.3])
    assert LinearCalibration.from_json(linear.to_json()) == linear
    steps = fit_pav([0.1, 0.8, 0.9], [0.0, 0.2, 0.3])
    assert steps.values[0] == -math.inf
    assert StepCalibration.from_json(steps.to_json()) == steps
    for kind in (LinearCalibration, StepCalibration):
        with pytest.raises(EvaluationError, match=f"no stored {kind.__name__}"):
            kind.from_json("{}")


def test_bad_scores_say_so():
    with pytest.raises(EvaluationError, match="perfectly separated"):
        fit_logistic([0.8, 0.9], [0.1, 0.2])
    with pytest.raises(EvaluationError, match="got nan in row 1"):
        fit_pav([0.1, np.nan], [0.1])
    with pytest.raises(EvaluationError, match="impostor scores must be a list"):
        fit_logistic([0.1], [])
    with pytest.raises(EvaluationError, match="prior must lie"):
        fit_logistic([0.1], [0.2], prior=1)
    with pytest.raises(EvaluationError, match="without NaN"):
        cllr([np.nan], [0.0])
    with pytest.raises(EvaluationError, match="both kinds"):
        min_dcf([], [0.1])
    with pytest.raises(EvaluationError, match="prior between 0 and 1"):
        CostModel(name="", prior=0)


@quick
@given(st.integers(0, 1000), st.integers(2, 6))
def test_cohort_scores_are_the_loop(seed, top):
    random = np.random.default_rng(seed)
    vectors, cohort = random.normal(size=(5, 4)), random.normal(size=(6, 4))
    vectors, cohort = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (vectors, cohort))
    vectors, cohort = vectors.astype(np.float32), cohort.astype(np.float32)
    left, right = np.array([0, 1, 2]), np.array([3, 4, 4])
    scores = (vectors[left] * vectors[right]).sum(axis=1)
    statistics = cohort_statistics(vectors, cohort, top=top)
    found = normalized_scores(scores, left, right, statistics)
    z, t = (normalized_scores(scores, left, right, statistics, kind=kind) for kind in ("z", "t"))
    np.testing.assert_allclose(found, (z + t) / 2)
    for value, score, a, b in zip(found, scores, left, right, strict=True):
        expected = oracle.cohort_score(score, vectors[a] @ cohort.T, vectors[b] @ cohort.T, top)
        assert value == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_cohort_blocks_and_errors(monkeypatch):
    random = np.random.default_rng(0)
    vectors, cohort = random.normal(size=(2, 50, 8)).astype(np.float32)
    whole = cohort_statistics(vectors, cohort, top=10)
    monkeypatch.setattr("angulus.evaluation.scores.normalization._BLOCK_SCORES", 120)
    np.testing.assert_allclose(cohort_statistics(vectors, cohort, top=10).mean, whole.mean, rtol=1e-6)
    with pytest.raises(EvaluationError, match="top must be at least 2"):
        cohort_statistics(vectors, cohort, top=51)
    with pytest.raises(EvaluationError, match="row 0 are all equal"):
        cohort_statistics(vectors, np.repeat(cohort[:1], 5, axis=0))
    with pytest.raises(EvaluationError, match="NaN or infinity in row 3"):
        cohort_statistics(np.where(np.arange(50)[:, None] == 3, np.nan, vectors), cohort)
    with pytest.raises(EvaluationError, match="kind must be one of"):
        normalized_scores([0.1], [0], [1], whole, kind="as")
    with pytest.raises(EvaluationError, match="rows 0 to 49"):
        normalized_scores([0.1], [0], [50], whole)
