"""Angles, rules and scores against loops, and blocks and chunks against the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import purification as oracle
from sklearn.metrics import average_precision_score
from small_sets import array_source

from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError
from angulus.models import InputSpec, TinyNet
from angulus.purification import (
    RULES,
    Centers,
    angles_of,
    average_precision,
    best_f1,
    decide,
    gather,
    score_cleaning,
    weigh,
    wrong_labels,
)

CLASSES, DIM = 7, 5


def made(seed=0, subcenters=3, images=60):
    random = np.random.default_rng(seed)
    directions = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(CLASSES, subcenters, DIM))), dim=-1)
    labels = random.integers(0, CLASSES, images)
    embeddings = random.normal(size=(images, DIM)) * random.uniform(0.5, 9, (images, 1))
    names = tuple(f"name{label}" for label in range(CLASSES))
    return EmbeddingSet(embeddings=embeddings, labels=labels), Centers(names=names, directions=directions.float())


@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_evidence_is_that_of_the_loops(subcenters, block):
    embeddings, centers = made(subcenters=subcenters)
    found = weigh(embeddings, centers, block=block)
    units = embeddings.unit().astype(np.float64)
    expected = oracle.evidence(units, found.labels, centers.directions.double().numpy())
    np.testing.assert_allclose(found.own, [row[0] for row in expected], atol=1e-6)
    np.testing.assert_array_equal(found.other, [row[1] for row in expected])
    np.testing.assert_allclose(found.other_cos, [row[2] for row in expected], atol=1e-6)
    chance = [
        [float(unit @ w) for w in centers.directions[z].double().numpy()]
        for unit, z in zip(units, found.by_chance, strict=True)
    ]
    np.testing.assert_allclose(found.chance, chance, atol=1e-6)
    assert (found.by_chance != found.labels).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("subcenters", [1, 3])
def test_rules_drop_what_the_loops_drop(rule, subcenters):
    embeddings, centers = made(3, subcenters)
    found = weigh(embeddings, centers)
    angles = angles_of(found, CLASSES)
    dominants = oracle.dominant(found.labels, found.nearest, CLASSES, subcenters)
    np.testing.assert_array_equal(angles.dominant, dominants)
    expected = [
        oracle.goes(rule, own.tolist(), label, other, views, dominants, 75.0)
        for own, label, other, views in zip(
            found.own.astype(np.float64),
            found.labels,
            found.other_cos.astype(float),
            np.minimum(found.agreement, 1).tolist(),
            strict=True,
        )
    ]
    np.testing.assert_array_equal(decide(angles, rule, 75.0).dropped, expected)


def test_strict_drops_what_subcenter_drops_and_more():
    angles = angles_of(weigh(*made(5, images=200)), CLASSES)
    wide, strict = decide(angles, "subcenter", 75.0).dropped, decide(angles, "strict", 75.0).dropped
    assert (strict >= wide).all()
    near = strict & ~wide
    assert near.any()
    assert not angles.is_dominant[near].any()
    assert (angles.dominant_angle[near] <= 75).all()


def test_one_class_has_no_other():
    embeddings = EmbeddingSet(embeddings=np.eye(3), labels=[0, 0, 0])
    found = weigh(embeddings, Centers(names=("a",), directions=torch.eye(3)[None, :2]))
    assert (found.other == -1).all()
    assert (found.other_cos == -1).all()
    assert (found.by_chance == -1).all()


def test_dimensions_that_differ_are_a_sentence():
    with pytest.raises(DataError, match="dimension of the centers, 4, got 3"):
        weigh(
            EmbeddingSet(embeddings=np.eye(3), labels=[0, 0, 0]), Centers(names=("a",), directions=torch.eye(4)[None])
        )


def test_classes_are_taken_by_name():
    _, centers = made()
    turned = centers.in_order(["name3", "name0"])
    torch.testing.assert_close(turned.directions, centers.directions[[3, 0]])
    with pytest.raises(DataError, match=r"labels must be those of the head: 2 of 3 .*\(Bob, Eve\)"):
        centers.in_order(["name3", "Bob", "Eve"])


def test_chunks_give_what_the_whole_gives_and_are_kept(tmp_path, monkeypatch):
    source = array_source([4, 5, 6], height=16, width=16)
    torch.manual_seed(0)
    model = TinyNet(channels=(4, 4), units=(0, 0), embedding_dim=6, input=InputSpec(height=16, width=16)).build()
    centers = Centers(
        names=tuple(source.identities), directions=torch.nn.functional.normalize(torch.randn(3, 2, 6), dim=-1)
    )
    whole = gather(model, source, centers)
    monkeypatch.setattr("angulus.purification.evidence.CHUNK", 4)
    parts = gather(model, source, centers, folder=tmp_path)
    np.testing.assert_allclose(parts.own, whole.own, atol=1e-5)
    np.testing.assert_array_equal(parts.other, whole.other)
    assert len(list(tmp_path.glob("*.npz"))) == 4
    monkeypatch.setattr("angulus.purification.evidence.embed", None)  # nothing is embedded a second time
    np.testing.assert_array_equal(gather(model, source, centers, folder=tmp_path).own, parts.own)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_average_precision_is_that_of_the_loops_and_of_scikit_learn(rows):
    scores, wrong = [float(score) for score, _ in rows], [bad for _, bad in rows]
    if not any(wrong):
        return
    assert average_precision(scores, wrong) == pytest.approx(oracle.average_precision(scores, wrong))
    assert average_precision(scores, wrong) == pytest.approx(average_precision_score(wrong, scores))
    best, at = best_f1(scores, wrong)
    assert best == pytest.approx(score_cleaning(np.array(scores) >= at, wrong).f1)
    assert best >= max(score_cleaning(np.array(scores) >= value, wrong).f1 for value in set(scores)) - 1e-12


def test_scores_by_hand():
    found = score_cleaning([1, 1, 1, 0], [1, 0, 1, 1])
    assert (found.precision, found.recall, found.f1) == (2 / 3, 2 / 3, pytest.approx(2 / 3))
    assert score_cleaning([0, 0], [1, 0]).f1 == 0.0


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("skewed", [False, True])
def test_the_share_of_wrong_labels_and_the_angle_are_found(share, skewed):
    random = np.random.default_rng(0)
    wrong = random.uniform(size=20_000) < share
    right = 25 + random.gamma(2.0, 9.0, 20_000) if skewed else random.normal(45, 8, 20_000)
    chance = random.normal(92, 9, 20_000)
    fit = wrong_labels(np.where(wrong, random.normal(92, 9, 20_000), right), chance)
    assert fit.share == pytest.approx(share, abs=0.03)
    assert 60 < fit.angle < 90
    assert (np.diff(fit.probability) >= 0).all()
    gone = np.where(wrong, chance, right) > fit.angle
    assert score_cleaning(gone, wrong).f1 > 0.8


def test_a_clean_set_loses_nothing():
    random = np.random.default_rng(0)
    fit = wrong_labels(random.normal(45, 8, 5000), random.normal(92, 9, 5000))
    assert fit.share < 0.001
    assert fit.angle is None or fit.angle > 70
    empty = wrong_labels(np.zeros(0), np.zeros(0))
    assert (empty.share, empty.angle) == (0.0, None)
