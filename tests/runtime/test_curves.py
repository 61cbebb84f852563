"""Error rates read off curves: on the safe side between what was measured, refused beyond it."""

from dataclasses import replace

import numpy as np
import pytest
from small_bundles import curves

from angulus.errors import BundleError
from angulus.runtime.curves import Searches

MEASURED = curves("a" * 64)
SEARCHES = MEASURED.searches


@pytest.mark.parametrize(("wanted", "threshold"), [(0.01, 0.3), (0.02, 0.3), (0.0999, 0.3), (0.1, 0.2), (1e-4, 0.5)])
def test_the_threshold_for_a_rate_is_the_smallest_that_keeps_it(wanted, threshold):
    assert MEASURED.threshold_for(wanted) == pytest.approx(threshold)


@pytest.mark.parametrize("wanted", [1e-9, 0.0, 1.0, float("nan")])
def test_a_rate_that_the_pairs_cannot_resolve_is_refused(wanted):
    with pytest.raises(BundleError, match="one of the calibration's 300,000 pairs of strangers"):
        MEASURED.threshold_for(wanted)


@pytest.mark.parametrize(("strangers", "said"), [(997_400, "1.1e-06,"), (1_000_000, "1e-06,"), (300_000, "3.4e-06,")])
def test_the_bound_that_is_said_is_taken(strangers, said):
    measured = replace(MEASURED, strangers=strangers)
    with pytest.raises(BundleError, match=f"between {said}"):
        measured.threshold_for(1e-7)
    measured.threshold_for(float(said[:-1]))


def test_between_two_thresholds_the_worse_rate_holds():
    assert MEASURED.far_at(0.35).estimate == pytest.approx(0.01)
    assert MEASURED.frr_at(0.35).estimate == pytest.approx(MEASURED.frr.values[0, 2])
    assert MEASURED.far_at(0.1).estimate == pytest.approx(0.1)
    assert MEASURED.frr_at(0.99).estimate == pytest.approx(0.4)
    with pytest.raises(BundleError, match="must be a finite number"):
        MEASURED.far_at(float("nan"))


def test_a_larger_gallery_and_more_photos_let_more_strangers_pass():
    sizes = [SEARCHES.rate(0.4, {1: people}).estimate for people in (0, 1, 2, 5, 10, 20, 1000)]
    assert sizes[0] == 0
    assert sizes[1] == pytest.approx(1e-3)
    assert sizes[4] == pytest.approx(1e-2)
    assert (np.diff(sizes) > 0).all()
    assert SEARCHES.rate(0.4, {2: 10}).estimate == pytest.approx(2e-2)
    # a number of photos that was not measured counts as the next larger one
    assert SEARCHES.rate(0.4, {7: 10}).estimate == pytest.approx(2e-2)


def test_groups_of_people_add_up_as_if_independent():
    both = SEARCHES.rate(0.4, {1: 10, 2: 10}).estimate
    assert 1 - both == pytest.approx((1 - 1e-2) * (1 - 2e-2))
    assert SEARCHES.rate(0.4, {1: 20}).estimate == pytest.approx(1 - (1 - 1e-2) ** 2)


def test_the_threshold_moves_as_the_gallery_grows():
    found = [SEARCHES.threshold_for(0.01, {1: people}) for people in (1, 10, 100)]
    assert found == pytest.approx([0.3, 0.4, 0.5])
    assert SEARCHES.smallest_fpir({1: 10}) == pytest.approx(1e-5)


@pytest.mark.parametrize("wanted", [1e-6, 1.0, 0.0])
def test_an_fpir_that_cannot_be_told_is_refused(wanted):
    with pytest.raises(BundleError, match="photos of 100,000 strangers"):
        SEARCHES.threshold_for(wanted, {1: 10})


def test_beyond_the_people_who_were_searched_nobody_found_counts_as_one():
    few = [replace(curve, people=40, probes=120) for curve in SEARCHES.curves]
    searches = Searches(curves=tuple(few))
    assert searches.threshold_for(0.03, {1: 10}) == pytest.approx(0.4)
    assert searches.threshold_for(0.01, {1: 2}) == pytest.approx(0.4)
    for people in (100, 1000, 100_000):
        least = 1 - (1 - 1 / 40) ** (people / 10)
        assert searches.smallest_fpir({1: people}) == pytest.approx(least)
        top = searches.rate(0.8, {1: people})
        assert (top.low, top.estimate) == (0, pytest.approx(least))
        assert top.high >= top.estimate
        with pytest.raises(BundleError, match="photos of 40 strangers"):
            searches.threshold_for(0.01, {1: people})
    # groups count together, each of which is small enough
    with pytest.raises(BundleError, match="photos of 40 strangers"):
        searches.threshold_for(0.03, {1: 8, 2: 8})


def test_searches_must_be_sorted_and_at_the_same_thresholds():
    first, second = SEARCHES.curves
    for wrong in ((), (second, first), (first, first)):
        with pytest.raises(BundleError, match="must rise in photos"):
            Searches(curves=wrong)
