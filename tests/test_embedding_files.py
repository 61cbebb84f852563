"""Columns, text labels, and the three file forms of an embedding set, sound and damaged."""

import json
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError

CAMERAS = np.array([1, 2, 2])
SEX = np.array(["f", "m", ""])


def small_set(**changes):
    given = {
        "embeddings": np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]], dtype=np.float32),
        "flipped": np.array([[3.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], dtype=np.float32),
        "labels": np.array([0, 1, 1]),
        "keys": ("Ada/1", "Bea/1", "Bea/2"),
        "identities": ("Ada", "Bea"),
        "columns": {"camera": CAMERAS, "sex": SEX, "age": np.array([30.5, np.nan, 2]), "smiles": np.array([True] * 3)},
    }
    return EmbeddingSet(**{**given, **changes})


def assert_equal_sets(one, other):
    for name in ("embeddings", "flipped", "labels"):
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) == (right is None)
        if left is not None:
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype
    assert (one.keys, one.identities) == (other.keys, other.identities)
    assert set(one.columns) == set(other.columns)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[name])
        assert values.dtype.kind == other.columns[name].dtype.kind


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_everything_survives_a_file(tmp_path, suffix):
    saved = small_set()
    assert_equal_sets(saved, EmbeddingSet.load(saved.save(tmp_path / "deep" / f"set{suffix}")))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [f"set{suffix}"]
    odd = small_set(columns={"file": CAMERAS, "allow_pickle": SEX, "skin tone/2": CAMERAS})
    assert_equal_sets(odd, EmbeddingSet.load(odd.save(tmp_path / f"odd{suffix}")))
    bare = EmbeddingSet(embeddings=np.eye(3))
    assert_equal_sets(bare, EmbeddingSet.load(bare.save(tmp_path / f"bare{suffix}")))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".npy"])
def test_half_precision_on_disk(tmp_path, suffix):
    exact = EmbeddingSet(embeddings=np.array([[0.5, 0.25], [1, -2]]), labels=np.array([4, 5]))
    path = exact.save(tmp_path / f"set{suffix}", stored="float16")
    assert_equal_sets(exact, EmbeddingSet.load(path))
    with pytest.raises(EvaluationError, match="below 65,520 to be stored as float16"):
        EmbeddingSet(embeddings=np.array([[7e4, 0]])).save(tmp_path / f"large{suffix}", stored="float16")
    with pytest.raises(EvaluationError, match="stored as float32 or float16, got 'int8'"):
        exact.save(path, stored="int8")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 99), st.sampled_from([".npz", ".safetensors", ".npy"]))
def test_random_sets_survive_a_file(tmp_path_factory, rows, dim, seed, suffix):
    random = np.random.default_rng(seed)
    columns = (
        {}
        if suffix == ".npy"
        else {"camera": random.integers(0, 3, rows), "name": random.integers(0, 9, rows).astype(str)}
    )
    saved = EmbeddingSet(
        embeddings=random.normal(size=(rows, dim)), labels=random.integers(0, 3, rows), columns=columns
    )
    assert_equal_sets(saved, EmbeddingSet.load(saved.save(tmp_path_factory.mktemp("sets") / f"set{suffix}")))


def safetensors_bytes(tensors, metadata=None):
    """The published layout by hand: length of the header (8 bytes), header as JSON, then the data end to end."""
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, array) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors_of_other_tools_with_bfloat16(tmp_path):
    matrix = np.array([[1.5, -2, 0.25], [3, 4, 5]], dtype=np.float32)
    halves = (matrix.view(np.uint32) >> 16).astype("<u2")  # exact: these values need few bits
    tensors = {
        "features": ("BF16", halves),
        "embeddings_flip": ("F16", matrix.astype(np.float16)),
        "labels": ("I32", np.array([7, 8], "<i4")),
        "camids": ("U8", np.array([1, 2], "u1")),
        "centre": ("F32", np.zeros(3, "<f4")),
    }
    path = tmp_path / "set.safetensors"
    path.write_bytes(safetensors_bytes(tensors, {"keys": '["a", "b"]', "columns": '{"sex": ["f", "m"]}'}))
    found = EmbeddingSet.load(path)
    np.testing.assert_array_equal(found.embeddings, matrix)
    np.testing.assert_array_equal(found.flipped, matrix)
    assert (found.labels.tolist(), found.keys, found.column("camera").tolist()) == ([7, 8], ("a", "b"), [1, 2])
    assert set(found.columns) == {"camera", "sex"}


