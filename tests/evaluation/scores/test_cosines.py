"""Scores of pairs against double loops."""

import numpy as np
import pytest
from reference import verification as oracle

from angulus.errors import EvaluationError
from angulus.evaluation.scores import cosines as scores_module
from angulus.evaluation.scores.cosines import Scores, all_pair_scores, hardest_pairs, pair_scores
from angulus.evaluation.scores.pairs import Pairs


def random_set(n, seed=0, dim=7, people=5):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), random.integers(0, people, n)


@pytest.mark.parametrize("n", [5, 16, 17, 40])
def test_all_pairs_match_the_double_loop(monkeypatch, n):
    monkeypatch.setattr(scores_module, "_BLOCK_ROWS", 16)
    vectors, labels = random_set(n, seed=n)
    labels[:2] = 0
    found = all_pair_scores(vectors, labels)
    genuine, impostor = oracle.all_pairs(vectors.tolist(), labels.tolist())
    np.testing.assert_allclose(found.genuine, sorted(genuine), atol=1e-6)
    np.testing.assert_allclose(found.impostor, sorted(impostor), atol=1e-6)


def test_listed_pairs_match_the_loop(monkeypatch):
    monkeypatch.setattr(scores_module, "_BLOCK_PAIRS", 10)
    vectors, labels = random_set(30)
    left, right = np.random.default_rng(1).integers(0, 30, (2, 47))
    pairs = Pairs(left=left, right=right, same=labels[left] == labels[right])
    found = pair_scores(vectors, pairs)
    expected = [oracle.cosine(vectors[i].tolist(), vectors[j].tolist()) for i, j in zip(left, right, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    parted = Scores.of_pairs(found, pairs)
    np.testing.assert_array_equal(parted.genuine, np.sort(found[pairs.same]))


@pytest.mark.parametrize("listed", [True, False])
def test_hardest_pairs_match_a_full_sort(monkeypatch, listed):
    monkeypatch.setattr(scores_module, "_BLOCK_ROWS", 8)
    vectors, labels = random_set(50, seed=2)
    left, right = np.triu_indices(50, 1)
    pairs = Pairs(left=left, right=right, same=labels[left] == labels[right])
    every = np.einsum("pd,pd->p", vectors[left], vectors[right])
    genuine, impostor = hardest_pairs(vectors, count=6, **({"pairs": pairs} if listed else {"labels": labels}))
    np.testing.assert_allclose([pair.score for pair in genuine], np.sort(every[pairs.same])[:6], atol=1e-6)
    np.testing.assert_allclose([pair.score for pair in impostor], np.sort(every[~pairs.same])[::-1][:6], atol=1e-6)
    assert all(labels[pair.left] == labels[pair.right] for pair in genuine)
    assert all(pair.left < pair.right for pair in impostor)


def test_hardest_pairs_need_something_to_look_at():
    with pytest.raises(EvaluationError, match="needs pairs or labels"):
        hardest_pairs(np.eye(3, dtype=np.float32))


def test_scores_are_sorted_and_leave_the_given_arrays_alone():
    given = np.array([0.3, 0.1, 0.2], dtype=np.float32)
    found = Scores(given, given)
    assert found.genuine.tolist() == sorted(given.tolist())
    assert given[0] == np.float32(0.3)


@pytest.mark.parametrize(
    ("genuine", "impostor", "message"),
    [
        ([], [0.1], "there is no genuine pair"),
        ([0.1], [], "there is no impostor pair"),
        ([0.1, np.nan], [0.1], "genuine scores must be finite"),
        ([0.1], [np.nan, 0.1], "impostor scores must be finite"),
        ([0.1], [-np.inf, 0.1], "impostor scores must be finite"),
        ([[0.1]], [0.1], r"got the shape \[1, 1\]"),
    ],
)
def test_scores_refuse(genuine, impostor, message):
    with pytest.raises(EvaluationError, match=message):
        Scores(genuine, impostor)


def test_all_pairs_refuse(monkeypatch):
    vectors, labels = random_set(10)
    with pytest.raises(EvaluationError, match=r"got -1 in row 4 \(1 such rows\)"):
        all_pair_scores(vectors, np.where(np.arange(10) == 4, -1, labels))
    with pytest.raises(EvaluationError, match="one entry for each of the 10 images"):
        all_pair_scores(vectors, labels[:9])
    with pytest.raises(EvaluationError, match="there is no genuine pair"):
        all_pair_scores(vectors, np.arange(10))
    monkeypatch.setattr(scores_module, "MOST_PAIRS", 44)
    with pytest.raises(EvaluationError, match="at most 44; 10 examples make 45"):
        all_pair_scores(vectors, labels)
