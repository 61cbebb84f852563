"""What stands beside the rates of a verification: intervals, costs by steps, the people of a list, fingerprints."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angulus.embeddings import EmbeddingSet
from angulus.evaluation import verify
from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.evaluation.rates.costs import min_dcf
from angulus.evaluation.rates.folds import PROTOCOLS, decided_rightly, folded_accuracy
from angulus.evaluation.rates.likelihood import min_cllr
from angulus.evaluation.rates.step_costs import COST_MODELS, min_cllr_of_counts, min_dcf_of_counts
from angulus.evaluation.scores.fingerprint import fingerprint_of
from angulus.evaluation.scores.pairs import Pairs, draw_pairs
from angulus.evaluation.scores.people import people_of_pairs
from angulus.evaluation.scores.streaming.steps import BINS, bins_of
from angulus.evaluation.uncertainty.replicates import needed_tail
from angulus.evaluation.uncertainty.verification_intervals import MOST_TAIL, wanted_fars


def people_set(people=40, images=4, *, seed=0, keys=None):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), images)
    centres = random.normal(size=(people, 8))
    found = {name: centres[labels] + random.normal(size=(len(labels), 8)) for name in ("embeddings", "flipped")}
    names = tuple(keys.format(person=label, image=row) for row, label in enumerate(labels)) if keys else None
    return EmbeddingSet(**found, labels=labels, keys=names)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3000))
def test_so_many_of_the_highest_impostor_scores_are_kept_with_their_rows(seed, tail):
    found = people_set(12, 5, seed=seed)
    vectors = found.unit("sum")
    kept = all_pairs(vectors, found.labels, fars=(0.01,), tail=tail).kept
    left, right = np.triu_indices(len(vectors), 1)
    impostors = found.labels[left] != found.labels[right]
    scores = np.sort(np.einsum("pd,pd->p", vectors[left[impostors]], vectors[right[impostors]]))[::-1]
    assert len(kept.tail) >= min(tail, len(scores))
    np.testing.assert_allclose(kept.tail[::-1], scores[: len(kept.tail)], atol=1e-6)
    cosines = np.einsum("pd,pd->p", vectors[kept.tail_left], vectors[kept.tail_right])
    np.testing.assert_allclose(cosines, kept.tail, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 60))
def test_costs_by_steps_are_within_their_bound_of_the_exact_ones(seed, genuine, impostors):
    random = np.random.default_rng(seed)
    own = random.normal(0.3, 0.2, genuine).clip(-1, 1).astype(np.float32)
    other = random.normal(0.0, 0.2, impostors).clip(-1, 1).astype(np.float32)
    counts = [np.bincount(bins_of(scores), minlength=BINS) for scores in (own, other)]
    for model in COST_MODELS:
        exact = min_dcf(own, other, model)
        found, error = min_dcf_of_counts(*counts, model)
        assert exact.cost - 1e-12 <= found.cost <= exact.cost + error + 1e-12
        if found.threshold is not None:
            assert found.misses == (own <= np.float32(found.threshold)).sum()
            assert found.false_accepts == (other > np.float32(found.threshold)).sum()
    assert min_cllr_of_counts(*counts) == pytest.approx(min_cllr(own, other), abs=1e-3)


def test_a_verification_brings_intervals_and_costs_when_asked():
    found = people_set()
    bare = verify(found)
    full = verify(found, intervals=None, costs=True)
    assert bare.confidence is None
    assert bare.costs is None
    assert full.points == bare.points
    assert full.eer.rate == pytest.approx(bare.eer.rate, abs=1e-9)
    for point in full.points:
        sure = full.confidence.at(point.target)
        assert (sure.threshold, sure.false_accepts) == (point.threshold, point.false_accepts)
        assert sure.tar.low <= point.tar <= sure.tar.high
    assert full.eer.rate in full.confidence.eer
    shown = full.as_dict()
    assert shown["intervals"]["people"] == 40
    assert len(shown["costs"]["min_dcf"]) == 3
    assert "cannot resolve FAR 0.0001" in full.table()
    assert "minDCF" in full.table()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_accuracy_over_folds_has_its_interval(protocol):
    found = people_set()
    pairs = draw_pairs(found.labels, folds=4, per_fold=10)
    result = verify(found, pairs, protocol=protocol, intervals=None)
    accuracy, cosines = folded_accuracy(found, pairs, protocol=protocol)
    right = decided_rightly(accuracy, cosines, pairs)
    assert [int(right[pairs.fold == fold].sum()) for fold in range(4)] == [f.correct for f in accuracy.folds]
    assert accuracy.mean == pytest.approx(result.confidence.accuracy.estimate)
    assert accuracy.mean in result.confidence.accuracy


def test_without_people_there_are_no_intervals_but_a_reason():
    found = people_set(keys="{image}.png")
    pairs = draw_pairs(found.labels, folds=2, per_fold=10)
    result = verify(replace(found, labels=None), pairs, intervals=None)
    assert result.confidence.points == ()
    assert "neither labels nor folders say who" in result.table()


@pytest.mark.parametrize("keys", ["p{person}/{image}.png", "p{person}/video{image}/1.wav", "p{person}_{image}.jpg"])
def test_people_of_a_list_are_read_from_keys(keys):
    found = people_set(keys=keys)
    pairs = draw_pairs(found.labels, folds=2, per_fold=10)
    left, right = people_of_pairs(replace(found, labels=None), pairs)
    np.testing.assert_array_equal(left == right, found.labels[pairs.left] == found.labels[pairs.right])
    assert len(np.unique(np.concatenate([left, right]))) > 10
    # labels that contradict the list are passed over
    np.testing.assert_array_equal(people_of_pairs(replace(found, labels=found.labels[::-1].copy() % 7), pairs)[0], left)


def test_a_far_that_would_take_minutes_is_left_out_unless_all_are_asked_for():
    kept, tail, notes = wanted_fars((0.1, 0.001), 87_000_000, False)
    assert (kept, tail) == ([0.001], needed_tail(0.001, 87_000_000))
    assert tail <= MOST_TAIL
    assert notes[0].startswith("no interval at FAR 0.1: it would go through 17,400,100 impostor scores")
    assert wanted_fars((0.1, 0.001), 87_000_000, True)[0] == [0.1, 0.001]


def test_the_fingerprint_is_of_what_is_compared():
    found = people_set(6, 3, keys="p{person}/{image}.png")
    order = np.random.default_rng(0).permutation(len(found))
    other_endings = replace(found, keys=tuple(key.replace(".png", ".jpg") for key in found.keys))
    renumbered = replace(found, labels=(found.labels * 7 + 3) % 11)
    assert fingerprint_of(found.select(order), None) == fingerprint_of(found, None)
    assert fingerprint_of(other_endings, None) == fingerprint_of(found, None)
    assert fingerprint_of(renumbered, None) == fingerprint_of(found, None)
    assert fingerprint_of(found.select(order[1:]), None) != fingerprint_of(found, None)
    odd = replace(found, keys=tuple(key.replace(".png", "\udce9.png") for key in found.keys))  # no UTF-8
    assert fingerprint_of(odd.select(order), None) == fingerprint_of(odd, None) != fingerprint_of(found, None)
    pairs = draw_pairs(found.labels, folds=2, per_fold=2)
    turned = Pairs(left=pairs.right, right=pairs.left, same=pairs.same, fold=pairs.fold)
    same_part = Pairs(
        left=np.argsort(order)[pairs.left], right=np.argsort(order)[pairs.right], same=pairs.same, fold=pairs.fold
    )
    assert fingerprint_of(found.select(order), same_part) == fingerprint_of(found, pairs)
    assert fingerprint_of(found, turned) != fingerprint_of(found, pairs)
    assert fingerprint_of(found, replace(pairs, fold=None)) != fingerprint_of(found, pairs)
