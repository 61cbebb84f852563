"""What is compared is what it is called: distances, changes of scores, and the sentence beyond the tolerance."""

import numpy as np
import pytest

from angulus.errors import BundleError
from angulus.export.comparison import BothVectors
from angulus.export.parity import BATCHES, check_tolerance, distance, distances_at, score_changes


def units(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def turned(vectors, angle):
    """Each vector by an angle in radians."""
    across = np.roll(vectors, 1, 1)
    across -= (across * vectors).sum(1, keepdims=True) * vectors
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return (np.cos(angle) * vectors + np.sin(angle) * across).astype(np.float32)


def test_distance_is_one_less_the_cosine():
    before = units(5)
    after = before.copy()
    after[2] = turned(before[2:3], 0.1)
    found = distance(before, after)
    assert found.largest == pytest.approx(1 - np.cos(0.1), rel=1e-3)
    assert found.mean == pytest.approx((1 - np.cos(0.1)) / 5, rel=1e-3)
    assert distance(before, before).largest < 1e-12
    after[1] = np.nan
    assert distance(before, after).largest == np.inf


@pytest.mark.parametrize("count", [1, 3, 64, 100])
def test_images_are_compared_at_each_number_at_once(count):
    seen = []

    def compute(crops):
        seen.append(len(crops))
        return units(count)[crops[:, 0, 0, 0]]

    crops = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 1, 1, 3))
    found = distances_at(crops, units(count), compute)
    assert tuple(found) == BATCHES
    assert all(each.largest < 1e-12 for each in found.values())
    assert {size for size in BATCHES if size <= count} <= set(seen)
    assert max(seen) == min(64, count)


def test_changes_of_scores():
    before = units(30)
    found = score_changes(BothVectors(before=before, after=turned(before, 0.01), labels=None))
    assert (found["pairs"], found["drawn"]) == (435, False)
    assert 0 < found["mean"] < found["quantile_99"] <= found["largest"] < 0.02
    assert score_changes(BothVectors(before=before[:1], after=before[:1], labels=None)) == {}


def test_of_many_images_pairs_are_drawn():
    vectors = units(1000)
    found = score_changes(BothVectors(before=vectors, after=vectors, labels=None))
    assert found["drawn"]
    assert 190_000 < found["pairs"] <= 200_000
    assert found["largest"] == 0


def test_beyond_the_tolerance_it_is_said_what_to_try():
    check_tolerance(0.05, 0.05, "int8")
    with pytest.raises(BundleError, match=r"within 0.05 .* 0.0731 away, .* float16, .* --tolerance 8e-2"):
        check_tolerance(0.0731, 0.05, "int8")
    with pytest.raises(BundleError, match="inf away"):
        check_tolerance(float("inf"), 1e-5, "float32")
