"""BLUFR: the published forms of its trials, drawn trials, and its figures against loops."""

import builtins
import json

import numpy as np
import pytest
from evaluation.unit_sets import random_units
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from real_data import SHARED, needs_shared
from reference import identification as oracle
from reference import verification

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import evaluate_blufr
from angulus.evaluation.files.blufr_lists import BlufrTrial, BlufrTrials, draw_blufr_trials, read_blufr_trials

NAMES = [f"Person_{row // 2}_{row % 2 + 1:04d}.jpg" for row in range(8)]
GALLERY = [[1, 3], [5, 7]]
PROBE = [[2, 4, 5, 6], [6, 8, 1, 2]]


def blufr_set(people=20, images=3, dim=6, seed=0):
    labels = np.repeat(np.arange(people), images)
    keys = tuple(f"p{label}/p{label}_{row:04d}.jpg" for row, label in enumerate(labels))
    centres = random_units(people, dim, seed)[labels]
    return EmbeddingSet(embeddings=centres + random_units(len(labels), dim, seed + 1), labels=labels, keys=keys)


def write_lists(folder):
    (folder / "image_list.txt").write_text("\n".join(NAMES) + "\n")
    for name, trials in (("gallery_set", GALLERY), ("probe_set", PROBE)):
        lines = [str(len(trials))]
        for rows in trials:
            lines += [str(len(rows)), *(f"{row}, {NAMES[row - 1]}" for row in rows)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_mat(path):
    io = pytest.importorskip("scipy.io")

    def cells(parts):
        column = np.empty((len(parts), 1), dtype=object)
        for place, part in enumerate(parts):
            column[place, 0] = part
        return column

    numbers = {name: cells([np.array(rows, float)[:, None] for rows in trials]) for name, trials in
               (("galIndex", GALLERY), ("probIndex", PROBE))}  # fmt: skip
    io.savemat(path, {"imageList": cells(NAMES), "labels": np.repeat(np.arange(1.0, 5), 2)[:, None], **numbers})
    return path


@pytest.mark.parametrize("form", ["lists", "mat", "npz"])
def test_the_same_trials_in_every_form(tmp_path, form):
    found = read_blufr_trials(write_mat(tmp_path / "blufr_lfw_config.mat") if form == "mat" else write_lists(tmp_path))
    if form == "npz":
        found.save(tmp_path / "trials.npz")
        found = read_blufr_trials(tmp_path / "trials.npz")
    assert found.names == tuple(NAMES)
    assert [trial.gallery.tolist() for trial in found.trials] == [[0, 2], [4, 6]]
    assert [trial.probe.tolist() for trial in found.trials] == [[1, 3, 4, 5], [5, 7, 0, 1]]
    assert found.trials[0].test.tolist() == [0, 1, 2, 3, 4, 5]
    keys = [f"crops/{name[:-4]}.png" for name in reversed(NAMES)]
    assert found.matched(keys).trials[0].gallery.tolist() == [7, 5]
    with pytest.raises(EvaluationError, match="1 images of the trials have no embedding, first 'Person_0_0001"):
        found.matched(keys[:-1])


def test_without_scipy_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "blufr.mat").write_bytes(b"no matter")
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EvaluationError, match="needs scipy, which is not installed"):
        read_blufr_trials(tmp_path / "blufr.mat")


def test_files_that_are_wrong(tmp_path):
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 40)
    (tmp_path / "broken.npz").write_bytes(b"PK")
    (tmp_path / "trials.txt").write_text("")
    for name, message in (
        ("broken.mat", "must be a MATLAB v5 file"),
        ("broken.npz", "must be an .npz file"),
        ("trials.txt", "read from .mat, .npz or a folder"),
        ("none.mat", "does not exist"),
    ):
        if name == "broken.mat":
            pytest.importorskip("scipy.io")
        with pytest.raises(EvaluationError, match=message):
            read_blufr_trials(tmp_path / name)
    for file, text, message in (
        ("gallery_set.txt", "2\n1\nx, a.jpg\n", "line 3 must begin with the row of an image, got 'x, a.jpg'"),
        ("gallery_set.txt", "2\n1\n1, a\n", "line 4 must begin with the number of images of a trial"),
        ("gallery_set.txt", "1\n1\n1, a\n7\n", "line 4 comes after the last trial"),
        ("gallery_set.txt", "1\n1\n1, a\n", "one part for each trial, got 1, 2"),
        ("gallery_set.txt", "2\n1\n9, a\n1\n1, a\n", "trial 1 must name images among the 8 listed"),
        ("gallery_set.txt", "2\n1\n2, a\n1\n3, a\n", "must occur once in trial 1"),
    ):
        write_lists(tmp_path)
        (tmp_path / file).write_text(text)
        with pytest.raises(EvaluationError, match=message):
            read_blufr_trials(tmp_path)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), counts=st.lists(st.integers(1, 5), min_size=14, max_size=20))
