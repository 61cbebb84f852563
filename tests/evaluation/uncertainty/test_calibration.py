"""Thresholds to deploy, comparisons of two models, and breakdowns by group."""

import json

import numpy as np
import pytest
from evaluation_sets import all_pairs, drawn_pairs, some_seed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from angulus.errors import EvaluationError
from angulus.evaluation import (
    CalibratedThreshold,
    SubjectScores,
    calibrate_for_gallery,
    calibrate_threshold,
    compare_accuracy,
    compare_tar,
    group_breakdown,
)
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.breakdown import binned, pair_breakdown, pair_column
from angulus.evaluation.uncertainty.calibration import far_of_fpir, fpir_of_far, split_people
from angulus.evaluation.uncertainty.comparison import mcnemar

quick = settings(max_examples=30, deadline=None)
few = Bootstrap(replicates=60)
SIZES = np.r_[np.full(60, 3), np.full(60, 1)]


def test_halves_share_nobody_and_threshold_comes_from_the_first():
    sample = all_pairs(SIZES, 0)
    choosing, reporting = split_people(sample, seed=3)
    assert choosing.subjects + reporting.subjects == sample.subjects
    assert len(choosing.genuine) + len(reporting.genuine) == len(sample.genuine)
    assert choosing.complete
    assert reporting.complete
    found = calibrate_threshold(sample, 0.05, seed=3, bootstrap=few)
    assert (choosing.tail > found.threshold).mean() <= 0.05
    assert found.achieved.estimate == pytest.approx((reporting.tail > found.threshold).mean())
    assert found.tar.estimate == pytest.approx((reporting.genuine > found.threshold).mean())
    assert found.predicted[0] < found.expected[0] < 0.05 < found.expected[1] < found.predicted[1]
    assert found.threshold_low <= found.threshold <= found.threshold_high
    assert calibrate_threshold(sample, 0.05, seed=4, bootstrap=few).threshold != found.threshold


def test_stored_threshold_decides_as_before():
    found = calibrate_for_gallery(all_pairs(SIZES, 1), 0.3, 10, bootstrap=few)
    again = CalibratedThreshold.from_json(found.to_json())
    assert again == found
    assert again.accepts([found.threshold, np.nextafter(found.threshold, 9)]).tolist() == [False, True]
    assert "gallery 10" in found.table()
    with pytest.raises(EvaluationError, match="no stored CalibratedThreshold"):
        CalibratedThreshold.from_json("[1]")


def test_search_scores_are_calibrated_directly():
    random = np.random.default_rng(0)
    people, known = np.repeat(np.arange(200), 2), np.arange(400) < 200
    sample = SubjectScores.of_pairs(random.normal(np.where(known, 3, 0), 1.0), known, people, None)
    found = calibrate_threshold(sample, 0.1, bootstrap=few)
    assert found.threshold == pytest.approx(stats.norm.ppf(0.9), abs=0.5)


@quick
@given(st.floats(1e-6, 0.99), st.integers(1, 100_000))
def test_gallery_rule_and_its_inverse(fpir, gallery):
    far = far_of_fpir(fpir, gallery)
    assert fpir_of_far(far, gallery) == pytest.approx(fpir)
    assert far == pytest.approx(1 - (1 - fpir) ** (1 / gallery), rel=1e-3, abs=1e-12)


@pytest.mark.parametrize("levels", [None, 0.5, 0.1])  # 0.1: all scores are equal
@pytest.mark.parametrize("people", [10, 30])
@pytest.mark.parametrize("far", [0.3, 0.1, 0.01])
def test_what_is_expected_is_never_certain_and_holds_what_was_counted(people, levels, far):
    sample = all_pairs(np.full(people, 4), 2, levels=levels)
    found = calibrate_threshold(sample, far, bootstrap=few)
    choosing = split_people(sample)[0]
    counted = (choosing.tail > found.threshold).mean()
    low, high = found.expected
    assert low <= counted + 1e-9
    assert counted < high
    assert high - low > 0.1 * max(counted, 0.01)
    assert found.predicted[0] <= low < high < found.predicted[1]
    allowed = int(far * choosing.impostors + 1e-9)
    assert ("equal scores: FAR" in found.note) == (2 * counted * choosing.impostors < allowed)


@pytest.mark.parametrize("people", [4, 6, 9])
def test_so_few_people_choose_no_threshold_however_many_their_photos_are(people):
    with pytest.raises(EvaluationError, match=f"each half of at least 5, and there are {people} people in all"):
        calibrate_threshold(all_pairs(np.full(people, 20), 0), 0.01)


def test_too_little_to_calibrate_on_says_so():
    with pytest.raises(EvaluationError, match="needs at least 100000 impostor pairs among the choosing half"):
        calibrate_threshold(all_pairs(SIZES, 0), 1e-5)
    with pytest.raises(EvaluationError, match="needs at least infinitely many impostor pairs"):
        calibrate_threshold(all_pairs(SIZES, 0), 1e-320)
    with pytest.raises(EvaluationError, match="at least 2 people"):
        split_people(all_pairs([2, 2, 2], 0))
    with pytest.raises(EvaluationError, match="fpir must lie"):
        far_of_fpir(0, 5)


