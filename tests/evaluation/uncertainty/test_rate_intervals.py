"""Replicates against loops over every pair; intervals by their laws and in a small simulation."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_sets import all_pairs, drawn_pairs, some_seed, some_sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import SHARED, needs_shared
from reference import uncertainty as oracle
from reference import verification
from sklearn import metrics

from angulus.errors import EvaluationError
from angulus.evaluation import SubjectScores
from angulus.evaluation.scores.subjects import draw_weights
from angulus.evaluation.uncertainty.accuracy_intervals import accuracy_interval, eer_interval
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.rate_intervals import (
    far_interval,
    frr_interval,
    share_interval,
    smallest_resolved_far,
    tar_at_far_intervals,
    tar_interval,
)
from angulus.evaluation.uncertainty.replicates import (
    far_spread,
    needed_tail,
    tar_replicates,
    threshold_replicates,
    usual_tail,
)

quick = settings(max_examples=40, deadline=None)
few = Bootstrap(replicates=50)


def of_pairs(sizes, seed, **options):
    scores, same, left, right, labels = drawn_pairs(sizes, seed, **options)
    return SubjectScores.of_pairs(scores, same, labels[left], labels[right])


@pytest.mark.slow
@quick
@given(some_sizes, some_seed, st.sampled_from([None, 2]), st.sampled_from([0.0, 0.1, 0.3, 0.7]))
def test_replicates_are_the_loop(sizes, seed, levels, far):
    scores, same, left, right, labels = drawn_pairs(sizes, seed, levels=levels)
    people = (labels[left], labels[right])
    weights = draw_weights(len(sizes), 8, seed)
    weights = weights[[np.count_nonzero(row) > 1 for row in weights]]
    for sample in (of_pairs(sizes, seed, levels=levels), all_pairs(sizes, seed, levels=levels)):
        allowed = [int(far * sample.impostors + 1e-9)]
        places = threshold_replicates(sample, allowed, [far], weights, [1.0])
        thresholds = sample.tail[places[:, 0]]
        tars = tar_replicates(sample, thresholds, weights)
        for drawn, threshold, tar in zip(weights.tolist(), thresholds, tars, strict=True):
            assert threshold == oracle.weighted_threshold(scores, same.tolist(), *people, drawn, far)
            expected = oracle.weighted_rates(scores, same.tolist(), *people, drawn, threshold)[1]
            assert tar == pytest.approx(expected, nan_ok=True)


@quick
@given(some_sizes, some_seed, st.floats(-1, 1))
def test_variance_is_the_loop_over_couples(sizes, seed, threshold):
    scores, same, left, right, labels = drawn_pairs(sizes, seed)
    wide, couples = oracle.dyadic_sums(scores[~same], labels[left][~same], labels[right][~same], threshold, len(sizes))
    expected = (couples + max(wide - 2 * couples, 0)) / (~same).sum() ** 2
    for sample in (of_pairs(sizes, seed), all_pairs(sizes, seed)):
        assert far_spread(sample, threshold).variance == pytest.approx(expected, abs=1e-12)


@quick
@given(some_sizes, some_seed, st.sampled_from([None, 2]))
def test_intervals_hold_their_estimates_and_the_lists_agree(sizes, seed, levels):
    listed, every = of_pairs(sizes, seed, levels=levels), all_pairs(sizes, seed, levels=levels)
    for ask in (far_interval, frr_interval, tar_interval):
        one, two = (ask(sample, 0.5, few) for sample in (listed, every))
        assert (one.low, one.high) == pytest.approx((two.low, two.high))
        assert 0 <= one.low <= one.estimate <= one.high <= 1
    (point,) = tar_at_far_intervals(every, [0.2], few)
    values = [sample.tolist() for sample in (every.genuine, every.tail)]
    threshold, far, tar = verification.tar_at_far(*values, 0.2)
    assert (point.threshold, point.far.estimate, point.tar.estimate) == pytest.approx((threshold, far, tar))
    json.dumps(point.as_dict(), allow_nan=False)


@quick
@given(some_sizes, some_seed, st.sampled_from([None, 2]))
def test_eer_is_the_loop(sizes, seed, levels):
    sample = all_pairs(sizes, seed, levels=levels)
    found = eer_interval(sample, few)
    expected = verification.equal_error_rate(sample.genuine.tolist(), sample.tail.tolist())
    assert found.estimate == pytest.approx(expected, abs=1e-9)
    assert found.low <= found.estimate <= found.high


def many(people=120, seed=0, most=8):
    random = np.random.default_rng(seed)
    return np.minimum(random.zipf(1.8, people), most)


def test_a_tail_that_is_long_enough_gives_the_same_as_all_scores():
    sizes = many()
    whole = all_pairs(sizes, 1)
    short = all_pairs(sizes, 1, tail=usual_tail(2 * 0.02, whole.impostors))
    assert not short.complete
    assert tar_at_far_intervals(short, [0.02, 0.01])[0].tar == tar_at_far_intervals(whole, [0.02, 0.01])[0].tar
    wider = all_pairs(sizes, 1, tail=int(0.9 * whole.impostors))
    one, two = eer_interval(wider), eer_interval(whole)
    assert (one.estimate, one.low, one.high) == pytest.approx((two.estimate, two.low, two.high), rel=0.02)


def test_a_tail_that_is_too_short_says_how_long_it_must_be():
    sizes = many()
    total = all_pairs(sizes, 1).impostors
    short = all_pairs(sizes, 1, tail=int(0.01 * total) + 2)
    with pytest.raises(EvaluationError, match=r"too short for FAR 0\.01 in \d+ of 1000 replicates; keep at least"):
        tar_at_far_intervals(short, [0.01])
    with pytest.raises(EvaluationError, match="needs a tail of more than"):
        tar_at_far_intervals(short, [0.1])
    with pytest.raises(EvaluationError, match="must reach the threshold"):
        far_interval(short, -5.0)
    with pytest.raises(EvaluationError, match="ends before FAR and FRR meet"):
        eer_interval(short)


def test_same_seed_same_interval_and_order_of_pairs_changes_nothing():
    scores, same, left, right, labels = drawn_pairs(many(40), 2)
    order = np.random.default_rng(0).permutation(len(scores))
    one = SubjectScores.of_pairs(scores, same, labels[left], labels[right])
    two = SubjectScores.of_pairs(scores[order], same[order], labels[right][order], labels[left][order])
    assert tar_at_far_intervals(one, [0.05], few) == tar_at_far_intervals(two, [0.05], few)
    assert tar_interval(one, 0.5, few) != tar_interval(one, 0.5, replace(few, seed=1))


@pytest.mark.slow
def test_more_confidence_is_wider_and_every_method_answers():
    sample = all_pairs(many(), 3)
    widths = []
    for level in (0.5, 0.9, 0.99):
        (point,) = tar_at_far_intervals(sample, [0.05], Bootstrap(level=level))
        widths.append(point.tar.high - point.tar.low)
    assert widths == sorted(widths)
    for method in ("percentile", "bca"):
        (point,) = tar_at_far_intervals(sample, [0.05], Bootstrap(method=method))
        assert point.tar.low < point.tar.estimate < point.tar.high


def test_nothing_observed_is_counted_by_people():
    sizes = np.full(50, 3)
    sample = all_pairs(sizes, 4)
    none = far_interval(sample, 50.0)
    assert (none.estimate, none.low) == (0, 0)
    assert none.high == pytest.approx(3.69 / (50 * 49 / 2), rel=0.01)  # 1,225 couples, not 11,025 pairs
    every = tar_interval(sample, -50.0)
    assert every.high == 1
    assert every.low == pytest.approx(1 - 3.69 / 50, abs=0.005)  # 50 people, not 150 pairs
    assert "Clopper-Pearson for 50 people" in every.note


def test_a_far_that_the_set_cannot_resolve_says_so():
    sample = all_pairs(many(), 5)
    points = tar_at_far_intervals(sample, [0.1, 1e-4], few)
    assert points[0].resolved
    assert points[0].remark == ""
    assert not points[1].resolved
    assert points[1].remark.startswith("this set cannot resolve FAR 0.0001: the smallest FAR it can resolve is ")
    assert 1e-4 < smallest_resolved_far(sample) < 0.1


@pytest.mark.parametrize("levels", [0.5, 1, 2, None])
@pytest.mark.parametrize("people", [6, 10, 20])
def test_the_smallest_far_that_is_resolved_is_above_those_that_are_not_however_scores_tie(people, levels):
    sample = all_pairs(np.full(people, 4), 7, levels=levels)
    points = tar_at_far_intervals(sample, [0.3, 0.1, 0.01, 1e-3], few)
    least = (sample.tail == sample.tail[0]).sum() / sample.impostors  # the least FAR above 0
    for point in (point for point in points if not point.resolved):
        assert point.smallest_far >= least
        assert all(point.smallest_far > other.target for other in points if not other.resolved)
        said = point.remark.partition("can resolve is ")[2]
        assert float(said) > point.target if said else point.remark.endswith(", nor a larger one")
    equal = replace(sample, tail=np.ones_like(sample.tail))
    (point,) = tar_at_far_intervals(equal, [0.1], few)
    assert point.remark == "this set cannot resolve FAR 0.1, nor a larger one"


def test_few_scores_are_all_kept_and_many_by_the_far():
    assert needed_tail(0.1, 3_040) == 3_040
    assert needed_tail(0.1, 1_000_000) == usual_tail(0.1, 1_000_000) == 200_100
    sample = all_pairs(np.full(20, 4), 7)
    weights = draw_weights(20, 300, 0)
    allowed = [int(0.005 * sample.impostors)]
    places = threshold_replicates(sample, allowed, [0.005], weights, [1.0])
    assert places.max() < sample.impostors
    copies = all_pairs(np.full(10, 16), 7)  # every couple of people has one score, 256 times
    couples = np.minimum(copies.tail_left, copies.tail_right) * 10 + np.maximum(copies.tail_left, copies.tail_right)
    order = np.argsort(couples, kind="stable")
    tied = replace(
        copies,
        tail=-couples[order].astype(np.float32),
        **{"tail_left": copies.tail_left[order], "tail_right": copies.tail_right[order]},
    )
    assert tar_at_far_intervals(tied, [0.1, 0.01])[0].target == 0.1


def test_person_tar_counts_people_alike():
    sizes = np.r_[30, np.full(30, 2)]
    scores, same, left, right, labels = drawn_pairs(sizes, 6)
    scores[same & (labels[left] == 0)] = 9.0
    sample = SubjectScores.of_pairs(scores, same, labels[left], labels[right])
    (point,) = tar_at_far_intervals(sample, [0.01], few)
    own = [np.mean(scores[same & (labels[left] == s)] > point.threshold) for s in range(31)]
    assert point.person_tar.estimate == pytest.approx(np.mean(own))
    assert point.tar.estimate > point.person_tar.estimate
    assert "few people carry this figure" in point.tar.note


def test_one_way_scores_are_tpir_at_fpir():
    random = np.random.default_rng(0)
    people, known = np.repeat(np.arange(60), 2), np.arange(120) < 60
    top = random.normal(np.where(known, 2.0, 0.0), 1.0)
    sample = SubjectScores.of_pairs(top, known, people, None)
    (point,) = tar_at_far_intervals(sample, [0.1])
    assert point.false_accepts == 6
    assert point.tar.low < point.tar.estimate < point.tar.high


def test_share_and_accuracy():
    random = np.random.default_rng(0)
    people = random.integers(0, 40, 300)
    right = random.random(300) < 0.9
    found = share_interval(right, people)
    assert found.estimate == pytest.approx(right.mean())
    assert 0.8 < found.low < 0.9 < found.high < 0.96
    scores, same, left, right, labels = drawn_pairs(many(60), 7)
    correct = (scores > 0.5) == same
    found = accuracy_interval(correct, same, labels[left], labels[right])
    assert found.estimate == pytest.approx(metrics.accuracy_score(same, scores > 0.5))
    assert found.low < found.estimate < found.high


def test_bad_input_names_the_row():
    with pytest.raises(EvaluationError, match="got nan in row 1"):
        SubjectScores.of_pairs([0.1, np.nan], [True, False], [0, 0], [0, 1])
    with pytest.raises(EvaluationError, match="pair 1 has 5 twice"):
        SubjectScores.of_pairs([0.1, 0.2], [True, False], [5, 5], [5, 5])
    with pytest.raises(EvaluationError, match="pair 0 has two"):
        SubjectScores.of_pairs([0.1, 0.2], [True, False], [5, 5], [6, 6])
    with pytest.raises(EvaluationError, match="got 2 scores and 1"):
        SubjectScores.of_pairs([0.1, 0.2], [True], [5, 5], [6, 6])
    with pytest.raises(EvaluationError, match="at least one impostor pair"):
        far_interval(SubjectScores.of_pairs([0.1], [True], [0], [0]), 0.0)
    with pytest.raises(EvaluationError, match="at least one comparison"):
        tar_interval(SubjectScores.of_pairs([0.1], [False], [0], [1]), 0.0)
    with pytest.raises(EvaluationError, match="must be part of the impostor scores"):
        SubjectScores.of_all_pairs(
            [0, 1], genuine=[], genuine_rows=[], tail=[0.1, 0.2], tail_left=[0, 0], tail_right=[1, 1]
        )
    with pytest.raises(EvaluationError, match="far must be at least 0"):
        tar_at_far_intervals(all_pairs([2, 2, 2], 0), [1.5])


@needs_shared
def test_what_the_documents_say_of_lfw():
    labels = np.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")["label"]
    images = np.bincount(labels).astype(float)
    pairs = images * (images - 1) / 2
    assert (pairs.sum(), pairs.max(), np.count_nonzero(pairs)) == (242_257, 140_185, 1680)
    assert pairs.sum() ** 2 / (pairs**2).sum() == pytest.approx(2.8, abs=0.05)


def test_coverage_in_a_small_simulation():
    """Of 120 draws of 80 people with effects of their own, 95 % intervals of FRR hold the truth in 105 or more."""
    held, naive = 0, 0
    for seed in range(120):
        random = np.random.default_rng((seed, 1))
        trials = np.minimum(random.zipf(2.0, 80), 12)
        people = np.repeat(np.arange(80), trials)
        chance = random.beta(4, 1, 80)
        right = random.random(len(people)) < chance[people]
        found = share_interval(right, people, Bootstrap(replicates=200, seed=seed))
        held += 0.8 in found
        half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / len(right))
        naive += abs(right.mean() - 0.8) <= half
    assert 105 <= held <= 120
    assert naive < held
