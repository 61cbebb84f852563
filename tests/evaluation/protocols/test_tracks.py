"""Tracks of frames, and the layout of YouTube Faces' splits.txt."""

import numpy as np
import pytest
from evaluation.unit_sets import random_units

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.protocols.tracks import match_tracks, pool_tracks, read_track_pairs
from angulus.evaluation.rates.folds import folded_accuracy

HEADER = "split number, first name, second name, is same\n"


def frames(people=8, videos=2, length=3, dim=16):
    rows = [(p, v, f) for p in range(people) for v in range(videos) for f in range(length)]
    centres = random_units(people, dim, 1)
    values = np.array([centres[p] for p, _, _ in rows]) + 0.5 * random_units(len(rows), dim, 2)
    keys = [f"person{p}/{v}/{v}.{f}.jpg" for p, v, f in rows]
    return EmbeddingSet(embeddings=values, flipped=2 * values, labels=np.array([p for p, _, _ in rows]), keys=keys)


@pytest.mark.parametrize("keep_norms", [True, False])
def test_a_track_is_the_mean_of_its_frames(keep_norms):
    given = frames()
    found = pool_tracks(given, keep_norms=keep_norms)
    assert len(found) == 16
    for row, key in enumerate(found.keys):
        members = [i for i, name in enumerate(given.keys) if name.startswith(key + "/")]
        images = [given.embeddings[i] / (1 if keep_norms else np.linalg.norm(given.embeddings[i])) for i in members]
        np.testing.assert_allclose(found.embeddings[row], np.mean(images, axis=0), atol=1e-6)
        assert found.labels[row] == given.labels[members[0]]
    np.testing.assert_allclose(found.flipped, (2 if keep_norms else 1) * found.embeddings, rtol=1e-6)


def test_the_published_layout_to_accuracy(tmp_path):
    lines = [HEADER]
    for split in range(1, 5):
        p = 2 * (split - 1)
        lines += [f"{split}, person{p}/0, person{p}/1, 1\n", f"{split}, person{p}/0, person{p + 1}/1, 0\n"]
    (tmp_path / "splits.txt").write_text("".join(lines))
    named = read_track_pairs(tmp_path / "splits.txt")
    assert (named.left[1], named.right[1], named.same[1], named.fold.tolist()) == (
        "person0/0",
        "person1/1",
        False,
        [0, 0, 1, 1, 2, 2, 3, 3],
    )
    tracks = pool_tracks(frames())
    accuracy, _ = folded_accuracy(tracks, match_tracks(named, tracks))
    assert len(accuracy.folds) == 4
    assert accuracy.mean == 1.0


def test_a_name_is_matched_with_its_folder(tmp_path):
    (tmp_path / "splits.txt").write_text(HEADER + "1, person0/0, other/1, 0\n")
    with pytest.raises(EvaluationError, match="1 of the 2 tracks that the pairs name have no frames, first 'other/1'"):
        match_tracks(read_track_pairs(tmp_path / "splits.txt"), pool_tracks(frames()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "1, a/0, b/1, 0\nx, a/0, b/1, 1\n", "line 3 must be 'split number"),
        (HEADER + "1, a/0, b/1, yes\n", "line 2 must be"),
        (HEADER + "1, a/0, 1\n", "line 2 must be"),
        (HEADER, "lists no pairs"),
    ],
)
def test_malformed_lines_are_named(tmp_path, text, message):
    (tmp_path / "splits.txt").write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_track_pairs(tmp_path / "splits.txt")


def test_what_pooling_refuses():
    given = frames()
    with pytest.raises(EvaluationError, match="no keys; give tracks"):
        pool_tracks(EmbeddingSet(embeddings=given.embeddings))
    with pytest.raises(EvaluationError, match=r"must be track/frame, got 'a\.jpg'"):
        pool_tracks(EmbeddingSet(embeddings=given.embeddings[:1], keys=("a.jpg",)))
    with pytest.raises(EvaluationError, match="one entry for each of the 48 frames, got 2"):
        pool_tracks(given, ["a", "b"])
    with pytest.raises(EvaluationError, match="several in track 'all'"):
        pool_tracks(given, ["all"] * 48)
    zero = given.embeddings.copy()
    zero[5] = 0
    with pytest.raises(EvaluationError, match=r'got all zeros in row 5 \("person0/1/1.2.jpg"\)'):
        pool_tracks(EmbeddingSet(embeddings=zero, keys=given.keys), keep_norms=False)