def test_the_same_model_twice_differs_by_nothing():
    sample = all_pairs(SIZES, 0)
    found = compare_tar(sample, sample, 0.05, few)
    assert (found.difference.estimate, found.difference.low, found.difference.high, found.p_value) == (0, 0, 0, 1)


@pytest.mark.slow
def test_a_paired_difference_is_surer_than_the_figures():
    scores, same, left, right, labels = drawn_pairs(SIZES, 5)
    better = scores + np.where(same, 0.4, 0).astype(np.float32)
    people = (labels[left], labels[right])
    one, two = (SubjectScores.of_pairs(values, same, *people) for values in (better, scores))
    found = compare_tar(one, two, 0.05)
    assert found.difference.low > 0
    assert found.p_value < 0.01
    assert compare_tar(two, one, 0.05).difference.high == pytest.approx(-found.difference.low)
    correct = [(values > 0.5) == same for values in (better, scores)]
    found = compare_accuracy(*correct, same, *people)
    assert found.difference.estimate == pytest.approx(correct[0].mean() - correct[1].mean())
    assert found.p_value < 0.01
    json.dumps(found.as_dict(), allow_nan=False)
    assert "difference +" in found.table()
    assert found.table().endswith(": the first is better")
    assert compare_tar(two, one, 0.05).table().endswith(": the second is better")
    assert compare_tar(one, one, 0.05).table().endswith(": the difference may be chance")


@quick
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_exact_binomial_test(pairs):
    first, second = np.array(pairs).T
    only, trials = int((first & ~second).sum()), int((first != second).sum())
    expected = stats.binomtest(only, trials).pvalue if trials else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_models_on_other_pairs_say_so():
    with pytest.raises(EvaluationError, match="the same pairs"):
        compare_tar(all_pairs([2, 2, 3], 0), all_pairs([2, 2, 2], 0), 0.1)
    with pytest.raises(EvaluationError, match="the same genuine pairs"):
        compare_tar(all_pairs([3, 2, 2], 0), all_pairs([2, 2, 3], 0), 0.1)


@quick
@given(some_seed, st.sampled_from([-0.5, 0.5, 1.5]))
def test_breakdown_is_the_loop(seed, threshold):
    random = np.random.default_rng(seed)
    scores, same, left, right, labels = drawn_pairs([3, 2, 2, 1, 3], seed)
    groups = np.array(["", "a", "b", "c"])[random.integers(0, 4, len(labels))]
    rows = {"genuine": same, "tail": ~same}
    streamed = {
        f"{name}_{side}": s[kind] for name, kind in rows.items() for side, s in (("left", left), ("right", right))
    }
    if not (groups != "").any():
        return
    found = group_breakdown(
        labels, groups, threshold=threshold, genuine=scores[same], tail=scores[~same], **streamed, bootstrap=few
    )
    for row in found.rates:
        a, b = row.groups[0], row.groups[-1]
        both = ((groups[left] == a) & (groups[right] == b)) | ((groups[left] == b) & (groups[right] == a))
        chosen = both & (same if row.rate == "FNMR" else ~same)
        wrong = (scores <= threshold) if row.rate == "FNMR" else (scores > threshold)
        assert (row.errors, row.trials) == ((chosen & wrong).sum(), chosen.sum())
        assert (row.interval is None) == (row.trials == 0)
    json.dumps(found.as_dict(), allow_nan=False)


def test_ratios_leave_small_groups_out_and_the_warning_counts():
    scores, same, left, right, labels = drawn_pairs(SIZES, 8)
    groups = np.array(["x", "y", "tiny"])[labels % 2]
    groups[labels >= 118] = "tiny"
    kinds = groups[left] == groups[right]
    scores = scores + np.where(~same & kinds & (groups[left] == "y"), 0.5, 0).astype(np.float32)
    names = np.where(kinds, groups[left], "")
    found = pair_breakdown(scores, same, labels[left], labels[right], names, threshold=1.5, column="sex")
    far = next(row for row in found.ratios if row.rate == "FMR")
    assert far.worst == "y"
    assert 1 < far.worst_over_mean < far.worst_over_geometric_mean * 1.2 < far.worst_over_best * 1.2
    assert {row.groups[0]: row.enough for row in found.rates if row.rate == "FMR"} == {
        "x": True,
        "y": True,
        "tiny": False,
    }
    assert "6 rates are compared" in found.warning
    assert "too few people to judge" in found.table()
    for row in found.rates:
        if row.interval and row.adjusted:
            assert row.adjusted.low <= row.interval.low <= row.interval.high <= row.adjusted.high


def test_columns_of_numbers_and_of_pairs():
    assert binned([0, 5, 10, -1, np.nan], [0, 5, 10]).tolist() == ["0 to 5", "5 to 10", "", "", ""]
    assert pair_column([10, 30, 25], [0, 1], [1, 2], lambda a, b: np.abs(a - b)).tolist() == [20, 5]
    with pytest.raises(EvaluationError, match="ascending numbers"):
        binned([1], [2, 1])
    with pytest.raises(EvaluationError, match="at least one group"):
        pair_breakdown([0.1], [True], [0], [0], [""], threshold=0)
    with pytest.raises(EvaluationError, match="must have a group, got 1"):
        pair_breakdown([0.1, 0.2], [True, True], [0, 0], [0, 0], ["a"], threshold=0)
