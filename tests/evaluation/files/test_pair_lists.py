"""Pair files and how their names find embeddings."""

import numpy as np
import pytest
from real_data import SHARED, needs_shared

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.files.pair_lists import match, read_csv_pairs, read_lfw_pairs, read_pairs

LFW = "2\t1\nAda Lee\t1\t4\nAda Lee\t2\tBea\t12\nCy\t1\t2\nCy\t1\tDee\t3\n"


def write(folder, text, name="pairs.txt"):
    path = folder / name
    path.write_text(text)
    return path


def set_with_keys(keys):
    return EmbeddingSet(embeddings=np.ones((len(keys), 2)), keys=tuple(keys))


def test_lfw_file(tmp_path):
    pairs = read_pairs(write(tmp_path, LFW + "\n"))
    assert pairs.left == ("Ada Lee/Ada Lee_0001.jpg", "Ada Lee/Ada Lee_0002.jpg", "Cy/Cy_0001.jpg", "Cy/Cy_0001.jpg")
    assert pairs.right[:2] == ("Ada Lee/Ada Lee_0004.jpg", "Bea/Bea_0012.jpg")
    assert pairs.same.tolist() == [True, False, True, False]
    assert pairs.fold.tolist() == [0, 0, 1, 1]
    assert len(pairs.names()) == 7


def test_lfw_development_file_is_one_fold(tmp_path):
    pairs = read_lfw_pairs(write(tmp_path, "1\nAda 1 2\nAda 1 Bea 1\n"))
    assert pairs.fold.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must be 'folds pairs'"),
        ("ten\t300\n", "line 1 must be 'folds pairs'"),
        ("0\t300\n", "line 1 must be 'folds pairs'"),
        ("2\t1\nAda\t1\t4\n", "2 folds of 1 genuine and 1 impostor pairs, which is 5 lines, got 2"),
        (LFW + "Eve\t1\t2\n", "which is 5 lines, got 6"),
        (LFW.replace("Cy\t1\t2", "Cy\t1\tDee\t2"), r"line 4 must be 'name i j' \(genuine\), got 'Cy 1 Dee 2'"),
        (LFW.replace("Dee\t3", "Dee\tx"), r"line 5 must be 'name i other j' \(impostor\)"),
    ],
)
def test_malformed_lfw_files(tmp_path, text, message):
    with pytest.raises(EvaluationError, match=message):
        read_lfw_pairs(write(tmp_path, text))


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(EvaluationError, match="does not exist"):
        read_pairs(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(EvaluationError, match="not a readable pair list"):
        read_pairs(tmp_path / "bad.txt")


def test_csv_file(tmp_path):
    text = 'a,b,same,fold\nx.jpg,y.jpg,1,east\n"with, comma.jpg",y.jpg,different,west\n\nx.jpg,z.jpg,False,east\n'
    pairs = read_pairs(write(tmp_path, text, "pairs.csv"))
    assert pairs.left == ("x.jpg", "with, comma.jpg", "x.jpg")
    assert pairs.same.tolist() == [True, False, False]
    assert pairs.fold.tolist() == [0, 1, 0]
    assert read_csv_pairs(write(tmp_path, "a,b,same\nx,y,true\n", "plain.csv")).fold is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y,1\n", "line 1 must be the header a,b,same"),
        ("", "line 1 must be the header a,b,same"),
        ("a,b,same\n", "lists no pairs"),
        ("a,b,same\nx,y\n", "line 2 must have 3 fields, got 'x,y'"),
        ("a,b,same\nx,y,1\nx,,0\n", "line 3 must have 3 fields"),
        ("a,b,same\nx,y,maybe\n", "line 2: same must be one of .*, got 'maybe'"),
    ],
)
def test_malformed_csv_files(tmp_path, text, message):
    with pytest.raises(EvaluationError, match=message):
        read_csv_pairs(write(tmp_path, text, "pairs.csv"))


@pytest.mark.parametrize("ending", ["{name}/{name}_{i:04d}.jpg", "{name}_{i:04d}.png", "crops/112/{name}_{i:04d}"])
def test_names_match_keys_of_other_layouts(tmp_path, ending):
    keys = [ending.format(name=name, i=i) for name in ("Ada Lee", "Bea", "Cy", "Dee") for i in (1, 2, 3, 4, 12)]
    pairs = match(read_lfw_pairs(write(tmp_path, LFW)), set_with_keys(keys))
    assert pairs.left.tolist() == [0, 1, 10, 10]
    assert pairs.right.tolist() == [3, 9, 11, 17]


