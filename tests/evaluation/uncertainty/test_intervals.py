"""Intervals of counts and quantiles against scipy; intervals from replicates by their laws."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from angulus.errors import EvaluationError
from angulus.evaluation.uncertainty.intervals import (
    beta_quantile,
    clopper_pearson,
    incomplete_beta,
    interval_of,
    student_quantile,
    student_tail,
    wilson,
)

quick = settings(max_examples=60, deadline=None)


@quick
@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.999]))
def test_counts_are_scipys(trials, share, level):
    errors = round(share * trials)
    for name, found in (("wilson", wilson), ("exact", clopper_pearson)):
        interval = found(errors, trials, level=level)
        expected = stats.binomtest(errors, trials).proportion_ci(level, method=name)
        assert interval.low == pytest.approx(expected.low, rel=1e-6, abs=1e-12)
        assert interval.high == pytest.approx(expected.high, rel=1e-6, abs=1e-12)
        assert errors / trials in interval


@quick
@given(st.floats(0.5, 500), st.floats(0.5, 500), st.floats(0.001, 0.999))
def test_beta_is_scipys(a, b, probability):
    value = stats.beta.ppf(probability, a, b)
    assert beta_quantile(probability, a, b) == pytest.approx(value, rel=1e-7)
    assert incomplete_beta(a, b, probability) == pytest.approx(stats.beta.cdf(probability, a, b), rel=1e-8, abs=1e-13)


@pytest.mark.parametrize("freedom", [1, 1.5, 3, 30, 1e4, 1e7])
@pytest.mark.parametrize("probability", [0.6, 0.975, 0.99999])
def test_student_is_scipys(freedom, probability):
    value = stats.t.ppf(probability, freedom)
    assert student_quantile(probability, freedom) == pytest.approx(value, rel=1e-6)
    assert student_tail(value, freedom) == pytest.approx(1 - probability, rel=1e-4)


def test_rule_of_three():
    assert clopper_pearson(0, 1000, level=0.9).high == pytest.approx(3 / 1000, rel=0.01)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1


@pytest.mark.parametrize("method", ["logit-t", "percentile", "bca"])
def test_normal_replicates_give_the_normal_interval(method):
    replicates = np.random.default_rng(0).normal(0.5, 0.02, 20_000)
    influence = np.random.default_rng(1).normal(size=500)
    found = interval_of(0.5, replicates, method=method, influence=influence)
    assert (found.low, found.high) == pytest.approx((0.5 - 0.0392, 0.5 + 0.0392), abs=3e-3)
    json.dumps(found.as_dict(), allow_nan=False)


def test_bad_arguments_say_so():
    with pytest.raises(EvaluationError, match="got 3 of 2"):
        wilson(3, 2)
    with pytest.raises(EvaluationError, match="level must lie between"):
        clopper_pearson(1, 2, level=95)
    with pytest.raises(EvaluationError, match="method must be one of"):
        interval_of(0.5, np.ones(3), method="bootstrap")
    with pytest.raises(EvaluationError, match="needs the influence"):
        interval_of(0.5, np.ones(3), method="bca")


@pytest.mark.parametrize(("a", "b"), [(1.0, 3.0), (2.5, 2.5), (7.0, 0.5), (3.0, 5.0)])
def test_the_beta_function_at_the_place_where_it_turns(a, b):
    from scipy.stats import beta

    from angulus.evaluation.uncertainty.intervals import incomplete_beta

    turn = (a + 1) / (a + b + 2)
    for value in (turn, np.nextafter(turn, 0), np.nextafter(turn, 1), 1 - turn):
        assert incomplete_beta(a, b, value) == pytest.approx(beta.cdf(value, a, b), abs=1e-12)
