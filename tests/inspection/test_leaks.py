"""People and images of the test set that lie in the training set are found, by name, by picture and by embedding."""

import json

import numpy as np
import pytest
from faces_drawn import clustered
from small_sets import ArraySource

from angulus.data import apply_edits, read_edits
from angulus.data.views.edits import Edits
from angulus.errors import DataError
from angulus.inspection import Contents, Seen, find_leaks, removal, write_leaks
from angulus.inspection.looks.photos import COLUMNS


def seen(people, names=None, seed=0, dim=48):
    """Images of the people of a common world (numbers), three each, with their embeddings."""
    vectors, labels = clustered([3] * 300, dim=dim, spread=0.5, seed=7)
    rows = np.concatenate([np.flatnonzero(labels == person) for person in people])
    noise = np.random.default_rng(seed).normal(size=(len(rows), dim)) * 0.3 / np.sqrt(dim)
    own = vectors[rows] + noise.astype(np.float32)
    own = (own / np.linalg.norm(own, axis=1, keepdims=True)).astype(np.float32)
    source = ArraySource(np.repeat(np.arange(len(people)), 3), names or [f"n{seed}_{number}" for number in people])
    contents = np.zeros(len(rows), dtype=COLUMNS)
    contents["readable"] = True
    contents["hash"] = np.random.default_rng((seed, 1)).integers(0, 256, contents["hash"].shape)
    contents["mirrored_hash"] = np.random.default_rng((seed, 2)).integers(0, 256, contents["hash"].shape)
    contents["bytes_digest"] = contents["values_digest"] = np.arange(len(rows)) + 10_000 * seed + 1
    return Seen(source=source, contents=Contents(rows=contents, formats=(), problems=()), vectors=own)


@pytest.fixture(scope="module")
def planted():
    """150 people train, 120 test, and 20 are in both under other names."""
    return seen(range(150), seed=1), seen(range(130, 250), seed=2)


def test_people_are_found_by_embedding_alone(planted):
    train, test = planted
    leaks = find_leaks(train, test, names=False, copies=False)
    pairs = {(each.train, each.test) for each in leaks.leaked}
    shared = {(person, person - 130) for person in range(130, 150)}
    assert len(pairs & shared) >= 18
    assert len(pairs - shared) <= 1
    assert leaks.people.far * leaks.people.compared == pytest.approx(0.5)
    assert all(each.mutual and not each.name for each in leaks.leaked)
    assert leaks.clean_test_rows().sum() == 3 * (120 - len({test for _, test in pairs}))


def test_names_are_folded_and_can_be_hidden():
    train = seen(range(20), names=["Ada Lovelace", *(f"a{number}" for number in range(19))], seed=1)
    test = seen(range(100, 120), names=["ada_lovelace", *(f"b{number}" for number in range(19))], seed=2)
    (leaked,) = find_leaks(train, test, copies=False).leaked
    assert (leaked.train, leaked.test, leaked.name) == (0, 0, True)
    assert np.isfinite(leaked.z)
    assert leaked.z < 3  # the embeddings say that they are two people
    assert find_leaks(train, test, names=False, copies=False).leaked == []


def test_an_identity_of_two_people_is_found_by_either(planted):
    people = [*range(150), 150]
    train = seen(people, seed=1)
    labels = np.asarray(train.source.labels).copy()
    labels[labels == 150] = 140  # two people of the test set under one name
    mixed = Seen(
        source=ArraySource(labels, list(train.source.identities)[:150]), contents=train.contents, vectors=train.vectors
    )
    pairs = {(each.train, each.test) for each in find_leaks(mixed, planted[1], names=False, copies=False).leaked}
    assert {(140, 10), (140, 20)} <= pairs


def test_pictures_without_a_model():
    train, test = (seen(range(10 * k, 10 * k + 10), seed=k) for k in (1, 2))
    test.contents.rows["bytes_digest"][4] = train.contents.rows["bytes_digest"][7]
    without = [Seen(source=each.source, contents=each.contents) for each in (train, test)]
    leaks = find_leaks(without[0], without[1])
    (copy,) = [copy for copy in leaks.copies if copy.certain]
    assert (copy.left, copy.right, copy.kind) == (7, 4, "same bytes")
    assert leaks.leaked == []
    assert "give a model" in leaks.notes[0]
    assert not leaks.clean_test_rows()[4]
    doubt, edit = removal(leaks)
    assert (doubt.action, doubt.identity, "1 equal picture" in doubt.reason) == ("keep", "n1_12", True)
    assert (edit.action, edit.key) == ("drop", train.source.keys[7])
    (edit,) = [each for each in removal(leaks, side="test") if each.action == "drop"]
    assert edit.key == test.source.keys[4]


@pytest.mark.parametrize("side", ["train", "test"])
def test_the_removal_list_takes_the_people_out(planted, tmp_path, side):
    train, test = planted
    leaks = find_leaks(train, test, names=False, copies=False)
    edits = removal(leaks, side=side)
    write_leaks(tmp_path, leaks, edits, side=side, facts={"train": "a", "test": "b"})
    source = (train if side == "train" else test).source
    kept = apply_edits(source, [read_edits(tmp_path / "removal.csv")])
    gone = {each.train if side == "train" else each.test for each in leaks.leaked}
    assert set(kept.identities) == {name for label, name in enumerate(source.identities) if label not in gone}
    figures = json.loads((tmp_path / "leaks.json").read_text())
    assert figures["leaked_people"] == len(leaks.leaked)
    page = (tmp_path / "leaks.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "http" not in page.replace("data:image", "")
    assert Edits(rows=tuple(edits)).rows


def test_no_false_pairs_cannot_be_asked_for(planted):
    with pytest.raises(DataError, match="false_pairs must be above 0, got 0"):
        find_leaks(*planted, false_pairs=0)
