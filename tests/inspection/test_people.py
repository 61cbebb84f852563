"""Identities are compared by z; its threshold keeps the false accept rate that it promises."""

import numpy as np
import pytest
from faces_drawn import clustered
from reference import inspection as oracle

from angulus.errors import EvaluationError
from angulus.inspection import people
from angulus.inspection.labels import find_mixtures, find_outliers, image_bounds, two_means
from angulus.inspection.people import alike, calibrate, cohort_of, halves, mean_directions, relative


def centres_of(counts, **options):
    vectors, labels = clustered(counts, **options)
    means, sizes = mean_directions(vectors, labels, len(counts))
    return relative(means, sizes, means, np.arange(len(counts))), vectors, labels


def scores_of_alike(left, right=None):
    pairs = alike(left, right, threshold=-1e9)
    return dict(zip(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True), pairs.scores.tolist(), strict=True))


@pytest.mark.parametrize("block", [7, 2048])
def test_z_is_that_of_loops(monkeypatch, block):
    monkeypatch.setattr(people, "_BLOCK", block)
    monkeypatch.setattr(people, "TOP", 6)
    one, _, _ = centres_of([2] * 20)
    own = np.arange(20)
    expected = oracle.adaptive_scores(one.vectors, one.vectors, one.vectors, own, own, 6)
    found = scores_of_alike(one)
    assert len(found) == 190
    for (left, right), score in found.items():
        assert score == pytest.approx(expected[left, right], abs=1e-3)
    cross = scores_of_alike(one.rows(np.arange(5)), one.rows(np.arange(5, 20)))
    assert cross[2, 0] == pytest.approx(expected[2, 5], abs=1e-3)


def test_mutual_means_each_others_best():
    vectors, labels = clustered([3] * 30)
    labels[labels == 29] = 28  # two people under one name are left, and ...
    labels[np.flatnonzero(labels == 5)[:1]] = 29  # ... one person under two
    means, sizes = mean_directions(vectors, labels, 30)
    pairs = alike(relative(means, sizes, means, np.arange(30)), threshold=2.0)
    assert (pairs.left[0], pairs.right[0], bool(pairs.mutual[0])) == (5, 29, True)
    for left, right, mutual in zip(pairs.left, pairs.right, pairs.mutual, strict=True):
        if mutual:
            assert (pairs.left == left).sum() + (pairs.right == left).sum() >= 1
            assert right != left


def test_the_threshold_keeps_its_far():
    found, vectors, labels = centres_of([1, 2, 3, 4] * 100, dim=48)
    parts, sizes, of = halves(vectors, labels)
    calibration = calibrate([found], [relative(parts, sizes, found.vectors, np.tile(of, 2))])
    assert calibration.pairs == 400 * 399 // 2
    scores = np.array(list(scores_of_alike(found).values()))
    for far in (1e-1, 1e-2, 2e-3):
        assert (scores >= calibration.threshold(far)).mean() <= far
        assert (scores >= calibration.threshold(far) - 0.02).mean() > 0.8 * far
    # beyond what is counted the line goes on, and both directions agree
    thresholds = [calibration.threshold(far) for far in (1e-3, 1e-4, 1e-5, 1e-6)]
    assert (np.diff(thresholds) > 0).all()
    assert calibration.far(thresholds[2]) == pytest.approx(1e-5, rel=0.01)
    hits, total = calibration.found(calibration.threshold(1e-3))
    assert total == 300
    assert hits > 0.9 * total
    assert calibration.found(0.0, 2)[1] == 100


def test_a_small_set_has_a_threshold_that_one_person_reaches():
    found, vectors, labels = centres_of([8] * 24, dim=64, spread=0.5)
    parts, sizes, of = halves(vectors, labels)
    calibration = calibrate([found], [relative(parts, sizes, found.vectors, np.tile(of, 2))])
    hits, total = calibration.found(calibration.threshold(0.5 / calibration.pairs))
    assert (hits, total) == (24, 24)


def test_halves_share_no_image():
    vectors, labels = clustered([1, 2, 5])
    parts, sizes, of = halves(vectors, labels)
    assert of.tolist() == [1, 2]
    assert sizes.tolist() == [1, 3, 1, 2]
    whole = sizes[1] + sizes[3]
    assert whole == 5
    assert np.linalg.norm(parts, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_a_large_cohort_is_drawn_in_proportion(monkeypatch):
    monkeypatch.setattr(people, "MOST_COHORT", 100)
    assert [len(rows) for rows in cohort_of([900, 100])] == [90, 10]
    assert [len(rows) for rows in cohort_of([30, 5])] == [30, 5]


def test_too_few_identities_and_an_identity_without_images():
    with pytest.raises(EvaluationError, match="at least 12 of them are needed, got 5"):
        centres_of([1] * 5)
    vectors, labels = clustered([1, 1])
    with pytest.raises(EvaluationError, match="none for label 2"):
        mean_directions(vectors, labels, 3)


def test_two_means_finds_two_people():
    vectors, labels = clustered([7, 4])
    part = two_means(vectors @ vectors.T)
    assert (part == (labels == 1)).all() or (part == (labels == 0)).all()


def test_a_mixed_identity_and_outlying_images_are_found():
    vectors, labels = clustered([6] * 40, spread=0.5)
    labels[labels == 39] = 38  # 38 is two people
    stray = np.flatnonzero(labels == 4)[0]
    labels[stray] = 10  # one image of 4 among those of 10
    bounds = image_bounds(vectors, labels)
    (mixture,) = find_mixtures(vectors, labels, bounds)
    assert (mixture.label, mixture.images, len(mixture.rows)) == (38, 12, 6)
    assert mixture.across < bounds.loose < bounds.strict < mixture.inside
    outliers = find_outliers(vectors, labels, bounds)
    assert outliers[0].row == stray
    assert image_bounds(vectors[:6], labels[:6]) is None
