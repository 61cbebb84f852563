"""Errors of a classifier against plain loops, with ties, empty classes and uneven training sets."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import classification as oracle

from angulus.errors import EvaluationError
from angulus.evaluation.rates import classification
from angulus.evaluation.rates.classification import classify


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6), st.integers(1, 5))
def test_random_scores_are_the_loop(seed, images, classes, block):
    random = np.random.default_rng(seed)
    scores = random.choice([0.0, 0.5, 1, -np.inf], (images, classes))
    labels = random.integers(0, classes, images)
    at = sorted({1, classes})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification, "_BLOCK_ROWS", block)
        found = classify(scores, labels, at=at)
    rows = scores.tolist()
    ranks = [oracle.rank(row, label) for row, label in zip(rows, labels, strict=True)]
    assert [top.wrong for top in found.top] == [sum(rank > k for rank in ranks) for k in at]
    confusion = np.zeros((classes, classes), dtype=int)
    for row, label in zip(rows, labels, strict=True):
        confusion[label, oracle.answer(row, label)] += 1
    np.testing.assert_array_equal(found.confusion, confusion)
    expected = oracle.class_accuracies(rows, labels, classes)
    np.testing.assert_allclose(found.class_accuracies, [np.nan if value is None else value for value in expected])
    tested = [value for value in expected if value is not None]
    assert found.balanced_accuracy == pytest.approx(sum(tested) / len(tested))
    assert np.diag(found.confusion).sum() == images - found.top[0].wrong


def test_many_medium_and_few():
    counts = np.array([101, 100, 20, 19, 0])
    labels = np.array([0, 0, 1, 2, 2, 2, 3])
    answers = np.array([0, 1, 1, 2, 2, 0, 0])
    found = classify(np.eye(5)[answers], labels, training_counts=counts)
    many, medium, few = found.groups
    assert (many.classes, many.correct, many.images, many.balanced) == (1, 1, 2, 0.5)
    assert (medium.classes, medium.correct, medium.images) == (2, 3, 4)
    assert (medium.accuracy, medium.balanced) == (0.75, pytest.approx((1 + 2 / 3) / 2))
    assert (few.classes, few.correct, few.images, few.accuracy) == (2, 0, 1, 0)
    assert found.balanced_accuracy == pytest.approx((0.5 + 1 + 2 / 3 + 0) / 4)
    stored = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert stored["class_accuracies"][4] is None
    assert stored["top_error"][0] == {"k": 1, "wrong": 3, "images": 7, "error": 3 / 7}
    assert "top-1   error" in found.table()
    empty = classify(np.eye(2), [0, 1], at=(1,), training_counts=[500, 500]).groups[2]
    assert (empty.classes, empty.accuracy, empty.balanced) == (0, None, None)
    assert "no test images" in classify(np.eye(2), [0, 1], at=(1,), training_counts=[500, 500]).table()


def test_equal_scores_are_an_error():
    assert classify(np.zeros((4, 3)), [0, 1, 2, 0], at=(1, 2, 3)).top[1].wrong == 4
    assert classify(np.zeros((4, 3)), [0, 1, 2, 0], at=(3,)).top[0].wrong == 0


@pytest.mark.parametrize(
    ("scores", "labels", "options", "message"),
    [
        (np.ones(3), [0], {}, r"shape \[images, classes\], got \[3\]"),
        (np.ones((0, 3)), [], {}, r"got \[0, 3\]"),
        (np.ones((2, 5)), [0], {}, r"one whole number for each of the 2 images, got int64 \[1\]"),
        (np.ones((2, 5)), [0.0, 1.0], {}, "one whole number"),
        (np.ones((2, 5)), [0, 5], {}, "classes from 0 to 4, got 5 in row 1"),
        (np.ones((2, 5)), [-1, 4], {}, "got -1 in row 0"),
        (np.array([[1, 2], [np.nan, 1]]), [0, 1], {"at": (1,)}, "got NaN in row 1, 1 rows"),
        (np.ones((2, 3)), [0, 1], {}, r"numbers from 1 to the 3 classes, got \[1, 5\]"),
        (np.ones((2, 3)), [0, 1], {"at": ()}, r"got \[\]"),
        (np.ones((2, 2)), [0, 1], {"at": (1,), "training_counts": [1]}, "for each of the 2 classes, got int64"),
        (np.ones((2, 2)), [0, 1], {"at": (1,), "training_counts": [1, -1]}, "of at least 0"),
    ],
)
def test_faults(scores, labels, options, message):
    with pytest.raises(EvaluationError, match=message):
        classify(scores, labels, **options)
