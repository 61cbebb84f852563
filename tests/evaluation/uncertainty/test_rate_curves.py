"""Rates at many thresholds are exact, and their intervals those that drawing people anew gives."""

import numpy as np
import pytest
from faces_drawn import clustered

from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty import rate_curves as module
from angulus.evaluation.uncertainty.rate_curves import rate_curves
from angulus.evaluation.uncertainty.rate_intervals import far_interval, frr_interval
from angulus.evaluation.uncertainty.verification_intervals import shortened


def scored(vectors, labels, tail):
    counted = all_pairs(vectors, labels, fars=(0.01,), tail=tail)
    kept = counted.kept
    scores = SubjectScores.of_all_pairs(
        labels,
        **{"genuine": kept.genuine, "genuine_rows": kept.genuine_left},
        **{"tail": kept.tail, "tail_left": kept.tail_left, "tail_right": kept.tail_right},
    )
    return counted, scores


@pytest.fixture(scope="module")
def people():
    vectors, labels = clustered([4] * 60, dim=16, spread=0.8)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.slow
def test_rates_are_those_of_all_pairs(people):
    vectors, labels = people
    found = rate_curves(vectors, labels, *scored(vectors, labels, 28_000))
    left, right = np.triu_indices(len(labels), 1)
    cosines, same = (vectors[left] * vectors[right]).sum(1), labels[left] == labels[right]
    assert 100 < len(found.thresholds) <= 400
    assert (np.diff(found.thresholds) > 0).all()
    for place in range(0, len(found.thresholds), 7):
        above = cosines > found.thresholds[place]
        assert found.far[0, place] == pytest.approx(above[~same].mean(), abs=2 / (~same).sum())
        assert found.frr[0, place] == pytest.approx(1 - above[same].mean(), abs=2 / same.sum())
    for rates in (found.far, found.frr):
        assert ((rates[1] <= rates[0]) & (rates[0] <= rates[2])).all()
        assert ((rates >= 0) & (rates <= 1)).all()
    assert found.far[0, -1] == 0
    assert found.far[2, -1] > 0


RATES = (0.5, 0.1, 0.01, 0.001)


@pytest.mark.slow
def test_intervals_are_those_of_the_bootstrap(people):
    vectors, labels = people
    counted, scores = scored(vectors, labels, 28_000)
    found = rate_curves(vectors, labels, counted, scores)
    for wanted in RATES:
        place = int(np.argmin(np.abs(found.far[0] - wanted)))
        drawn = far_interval(scores, float(found.thresholds[place]))
        width = drawn.high - drawn.low
        np.testing.assert_allclose(found.far[1:, place], [drawn.low, drawn.high], atol=width / 8)
        place = int(np.argmin(np.abs(found.frr[0] - wanted)))
        drawn = frr_interval(scores, float(found.thresholds[place]))
        np.testing.assert_allclose(found.frr[1:, place], [drawn.low, drawn.high], atol=1e-9)


@pytest.mark.slow
def test_below_the_tail_a_sample_speaks_for_all_on_the_safe_side(people, monkeypatch):
    vectors, labels = people
    counted, whole = scored(vectors, labels, 28_000)
    exact = rate_curves(vectors, labels, counted, whole)
    monkeypatch.setattr(module, "MOST_SAMPLED", 80)
    found = rate_curves(vectors, labels, counted, shortened(whole, 1_000))
    np.testing.assert_array_equal(found.far[0], exact.far[0])
    width, right = found.far[2] - found.far[1], exact.far[2] - exact.far[1]
    for wanted in (0.8, 0.5, 0.2, 0.1):
        place = int(np.argmin(np.abs(found.far[0] - wanted)))
        assert found.thresholds[place] < whole.tail[999]
        assert 0.7 < width[place] / right[place] < 2.5
    in_tail = found.thresholds >= whole.tail[999]
    np.testing.assert_allclose(width[in_tail], right[in_tail])
