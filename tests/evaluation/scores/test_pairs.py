"""Pair lists drawn from labelled sets."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angulus.errors import EvaluationError
from angulus.evaluation.scores.pairs import Pairs, _pair_of_index, draw_pairs

LABELS = np.repeat(np.arange(60), np.tile([1, 2, 3, 8, 2, 30], 10))


def test_drawn_pairs_are_balanced_fresh_and_disjoint():
    pairs = draw_pairs(LABELS, folds=10, per_fold=20, seed=3)
    assert len(pairs) == 400
    assert (LABELS[pairs.left] == LABELS[pairs.right]).tolist() == pairs.same.tolist()
    assert (pairs.left != pairs.right).all()
    assert len({frozenset(pair) for pair in zip(pairs.left, pairs.right, strict=True)}) == 400
    people = [set(LABELS[np.r_[pairs.left[pairs.fold == f], pairs.right[pairs.fold == f]]]) for f in range(10)]
    assert all(one.isdisjoint(other) for one, other in combinations(people, 2))
    assert [pairs.same[pairs.fold == fold].sum() for fold in range(10)] == [20] * 10


def test_no_person_fills_the_list():
    labels = np.repeat([0, 1, 2, 3], [100, 4, 4, 4])
    pairs = draw_pairs(labels, folds=1, per_fold=16)
    assert np.bincount(labels[pairs.left[pairs.same]]).tolist() == [4, 4, 4, 4]


def test_same_seed_same_pairs():
    one, again, other = (draw_pairs(LABELS, per_fold=5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.left, again.left)
    assert not np.array_equal(one.left, other.left)


def test_without_a_number_the_poorest_fold_decides():
    labels = np.array([0, 0, 1, 2, 2, 3])
    pairs = draw_pairs(labels, folds=2)
    assert np.bincount(pairs.fold).tolist() == [2, 2]
    assert len(draw_pairs(np.repeat(np.arange(40), 40), folds=2)) == 2 * 600


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (np.arange(20), {}),
        (np.zeros(20, int), {"folds": 1}),
        (np.array([], int), {}),
        (LABELS, {"per_fold": 10_000}),
        (LABELS, {"per_fold": 0}),
    ],
)
def test_too_little_to_draw_from(labels, options):
    with pytest.raises(EvaluationError, match=r"fold \d can give \d+ genuine and impostor pairs"):
        draw_pairs(labels, **options)


def test_bad_folds():
    with pytest.raises(EvaluationError, match="folds must be at least 1, got 0"):
        draw_pairs(LABELS, folds=0)


@settings(deadline=None)
@given(st.integers(0, 10**12))
def test_numbering_of_pairs_is_exact(index):
    low, high = _pair_of_index(index)
    assert 0 <= low < high
    assert high * (high - 1) // 2 + low == index


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=4, max_size=12), st.integers(0, 5))
def test_drawing_all_there_is(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    genuine = sum(size * (size - 1) // 2 for size in sizes)
    if genuine:
        pairs = draw_pairs(labels, folds=1, seed=seed)
        impostors = len(labels) * (len(labels) - 1) // 2 - genuine
        assert pairs.same.sum() == min(genuine, impostors)
        assert len({frozenset(pair) for pair in zip(pairs.left, pairs.right, strict=True)}) == len(pairs)


def test_pairs_check_themselves():
    with pytest.raises(EvaluationError, match="right must have one entry for each of the 2 pairs"):
        Pairs(left=[0, 1], right=[0], same=[True, True])
    with pytest.raises(EvaluationError, match="rows 0 to 4 of the embeddings, got 5 as right of pair 1"):
        Pairs(left=[0, 1], right=[1, 5], same=[True, True]).check_rows(5)