def test_npz_of_other_tools(tmp_path):
    np.savez(
        tmp_path / "other.npz",
        feats=np.eye(3, dtype=np.float16),
        labels=np.array(["Bea", "Ada", "Bea"]),
        camids=CAMERAS,
        group=np.array([b"x", b"y", b"x"]),
        pairs=np.zeros((2, 2)),
        age=np.array([1, 2, 3]),
    )
    found = EmbeddingSet.load(tmp_path / "other.npz")
    assert (found.identities, found.labels.tolist()) == (("Ada", "Bea"), [1, 0, 1])
    assert set(found.columns) == {"camera", "group", "age"}
    assert found.column("group").tolist() == ["x", "y", "x"]


def test_npy_is_mapped_and_takes_labels_from_files(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(tmp_path / "gallery.npy", matrix)
    bare = EmbeddingSet.load(tmp_path / "gallery.npy")
    assert isinstance(bare.embeddings.base, np.memmap)
    assert bare.labels is None
    (tmp_path / "names.txt").write_text("Bea\nAda\nAda\nCy\n")
    (tmp_path / "numbers.txt").write_text("3\n1\n1\n2\n")
    assert EmbeddingSet.load(tmp_path / "gallery.npy", labels=tmp_path / "names.txt").identities == ("Ada", "Bea", "Cy")
    assert EmbeddingSet.load(tmp_path / "gallery.npy", labels=tmp_path / "numbers.txt").labels.tolist() == [3, 1, 1, 2]
    EmbeddingSet(embeddings=matrix, labels=np.arange(4)).save(tmp_path / "both.npy")
    assert EmbeddingSet.load(tmp_path / "both.npy").labels.tolist() == [0, 1, 2, 3]
    EmbeddingSet(embeddings=matrix[:2]).save(tmp_path / "both.npy")
    assert EmbeddingSet.load(tmp_path / "both.npy").labels is None
    with pytest.raises(EvaluationError, match=r"this set has flipped, keys, identities, camera, .*; use \.npz"):
        small_set().save(tmp_path / "more.npy")


def test_select_and_columns():
    found = small_set().select([2, 0])
    assert (found.column("camera").tolist(), found.column("sex").tolist()) == ([2, 1], ["", "f"])
    more = found.with_columns({"pose": ["front", "side"], "camera": [9, 9]})
    assert (more.column("camera").tolist(), more.column("pose").tolist()) == ([9, 9], ["front", "side"])
    assert found.column("camera").tolist() == [2, 1]
    with pytest.raises(EvaluationError, match="no column 'skin'; columns: camera, sex, age, smiles"):
        found.column("skin")


def test_names_as_labels():
    found = EmbeddingSet(embeddings=np.eye(3), labels=["Bea", "Ada", "Bea"])
    assert (found.identities, found.labels.tolist()) == (("Ada", "Bea"), [1, 0, 1])
    listed = EmbeddingSet(embeddings=np.eye(3), labels=["Bea", "Ada", "Bea"], identities=("Cy", "Bea", "Ada"))
    assert listed.labels.tolist() == [1, 2, 1]
    with pytest.raises(EvaluationError, match="among the 1 identities named, got 'Ada' in row 1"):
        EmbeddingSet(embeddings=np.eye(3), labels=["Bea", "Ada", "Bea"], identities=("Bea",))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"camera": [1, 2]}, r"column 'camera' must have one entry for each of the 3 embeddings, got \[2\]"),
        ({"camera": [[1], [2], [3]]}, r"got \[3, 1\]"),
        ({"__metadata__": [1, 2, 3]}, "a column needs a name of its own, got '__metadata__'"),
        ({"emb": [1, 2, 3]}, "a column needs a name of its own, got 'emb'"),
        ({"": [1, 2, 3]}, "a name of its own, got ''"),
        ({"what": np.array([1, None, "x"], dtype=object)}, "must hold numbers, truth values or text, got object"),
    ],
)
def test_bad_columns(columns, message):
    with pytest.raises(EvaluationError, match=message):
        small_set(columns=columns)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".npy"])
