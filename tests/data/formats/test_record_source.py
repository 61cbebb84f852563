"""Stored sets as sources: found by what lies there, decoded, fitted, damaged images left out, read by workers."""

import numpy as np
import pytest
from small_sets import picture, write_folder

from angulus.data import (
    EncodedSource,
    EpochSampler,
    FolderSource,
    InMemory,
    account_of,
    batches,
    bytes_of,
    convert,
    fingerprint,
    format_of,
    open_source,
    select,
    subset,
)
from angulus.errors import DataError


@pytest.fixture
def people(tmp_path):
    return write_folder(tmp_path / "people", {"Ada": 3, "Bob": 2})


@pytest.mark.parametrize("name", ["a.rec", "a.tar", "a.packed", "a.csv", "a.parquet"])
def test_pixels_sizes_and_views(tmp_path, people, name):
    if name == "a.parquet":
        pytest.importorskip("pyarrow")
    plain = FolderSource.open(people)
    convert(plain, tmp_path / name)
    source = open_source(tmp_path / name, size=(6, 5))
    assert np.array_equal(open_source(tmp_path / name).read(4), plain.read(4))
    assert source.read(4).shape == (6, 5, 3)
    assert account_of(source).images == 5
    view = subset(source, exclude=["Ada"])
    assert bytes_of(view, 1) == bytes_of(plain, 4)
    assert bytes_of(InMemory.load(view), 1) == bytes_of(plain, 4)
    assert fingerprint(source) != fingerprint(open_source(tmp_path / name))
    sampler = EpochSampler(num_examples=5, batch_size=5)
    alone, helped = (next(batches(source, sampler, num_workers=workers)).examples for workers in (0, 1))
    assert np.array_equal(alone, helped)


def test_damaged_images(tmp_path):
    source = EncodedSource.of([b"no image", b"none"], labels=[0, 1], identities=["Ada", "Bob"], keys=["a", "b"])
    convert(source, tmp_path / "bad.packed")
    with pytest.raises(DataError, match=r"cannot read .*bad.packed: b: its content is not an image"):
        open_source(tmp_path / "bad.packed").read(1)
    with pytest.raises(DataError, match=r"bad.packed: none of its 2 examples can be read"):
        open_source(tmp_path / "bad.packed", on_unreadable="skip")


def test_damaged_images_are_left_out(tmp_path, people, caplog):
    (people / "Bob" / "0001.png").write_bytes(b"?")
    (people / "Bob" / "0000.png").write_bytes(b"")
    convert(FolderSource.open(people), tmp_path / "a.tar")
    source = open_source(tmp_path / "a.tar", on_unreadable="skip")
    assert (len(source), source.identities) == (3, ["Ada"])
    assert "dropped 2 images of 1 identity: unreadable (Bob/0000.png, Bob/0001.png)" in account_of(source).lines()[1]
    assert "skipped: cannot read" in caplog.text


def test_what_lies_at_a_path(tmp_path, people):
    assert format_of(people) == "folder"
    convert(FolderSource.open(people), tmp_path / "set" / "train.rec")
    assert format_of(tmp_path / "set") == "rec"
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataError, match=r"x.txt is of no known kind; expected .rec, .tar"):
        format_of(tmp_path / "x.txt")
    with pytest.raises(DataError, match="there is no data at"):
        format_of(tmp_path / "none")


def test_sources_without_bytes(people):
    class Drawn:
        labels, identities, keys = np.zeros(1, dtype=np.int64), ["a"], ["k"]

        def __len__(self):
            return 1

        def read(self, index):
            return picture(0)

    assert bytes_of(Drawn(), 0) is None
    assert bytes_of(select(Drawn(), np.array([0])), 0) is None
    assert bytes_of(FolderSource.open(people), 0)[:4] == b"\x89PNG"
