"""The cross-validated protocols against plain loops, and the known figures on stored LFW embeddings."""

import json

import numpy as np
import pytest
import torch
from real_data import SHARED, needs_shared
from reference import verification as oracle

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.files.pair_lists import match, read_pairs
from angulus.evaluation.protocols.verification import verify
from angulus.evaluation.rates.folds import folded_accuracy
from angulus.evaluation.scores.cosines import pair_scores
from angulus.evaluation.scores.pairs import Pairs, draw_pairs


def small_case(seed=0, people=24, images=4, dim=6):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), images)
    centres = random.normal(size=(people, dim)) + 0.8
    both = [centres[labels] + random.normal(size=(len(labels), dim)) * 0.6 for _ in range(2)]
    found = EmbeddingSet(embeddings=both[0], flipped=both[1], labels=labels, keys=tuple(map(str, range(len(labels)))))
    return found, draw_pairs(labels, folds=4, per_fold=10, seed=seed)


def tuples(pairs):
    columns = (pairs.left, pairs.right, pairs.same, pairs.fold)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("seed", [0, 1])
def test_insightface_is_the_loop(seed):
    found, pairs = small_case(seed)
    accuracy, _ = folded_accuracy(found, pairs, protocol="insightface")
    expected = oracle.insightface_folds(found.embeddings.tolist(), found.flipped.tolist(), tuples(pairs))
    assert [(fold.accuracy, pytest.approx(fold.threshold)) for fold in accuracy.folds] == expected
    assert accuracy.measure == "squared distance"


def test_mean_centred_is_the_loop():
    found, pairs = small_case()
    accuracy, cosines = folded_accuracy(found, pairs, protocol="mean-centred")
    expected = oracle.mean_centred_folds(found.embeddings.tolist(), found.flipped.tolist(), tuples(pairs))
    assert [fold.accuracy for fold in accuracy.folds] == [value for value, _ in expected]
    np.testing.assert_allclose([fold.threshold for fold in accuracy.folds], [t for _, t in expected], atol=1.1e-4)
    assert cosines.shape == (len(pairs),)
    assert not np.allclose(cosines, pair_scores(found.unit("concat"), pairs))


def test_plain_threshold_is_the_best_there_is_on_the_training_folds():
    found, pairs = small_case(3)
    scores = pair_scores(found.unit("plain"), pairs).astype(np.float64)
    accuracy, cosines = folded_accuracy(found, pairs, protocol="plain", view="plain")
    np.testing.assert_array_equal(cosines, scores.astype(np.float32))
    for number, fold in enumerate(accuracy.folds):
        train, test = pairs.fold != number, pairs.fold == number
        candidates = [-2.0, *np.nextafter(scores[train], -2), *scores[train]]
        best = max(oracle.accuracy(scores[train], pairs.same[train], t) for t in candidates)
        assert oracle.accuracy(scores[train], pairs.same[train], fold.threshold) == best
        assert oracle.accuracy(scores[test], pairs.same[test], fold.threshold) == fold.accuracy
    assert accuracy.mean == pytest.approx(np.mean([fold.accuracy for fold in accuracy.folds]))


@pytest.mark.parametrize("protocol", ["plain", "mean-centred", "insightface"])
def test_perfect_and_tied_scores(protocol):
    labels = np.repeat(np.arange(8), 2)
    corners = np.repeat(np.eye(8), 2, axis=0) + 1e-3
    found = EmbeddingSet(embeddings=corners, flipped=corners, labels=labels)
    pairs = draw_pairs(labels, folds=2)
    assert verify(found, pairs, protocol=protocol).accuracy.mean == 1
    equal = EmbeddingSet(embeddings=np.ones((16, 3)), flipped=np.ones((16, 3)), labels=labels)
    assert verify(equal, pairs, protocol=protocol).accuracy.mean == 0.5


