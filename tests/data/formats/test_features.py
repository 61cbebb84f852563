"""Stored features: read as they were written, and every way in which a file can contradict itself."""

from pathlib import Path

import numpy as np
import pytest

from angulus.data import account_of, open_source
from angulus.data.formats.features import holds_features, open_features
from angulus.errors import DataError


def write(path: Path, **changes: object) -> Path:
    random = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "features": random.integers(0, 255, (11, 3), dtype=np.uint8),
        "lengths": np.array([5, 2, 4], dtype=np.int32),
        "speakers": np.array(["zoe", "ada", "zoe"]),
        "keys": np.array(["zoe/1", "ada/1", "zoe/2"]),
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})  # pyrefly: ignore
    return path


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = write(tmp_path / "speech.npz")
    source = open_source(path)
    assert list(source.identities) == ["ada", "zoe"]
    assert source.labels.tolist() == [1, 0, 1]
    assert list(source.keys) == ["zoe/1", "ada/1", "zoe/2"]
    stored = np.load(path)["features"]
    np.testing.assert_array_equal(source.read(0), stored[:5])
    np.testing.assert_array_equal(source.read(2), stored[7:])
    assert account_of(source).lines() == [f"{path}: 3 recordings of 2 identities"]
    assert holds_features(path)


def test_numbers_stand_for_speakers_and_keys_are_made(tmp_path: Path) -> None:
    source = open_features(write(tmp_path / "a.npz", speakers=None, keys=None, labels=np.array([7, 2, 7])))
    assert source.labels.tolist() == [1, 0, 1]
    assert len(set(source.keys)) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lengths": np.array([5, 2, 5])}, "lengths must add up to the 11 frames of features, got 12"),
        ({"lengths": np.array([5, 0, 6])}, "lengths must be whole numbers from 1 up"),
        ({"lengths": np.array([5.0, 2.0, 4.0])}, "lengths must be whole numbers from 1 up"),
        ({"features": np.zeros((11, 3, 1))}, r"features must be numbers \[frames, bands\]"),
        ({"features": np.zeros((11, 0))}, r"features must be numbers \[frames, bands\]"),
        ({"features": np.full((11, 3), np.nan)}, "features must be finite"),
        ({"features": np.full((11, 3), 1e300)}, "features must be finite in float32"),
        ({"lengths": np.array([2**63 - 1, 2, 2**63 - 1])}, "lengths must add up to the 11 frames"),
        ({"lengths": np.array([2**64 - 1, 6, 6], np.uint64)}, "lengths must add up to the 11 frames"),
        ({"features": np.array([["a"] * 3] * 11)}, r"features must be numbers \[frames, bands\]"),
        ({"speakers": None}, "must hold the arrays features, lengths and speakers"),
        ({"speakers": np.array(["ada", "bob"])}, "speakers must have one name or number for each of the 3"),
        ({"keys": np.array(["a", "b"])}, "keys must have one entry for each of the 3"),
        ({"keys": np.array(["a", "b", "a"])}, "a"),
    ],
)
def test_files_that_contradict_themselves(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_features(write(tmp_path / "bad.npz", **changes))


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"cannot read .*text.npz as stored features"):
        open_features(tmp_path / "text.npz")
    assert not holds_features(tmp_path / "text.npz")
    np.savez(tmp_path / "objects.npz", features=np.array([{}], dtype=object), lengths=np.array([1]))
    with pytest.raises(DataError, match=r"cannot read .*objects.npz as stored features"):
        open_features(tmp_path / "objects.npz")
    with pytest.raises(DataError, match="there are no features at"):
        open_features(tmp_path / "missing.npz")
    with pytest.raises(DataError, match=r"has 3 bands and the model takes 40: set model.input.bands"):
        open_features(write(tmp_path / "bands.npz"), bands=40)
    whole = (tmp_path / "bands.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot read .*cut.npz as stored features"):
        open_features(tmp_path / "cut.npz")