def test_drawn_trials_are_of_the_published_kind(seed, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    assume(sum(count > 1 for count in counts) >= 7)  # four of them may be drawn for training
    trials = draw_blufr_trials(labels, trials=3, train_people=4, gallery_people=3, seed=seed)
    for trial in trials.trials:
        people = labels[trial.gallery]
        assert len(set(people.tolist())) == 3
        assert not set(trial.gallery.tolist()) & set(trial.probe.tolist())
        assert len(set(labels[trial.test].tolist())) == len(counts) - 4
        assert set(people.tolist()) <= set(labels[trial.probe].tolist())
        for person in set(labels[trial.test].tolist()):  # all images of a person, or none
            assert np.isin(np.flatnonzero(labels == person), trial.test).all()
    again = draw_blufr_trials(labels, trials=3, train_people=4, gallery_people=3, seed=seed)
    assert [t.gallery.tolist() for t in again.trials] == [t.gallery.tolist() for t in trials.trials]


def test_figures_are_the_loops():
    embeddings = blufr_set()
    trials = draw_blufr_trials(embeddings.labels, trials=3, train_people=5, gallery_people=8, seed=1)
    found = evaluate_blufr(embeddings, trials, fars=(0.1, 0.01), fpir=0.1)
    unit, labels = embeddings.unit(), embeddings.labels
    for result, trial in zip(found.trials, trials.trials, strict=True):
        genuine, impostor = verification.all_pairs(unit[trial.test].tolist(), labels[trial.test].tolist())
        for point in result.verification:
            assert point.tar == pytest.approx(verification.tar_at_far(genuine, impostor, point.target)[2], abs=1e-9)
        rows = oracle.search(unit[trial.probe], unit[trial.gallery], labels[trial.probe], labels[trial.gallery])
        (point,) = result.identification
        assert (point.threshold, point.false_positives, point.hits) == oracle.tpir_at_fpir(rows, 0.1, 1)
    rate = found.rates[-1]
    assert rate.values == tuple(trial.identification[0].tpir for trial in found.trials)
    assert rate.fused == pytest.approx(np.mean(rate.values) - np.std(rate.values, ddof=1))
    assert [rate.name for rate in found.rates] == ["VR at FAR 0.1", "VR at FAR 0.01", "DIR at rank 1, FAR 0.1"]
    json.dumps(found.as_dict(), allow_nan=False)
    assert "mean - std" in found.table()


def test_what_is_refused():
    embeddings = blufr_set()
    double = BlufrTrials(trials=(BlufrTrial(gallery=np.array([0, 1]), probe=np.array([2, 30])),))
    with pytest.raises(EvaluationError, match="must have one image, got 2 of label 0 in trial 1"):
        evaluate_blufr(embeddings, double)
    with pytest.raises(EvaluationError, match="names row 99, and there are 60 embeddings"):
        evaluate_blufr(embeddings, BlufrTrials(trials=(BlufrTrial(gallery=np.array([0]), probe=np.array([99])),)))
    with pytest.raises(EvaluationError, match="needs labels"):
        evaluate_blufr(EmbeddingSet(embeddings=embeddings.embeddings), double)
    with pytest.raises(EvaluationError, match="train_people at least 0"):
        draw_blufr_trials(embeddings.labels, gallery_people=0)
    with pytest.raises(
        EvaluationError, match="trial 0 needs 16 people with two or more images and somebody unknown, got"
    ):
        draw_blufr_trials(embeddings.labels, train_people=4, gallery_people=16)


@needs_shared
def test_lfw_gives_trials_of_the_published_sizes():
    stored = EmbeddingSet.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    trials = draw_blufr_trials(stored.labels)
    assert {len(trial.gallery) for trial in trials.trials} == {1000}
    assert 9000 < np.mean([len(trial.test) for trial in trials.trials]) < 10_400  # as published: 9,708
    assert len(set(stored.labels[trials.trials[0].test].tolist())) == 4249