def test_verify_on_lists_with_and_without_folds_and_on_all_pairs():
    found, pairs = small_case()
    listed = verify(found, pairs, fars=(0.1, 0.01), name="small")
    unfolded = verify(found, Pairs(left=pairs.left, right=pairs.right, same=pairs.same), fars=(0.1,))
    everything = verify(found, fars=(0.1, 1e-3))
    assert unfolded.accuracy is None
    assert (listed.view, unfolded.auc, unfolded.tar(0.1)) == ("sum", listed.auc, listed.tar(0.1))
    assert (everything.images, everything.genuine, everything.impostors) == (96, 24 * 6, 96 * 95 // 2 - 24 * 6)
    assert listed.images == len(set(pairs.left) | set(pairs.right))
    assert "99" not in unfolded.table().splitlines()[0]
    assert "accuracy" in listed.table()
    assert "too few impostor pairs" in listed.table()
    stored = json.loads(json.dumps(listed.as_dict(), allow_nan=False))
    assert stored["accuracy"]["mean"] == listed.accuracy.mean
    with pytest.raises(EvaluationError, match=r"TAR was computed at FAR 0\.1, 0\.01, got 0\.5"):
        listed.tar(0.5)


def test_scale_of_embeddings_changes_nothing_where_they_are_normalised_first():
    found, pairs = small_case()
    scaled = EmbeddingSet(embeddings=found.embeddings * 4, flipped=found.flipped * 4)
    for protocol in ("plain", "mean-centred", "insightface"):
        assert verify(found, pairs, protocol=protocol).accuracy == verify(scaled, pairs, protocol=protocol).accuracy


def test_what_a_protocol_cannot_do_without():
    found, pairs = small_case()
    unmirrored = EmbeddingSet(embeddings=found.embeddings, labels=found.labels)
    no_folds = Pairs(left=pairs.left, right=pairs.right, same=pairs.same)
    one_fold = Pairs(left=pairs.left, right=pairs.right, same=pairs.same, fold=pairs.fold * 0)
    cases = [
        (unmirrored, pairs, {"protocol": "insightface"}, "needs the embeddings of the mirrored images"),
        (found, pairs, {"protocol": "insightface", "view": "concat"}, "defined on the view 'sum', got 'concat'"),
        (found, pairs, {"protocol": "cosine"}, "protocol must be one of plain, mean-centred, insightface"),
        (found, no_folds, {"protocol": "mean-centred"}, "needs the fold of each pair"),
        (
            found,
            one_fold,
            {"protocol": "mean-centred"},
            "has one fold or none; use the protocol 'plain'",
        ),
        (found, None, {"protocol": "insightface"}, "needs a pair list with folds"),
        (EmbeddingSet(embeddings=found.embeddings), None, {}, "all pairs of a set need labels"),
    ]
    for embeddings, given, options, message in cases:
        with pytest.raises(EvaluationError, match=message):
            verify(embeddings, given, **options)


@needs_shared
@pytest.mark.parametrize(("protocol", "percent"), [("mean-centred", 99.20), ("insightface", 98.95)])
def test_known_figures_on_stored_lfw_embeddings(protocol, percent):
    found = EmbeddingSet.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    pairs = match(read_pairs(SHARED / "lfw_protocol" / "pairs.txt"), found)
    result = verify(found, pairs, protocol=protocol)
    assert 100 * result.accuracy.mean == pytest.approx(percent, abs=0.03)
    assert (result.genuine, result.impostors, len(result.accuracy.folds)) == (3000, 3000, 10)


def own_vectors():
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(8), 4)
    return (random.normal(size=(8, 16))[labels] + random.normal(size=(32, 16))).astype(np.float32), labels


def test_arrays_and_tensors_with_labels_are_a_set():
    vectors, labels = own_vectors()
    wanted = verify(EmbeddingSet(embeddings=vectors, labels=labels)).as_dict()
    names = [f"person {label}" for label in labels]
    tensor = torch.tensor(vectors, requires_grad=True)
    for given in (labels, labels.tolist(), torch.tensor(labels), names, np.array(names)):
        for embeddings in (vectors, tensor, vectors.tolist(), vectors.astype(float)):
            assert {**verify(embeddings, given).as_dict(), "fingerprint": ""} == {**wanted, "fingerprint": ""}
    assert verify(vectors, labels=labels).as_dict() == wanted
    assert verify(EmbeddingSet(embeddings=vectors), labels).as_dict() == wanted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((own_vectors()[0],), ("need labels",)),
        (("people.npz", [0]), ("EmbeddingSet.load('people.npz')",)),
        ((own_vectors()[0], [0, 1]), ("labels", "32", "2")),
        ((own_vectors()[0], np.arange(32) / 2), ("labels", "whole numbers", "float64")),
        ((own_vectors()[0], 3), ("labels",)),
        ((np.arange(4), [0, 0, 1, 1]), ("[images, dimensions]", "[4]")),
        (([[1.0, 2.0], [3.0]], [0, 1]), ("[images, dimensions]",)),
        ((None, [0, 1]), ("numbers", "NoneType")),
    ],
)
def test_what_is_no_set_is_said(arguments, words):
    with pytest.raises(EvaluationError) as caught:
        verify(*arguments)
    assert all(word in str(caught.value) for word in words), caught.value
