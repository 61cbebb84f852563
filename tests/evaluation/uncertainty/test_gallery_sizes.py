"""How often strangers are found in galleries of any size: against naive draws, and on LFW."""

from itertools import combinations

import numpy as np
import pytest
from real_data import SHARED, needs_shared

from angulus.errors import EvaluationError
from angulus.evaluation.uncertainty.gallery_sizes import stranger_searches, tail_thresholds, usual_sizes


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def drawn(people, images=1, dim=6, seed=0):
    dice = np.random.default_rng(seed)
    centres = dice.normal(size=(people, dim)) + 0.4
    vectors = unit(np.repeat(centres, images, axis=0) + 0.3 * dice.normal(size=(people * images, dim)))
    return vectors, np.repeat(np.arange(people), images)


def test_the_rate_is_the_mean_over_all_galleries_that_can_be_drawn():
    vectors, people = drawn(11, images=2)
    templates, owners = vectors[::2], people[::2]
    found = stranger_searches(vectors, people, templates, owners, sizes=[1, 3, 10])
    scores = vectors @ templates.T
    for row, size in enumerate(found.sizes):
        for place in range(0, len(found.thresholds), 40):
            hits = [
                any(scores[probe, other] > found.thresholds[place] for other in gallery)
                for probe in range(len(vectors))
                for gallery in combinations([one for one in range(11) if one != people[probe]], size)
            ]
            assert found.fpir[row, 0, place] == pytest.approx(np.mean(hits), abs=1e-12)


@pytest.mark.slow
def test_rates_fall_with_the_threshold_rise_with_the_gallery_and_lie_in_their_intervals():
    vectors, people = drawn(60)
    found = stranger_searches(vectors, people, vectors, people)
    assert found.sizes == usual_sizes(60) == (1, 2, 5, 10, 20, 50, 59)
    assert (np.diff(found.fpir[:, 0], axis=1) <= 1e-12).all()
    assert (np.diff(found.fpir[:, 0], axis=0) >= -1e-12).all()
    estimate, low, high = found.fpir.transpose(1, 0, 2)
    assert (low <= estimate).all()
    assert (estimate <= high).all()
    assert (low >= 0).all()
    assert (high <= 1).all()


def test_one_comparison_is_the_false_match_rate():
    vectors, people = drawn(30)
    found = stranger_searches(vectors, people, vectors, people, sizes=[1])
    scores = (vectors @ vectors.T)[~np.eye(30, dtype=bool)]
    for place in range(0, len(found.thresholds), 50):
        assert found.fpir[0, 0, place] == pytest.approx((scores > found.thresholds[place]).mean(), abs=1e-12)


@pytest.mark.parametrize("sizes", [[0], [12], [1, 50]])
def test_galleries_of_more_people_than_there_are_others_are_refused(sizes):
    vectors, people = drawn(12)
    with pytest.raises(EvaluationError, match="sizes must lie in 1 to 11, the others of 12"):
        stranger_searches(vectors, people, vectors, people, sizes=sizes)


def test_probes_need_no_template_of_their_own():
    vectors, people = drawn(40, images=2)
    found = stranger_searches(vectors, people, vectors[:40:2], people[:40:2])
    assert (found.people, found.probes) == (20, 80)
    assert found.sizes[-1] == 19


@pytest.mark.parametrize(
    ("count", "twice", "words"),
    [(9, False, "at least 10 people, got 9 of 9"), (12, True, "one template for each")],
)
def test_too_few_people_and_two_templates_of_one_are_refused(count, twice, words):
    vectors, people = drawn(count)
    owners = np.zeros_like(people) if twice else people
    with pytest.raises(EvaluationError, match=words):
        stranger_searches(vectors, people, vectors, owners)


def test_probes_of_another_length_are_refused():
    vectors, people = drawn(12)
    with pytest.raises(EvaluationError, match="vectors of one length"):
        stranger_searches(vectors[:, :4], people, vectors, people)


def test_thresholds_rise_to_the_largest_score():
    scores = np.random.default_rng(0).normal(size=1000)
    found = tail_thresholds(scores, 50)
    assert (np.diff(found) > 0).all()
    assert found[-1] == scores.max()
    assert found[0] == pytest.approx(np.median(scores), abs=0.05)


def test_as_many_intervals_hold_as_they_say():
    """Calibrated on drawn people, tried on galleries and strangers who had no part in it."""
    vectors, _ = drawn(1500, dim=24, seed=3)
    calibration, gallery, strangers = vectors[:500], vectors[500:1000], vectors[1000:]
    people = np.arange(500)
    found = stranger_searches(calibration, people, calibration, people, sizes=[50])
    place = int(np.flatnonzero(found.fpir[0, 0] <= 0.1)[0])
    _, low, high = found.fpir[0, :, place]
    held = []
    for seed in range(40):
        chosen = np.random.default_rng(seed).permutation(500)[:50]
        rate = ((strangers @ gallery[chosen].T).max(1) > found.thresholds[place]).mean()
        held.append(low <= rate <= high)
    assert np.mean(held) >= 0.8


@pytest.mark.slow
@needs_shared
def test_unseen_strangers_of_lfw_pass_as_often_as_was_said():
    stored = np.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz", allow_pickle=False)
    vectors, labels = unit(stored["emb"].astype(np.float32) + stored["emb_flip"].astype(np.float32)), stored["label"]
    _, first, counts = np.unique(labels, return_index=True, return_counts=True)
    dice = np.random.default_rng(0)
    alone = dice.permutation(first[counts == 1])
    calibration, strangers = vectors[alone[:2000]], vectors[alone[2000:]]
    people = np.arange(2000)
    found = stranger_searches(calibration, people, calibration, people, sizes=[100, 1000, 1680])
    enrolled = dice.permutation(first[counts > 1])
    for row, size in enumerate(found.sizes):
        best = (strangers @ vectors[enrolled[:size]].T).max(1)
        for wanted in (0.1, 0.02):
            place = int(np.flatnonzero(found.fpir[row, 0] <= wanted)[0])
            rate = (best > found.thresholds[place]).mean()
            # the strangers are a sample too
            noise = 2 * np.sqrt(wanted / len(strangers))
            _, low, high = found.fpir[row, :, place]
            assert low - noise <= rate <= high + noise, (size, wanted, rate, low, high)