def test_a_file_cut_short_at_any_length_is_one_sentence(tmp_path, suffix):
    whole = EmbeddingSet(embeddings=np.arange(60.0).reshape(20, 3), labels=np.arange(20))
    path = whole.save(tmp_path / f"set{suffix}")
    content = path.read_bytes()
    for length in [0, 1, 7, 9, 60, 100, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(EvaluationError, match=rf"not a readable \{suffix} file") as caught:
            EmbeddingSet.load(path)
        assert "\n" not in str(caught.value)


class Hostile:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors"])
def test_pickles_inside_are_refused_and_not_run(tmp_path, suffix):
    canary = tmp_path / "canary"
    objects = np.array([Hostile(canary), 1], dtype=object)
    path = tmp_path / f"set{suffix}"
    with path.open("wb") as file:
        if suffix == ".npz":
            np.savez(file, allow_pickle=True, embeddings=np.eye(2), labels=objects)
        elif suffix == ".npy":
            np.save(file, objects, allow_pickle=True)
        else:
            pickle.dump(Hostile(canary), file)
    with pytest.raises(EvaluationError, match="not a readable"):
        EmbeddingSet.load(path)
    path.write_bytes(pickle.dumps(Hostile(canary)))
    with pytest.raises(EvaluationError, match="not a readable"):
        EmbeddingSet.load(path)
    assert not canary.exists()


def test_other_faults_of_files(tmp_path):
    np.savez(tmp_path / "short.npz", embeddings=np.eye(3), labels=np.arange(2))
    with pytest.raises(EvaluationError, match="labels must have one entry for each of the 3 embeddings, got 2"):
        EmbeddingSet.load(tmp_path / "short.npz")
    np.savez(tmp_path / "nan.npz", embeddings=np.array([[1, 2], [np.nan, 1]]))
    with pytest.raises(EvaluationError, match="NaN or infinity in row 1"):
        EmbeddingSet.load(tmp_path / "nan.npz")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.eye(2))
    with pytest.raises(EvaluationError, match=r"holds one array, not a \.npz archive"):
        EmbeddingSet.load(tmp_path / "one.npz")
    with pytest.raises(EvaluationError, match=r"stored as \.npz, \.safetensors, \.npy, got the file name 'set.txt'"):
        EmbeddingSet.load(tmp_path / "set.txt")
    path = tmp_path / "list.safetensors"
    path.write_bytes(safetensors_bytes({"embeddings": ("F32", np.eye(2, dtype="<f4"))}, {"columns": "[1]"}))
    with pytest.raises(EvaluationError, match="columns must be a JSON object, got list"):
        EmbeddingSet.load(path)
    path.write_bytes(safetensors_bytes({"embeddings": ("F32", np.eye(2, dtype="<f4"))}, {"keys": "{"}))
    with pytest.raises(EvaluationError, match="not a readable"):
        EmbeddingSet.load(path)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".npy"])
def test_our_own_files_say_when_they_are_damaged(tmp_path, suffix):
    values = np.arange(12, dtype=np.float32).reshape(3, 4) + 0.5
    path = EmbeddingSet(embeddings=values).save(tmp_path / f"set{suffix}")
    content = bytearray(path.read_bytes())
    content[content.index(values.tobytes()) + 5] ^= 1
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"checksum|CRC"):
        EmbeddingSet.load(path)


def test_foreign_files_without_a_checksum_are_read(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4) + 0.5
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", embeddings=values)
    for name in ("a.npy", "b.npz"):
        np.testing.assert_array_equal(EmbeddingSet.load(tmp_path / name).embeddings, values)
    EmbeddingSet(embeddings=values).save(tmp_path / "c.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), values)