def test_exact_keys_win_over_file_names(tmp_path):
    named = read_csv_pairs(write(tmp_path, "a,b,same\nx/1.jpg,y/1.jpg,0\n", "pairs.csv"))
    pairs = match(named, set_with_keys(["y/1.jpg", "x/1.jpg"]))
    assert (pairs.left.tolist(), pairs.right.tolist()) == ([1], [0])
    with pytest.raises(EvaluationError, match=r"'x/1.jpg' is no key .* stands for several"):
        match(named, set_with_keys(["y/1.jpg", "z/1.jpg"]))


@pytest.mark.parametrize("name", ["id{}/video/{}.wav", "id{}/video/{}.flac", "id{}-video-{}", "id{}/video/{}"])
def test_recordings_by_their_folders_whatever_the_ending(tmp_path, name):
    """VoxCeleb's file names stand for one recording with their folders alone; Kaldi's keys join these."""
    keys = tuple(f"id{speaker}/video/{number}.wav" for speaker in range(3) for number in range(2))
    found = set_with_keys(keys)
    rows = [(0, 1, True), (0, 2, False), (5, 4, True)]
    text = ""
    for left, right, same in rows:
        sides = (name.format(row // 2, row % 2) for row in (left, right))
        text += f"{' '.join(sides)} {'target' if same else 'nontarget'}\n"
    pairs = match(read_pairs(write(tmp_path, text, "trials")), found)
    assert list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.same.tolist(), strict=True)) == rows


@pytest.mark.parametrize("other", ["id-1/2.wav", "id1/2.wav"])
def test_other_folders_that_would_read_alike_once_joined_are_others(tmp_path, other):
    named = read_pairs(write(tmp_path, f"{other} id/9.wav target\n", "trials"))
    with pytest.raises(EvaluationError, match=f"1 of the 2 images .* first '{other}'"):
        match(named, set_with_keys(["id/1-2.wav", "id/9.wav"]))


@pytest.mark.parametrize(
    "names",
    [
        *("x/1.jpg y/1.jpg", "x/1.jpg a/1.jpg", "a/1.jpg x/1.png", "b/a/1.jpg c/a/1.jpg"),
        *("1.jpg x/1.jpg y/1.jpg", "x/1.jpg 1.jpg y/1.jpg", "a/1.jpg b/a/1.jpg c/a/1.jpg"),
    ],
)
def test_two_names_that_folders_tell_apart_are_not_one_example(tmp_path, names):
    lines = [f"{name} a/2.jpg target" for name in names.split()]
    named = read_pairs(write(tmp_path, "\n".join(lines), "trials"))
    with pytest.raises(EvaluationError, match=r"both are the image 'a/1.jpg' of the embeddings; use the full keys"):
        match(named, set_with_keys(["a/1.jpg", "a/2.jpg"]))


@pytest.mark.parametrize("pair", ["1.jpg x/1.jpg", "a/1.jpg a/1.png", "crops/a/1.jpg a/1", "a-1 a/1.wav"])
def test_one_example_may_be_written_in_several_ways(tmp_path, pair):
    named = read_pairs(write(tmp_path, f"{pair} target\n", "trials"))
    found = match(named, set_with_keys(["a/1.jpg", "a/2.jpg"]))
    assert (found.left.tolist(), found.right.tolist()) == ([0], [0])


def test_unknown_names_are_named(tmp_path):
    named = read_lfw_pairs(write(tmp_path, LFW))
    with pytest.raises(EvaluationError, match=r"6 of the 7 images .* first 'Ada Lee/Ada Lee_0001.jpg'.*'Cy_0001'"):
        match(named, set_with_keys(["Cy_0001"]))
    with pytest.raises(EvaluationError, match="need embeddings with keys"):
        match(named, EmbeddingSet(embeddings=np.ones((2, 2))))


@needs_shared
def test_lfw_pairs_are_the_stored_ones():
    path = SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz"
    pairs = match(read_pairs(SHARED / "lfw_protocol" / "pairs.txt"), EmbeddingSet.load(path))
    with np.load(path) as stored:
        np.testing.assert_array_equal(np.stack([pairs.left, pairs.right], axis=1), stored["pairs"])
        np.testing.assert_array_equal(pairs.same, stored["same"])
        np.testing.assert_array_equal(pairs.fold, stored["fold"])
