"""Packed sets: what is damaged is found, and opening reads nothing that is not asked for."""

import json
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from angulus.data import EncodedSource, convert
from angulus.data.formats.packed import IMAGES, INDEX, open_packed
from angulus.data.index.strings import StringTable, encode_name, ends_of
from angulus.errors import DataError

CONTENTS = [b"one", b"", b"three" * 100, b"\x00four"]


@pytest.fixture
def packed(tmp_path):
    keys = ["b/x.jpg", "a/y.jpg", "b/\udcff", "b/z"]
    source = EncodedSource.of(CONTENTS, labels=[1, 0, 1, 1], identities=["Ana\u00efs", "Bob"], keys=keys)
    convert(source, tmp_path / "set.packed")
    return tmp_path / "set.packed"


def test_what_was_written(packed):
    records = open_packed(packed)
    assert [records.read_bytes(row) for row in range(4)] == CONTENTS
    assert records.labels.tolist() == [1, 0, 1, 1]
    assert list(records.identities) == ["Ana\u00efs", "Bob"]
    assert list(records.keys) == ["b/x.jpg", "a/y.jpg", "b/\udcff", "b/z"]
    assert records.keys[-1] == "b/z"
    assert records.keys[1:3] == ["a/y.jpg", "b/\udcff"]
    assert records.stamp(0, times=True) != records.stamp(1, times=True)
    assert pickle.loads(pickle.dumps(records)).read_bytes(2) == CONTENTS[2]
    assert len(pickle.dumps(records)) < 1000


def test_the_index_is_a_plain_file_of_tensors(packed):
    tensors = load_file(packed / INDEX)
    assert tensors["offsets"].tolist() == [0, 3, 3, 503, 508]
    assert tensors["labels"].dtype == np.int64
    assert bytes(tensors["key_text"]).startswith(b"b/x.jpga/y.jpg")


def test_a_changed_byte_is_found(packed):
    content = bytearray((packed / IMAGES).read_bytes())
    content[100] ^= 1
    (packed / IMAGES).write_bytes(content)
    records = open_packed(packed)
    assert records.read_bytes(0) == b"one"
    with pytest.raises(DataError, match=r"images.bin: record 2 \(b/.*\) at byte 3 has another checksum than"):
        records.read_bytes(2)


def test_files_that_are_cut_short_or_missing(packed):
    content = (packed / IMAGES).read_bytes()
    (packed / IMAGES).write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"images.bin must have 508 bytes, as its index says, got 507; it is cut short"):
        open_packed(packed)
    (packed / IMAGES).write_bytes(content)
    index = (packed / INDEX).read_bytes()
    (packed / INDEX).write_bytes(index[:-1])
    with pytest.raises(DataError, match=r"index.safetensors has another checksum"):
        open_packed(packed)
    (packed / INDEX).write_bytes(old(index)[:-1])
    with pytest.raises(DataError, match=r"index.safetensors: identity_text must end at byte .*; it is cut short"):
        open_packed(packed)
    for damaged, sentence in {
        index[:4]: "the header at byte 0 needs 8 bytes",
        b"\xff" * 20: "is no index of a packed set",
        struct.pack("<Q", 2) + b"{}": "is no index of a packed set",
        index.replace(b'"version": "2"', b'"version": "7"'): "must be .* version 1 or 2, got .* version '7'; .*update",
        index.replace(b'"labels"', b'"lapels"'): "labels is missing in the index or damaged",
    }.items():
        (packed / INDEX).write_bytes(damaged)
        with pytest.raises(DataError, match=sentence):
            open_packed(packed)
    (packed / INDEX).unlink()
    with pytest.raises(DataError, match=r"cannot read .*index.safetensors: No such file"):
        open_packed(packed)


def old(index):
    """The index as version 1, which has no checksum."""
    return index.replace(b'"version": "2"', b'"version": "1"')


def test_an_index_of_version_1_is_read(packed):
    keys = list(open_packed(packed).keys)
    (packed / INDEX).write_bytes(old((packed / INDEX).read_bytes()))
    assert list(open_packed(packed).keys) == keys


@pytest.mark.parametrize("section", ["labels", "key_text", "key_ends", "identity_text", "identity_ends", "checksums"])
def test_one_changed_byte_of_the_index_is_found(packed, section):
    index = bytearray((packed / INDEX).read_bytes())
    length = struct.unpack("<Q", index[:8])[0]
    index[8 + length + json.loads(index[8 : 8 + length])[section]["data_offsets"][0]] ^= 1
    (packed / INDEX).write_bytes(index)
    with pytest.raises(DataError, match=r"has another checksum \(.*\) than when it was written"):
        open_packed(packed)


def test_ends_of_names_that_lie(packed):
    index = bytearray(old((packed / INDEX).read_bytes()))
    length = struct.unpack("<Q", index[:8])[0]
    begin = 8 + length + json.loads(index[8 : 8 + length])["key_ends"]["data_offsets"][0]
    (packed / INDEX).write_bytes(index[:begin] + struct.pack("<Q", 2**40) + index[begin + 8 :])
    with pytest.raises(DataError, match="key_ends falls to 14 at entry 1; it is damaged"):
        open_packed(packed)


def test_labels_and_places_that_cannot_be(packed):
    index = old((packed / INDEX).read_bytes())
    length = struct.unpack("<Q", index[:8])[0]
    begin = 8 + length + json.loads(index[8 : 8 + length])["labels"]["data_offsets"][0]
    (packed / INDEX).write_bytes(index[:begin] + struct.pack("<q", 2) + index[begin + 8 :])
    with pytest.raises(DataError, match=r"labels must be in 0..1, got 0 to 2"):
        open_packed(packed)
    begin = 8 + length + 8
    (packed / INDEX).write_bytes(index[:begin] + struct.pack("<Q", 600) + index[begin + 8 :])
    with pytest.raises(DataError, match="offsets falls to 3 at entry 2; it is damaged"):
        open_packed(packed)


@given(st.lists(st.text("a\n\u00ef\U0001f642", max_size=5), max_size=20))
def test_any_names(names):
    text = np.frombuffer(b"".join(encode_name(name) for name in names), dtype=np.uint8)
    table = StringTable(text, ends_of(names, len(names)))
    assert list(table) == names == table[:] == [table[place] for place in range(len(names))]
    assert table[::-2] == names[::-2]
