"""The FAR that is calibrated for is the smallest that the people resolve; the curves hold what all pairs give."""

import numpy as np
import pytest

from angulus.errors import EvaluationError
from angulus.export.calibration import FEWEST, calibrated, never_looser, scored, smallest_resolved


def clusters(people, each, *, dim=24, spread=0.5, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, dim))
    vectors = np.repeat(centres, each, 0) + spread * random.normal(size=(people * each, dim))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, np.repeat(np.arange(people, dtype=np.int64), each)


@pytest.mark.parametrize(("people", "each", "far"), [(24, 4, 1e-2), (80, 4, 1e-3), (230, 4, 1e-4)])
def test_the_smallest_rate_that_the_choosing_half_resolves(people, each, far):
    labels = np.repeat(np.arange(people), each)
    assert smallest_resolved(labels) == far
    assert far * (people // 2) * each * (people // 2 - 1) * each / 2 >= FEWEST


def test_too_few_pairs():
    with pytest.raises(EvaluationError, match=r"at least 1,000 pairs .* got 240"):
        smallest_resolved(np.repeat(np.arange(12), 4))


@pytest.mark.slow
def test_what_is_kept_is_what_all_pairs_give():
    vectors, labels = clusters(24, 4)
    found = calibrated("name", vectors, labels, None)
    assert found.missing == ""
    assert (found.threshold.target_far, found.threshold.people) == (1e-2, 12)
    assert found.threshold.low <= found.threshold.value <= found.threshold.high
    curves = found.curves
    assert (curves.people, curves.photos, curves.genuine, curves.strangers) == (24, 96, 144, 4416)
    assert (curves.histogram.genuine.sum(), curves.histogram.strangers.sum()) == (144, 4416)
    left, right = np.triu_indices(96, 1)
    strangers = (vectors[left] * vectors[right]).sum(1)[labels[left] != labels[right]]
    for threshold in (0.1, 0.3, found.threshold.value):
        rate = curves.far_at(threshold)
        assert (strangers > threshold).mean() <= rate.estimate <= (strangers > threshold).mean() + 0.02
    deployed = curves.threshold_for(1e-2)
    assert (strangers > deployed).mean() <= 1e-2


def test_upper_ends_do_not_rise_with_the_threshold():
    rates = np.array([[0.1, 0.01, 0.0, 0.0], [0.05, 0.001, 0, 0], [0.2, 0.02, 0.03, 0.025]])
    found = never_looser(rates)
    np.testing.assert_array_equal(found[:2], rates[:2])
    np.testing.assert_array_equal(found[2], [0.2, 0.02, 0.02, 0.02])


def test_one_person_is_called_so():
    vectors, labels = clusters(1, 4)
    assert calibrated("name", vectors, labels, None).missing.startswith("one person is too few")


def test_a_rate_that_cannot_be_resolved_gives_a_reason():
    vectors, labels = clusters(24, 4)
    found = calibrated("name", vectors, labels, 1e-6)
    assert found.threshold is None
    assert found.curves is None
    assert "FAR 1e-06 needs at least" in found.missing


def test_more_scores_than_can_be_kept_are_refused(monkeypatch):
    from angulus.export import calibration

    monkeypatch.setattr(calibration, "MOST_TAIL", 1000)
    vectors, labels = clusters(24, 4)
    with pytest.raises(EvaluationError, match="ask for a smaller FAR"):
        scored(vectors, labels, 0.1)
