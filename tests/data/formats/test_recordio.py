"""The container of MXNet, against bytes written by hand."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angulus.data.formats.byte_ranges import Blob
from angulus.data.formats.rec.recordio import MAGIC, encode_record, read_index, read_record, scan
from angulus.errors import DataError

WORD = 0xCED7230A


def part(flag, payload):
    return struct.pack("<II", WORD, flag << 29 | len(payload)) + payload + bytes(-len(payload) % 4)


def stored(tmp_path, content):
    path = tmp_path / "some.rec"
    path.write_bytes(content)
    return Blob.find(path)


@pytest.mark.parametrize(
    ("payload", "content"),
    [
        (b"", part(0, b"")),
        (b"abcd", part(0, b"abcd")),
        (b"abcde", part(0, b"abcde")),
        (b"abcd" + MAGIC + b"ef", part(1, b"abcd") + part(3, b"ef")),
        (b"abc" + MAGIC + b"e", part(0, b"abc" + MAGIC + b"e")),
        (MAGIC, part(1, b"") + part(3, b"")),
        (MAGIC * 3, part(1, b"") + part(2, b"") + part(2, b"") + part(3, b"")),
        (b"wxyz" + MAGIC * 2 + b"q", part(1, b"wxyz") + part(2, b"") + part(3, b"q")),
        (MAGIC + b"abcdefgh" + MAGIC + b"ijk", part(1, b"") + part(2, b"abcdefgh") + part(3, b"ijk")),
    ],
    ids=["empty", "whole", "padded", "split", "not-aligned", "only-magic", "in-a-row", "two-in-a-row", "three-parts"],
)
@pytest.mark.parametrize("extent", [0, 12, 4096])
def test_every_flag(tmp_path, payload, content, extent):
    assert encode_record(payload) == content
    blob = stored(tmp_path, content + part(0, b"next"))
    assert read_record(blob, 0, name="record 0", extent=extent) == (payload, len(content))
    assert list(scan(blob)) == [0, len(content)]


@given(st.lists(st.sampled_from([MAGIC, b"a", b"bcd", b"\x0a\x23", MAGIC[:3]]), max_size=12).map(b"".join))
def test_any_payload_comes_back(tmp_path_factory, payload):
    blob = stored(tmp_path_factory.getbasetemp(), encode_record(payload))
    assert read_record(blob, 0, name="it") == (payload, blob.size)


def test_a_record_that_is_cut_short(tmp_path):
    whole = part(0, b"first") + part(0, b"secondsecond")
    blob = stored(tmp_path, whole[:-4])
    assert read_record(blob, 0, name="record 0")[0] == b"first"
    with pytest.raises(DataError, match=r"some.rec: record 7 at byte 24 needs 12 bytes, and the file ends after 8"):
        read_record(blob, 16, name="record 7")
    with pytest.raises(DataError, match=r"the record at byte 16 needs 12 bytes, and the file ends after 8 of them"):
        list(scan(blob))
    blob = stored(tmp_path, whole[:20])
    with pytest.raises(DataError, match=r"record 7 at byte 16 needs 8 bytes, and the file ends after 4"):
        read_record(blob, 16, name="record 7")
    blob = stored(tmp_path, part(1, b"abcd"))
    with pytest.raises(DataError, match=r"record 0 at byte 12 needs 8 bytes, and the file ends after 0"):
        read_record(blob, 0, name="record 0")
    with pytest.raises(DataError, match="ends at byte 12 within a record of several parts"):
        list(scan(blob))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not a record", "at byte 0 begins with 6e6f7420 and not with the magic word 0a23d7ce"),
        (part(2, b"abcd"), r"flag 2 at byte 0, where a record begins \(0 or 1\)"),
        (part(3, b"abcd"), "flag 3 at byte 0"),
        (part(5, b"abcd"), "flag 5 at byte 0"),
        (part(1, b"abcd") + part(0, b"efgh"), r"flag 0 at byte 12, where the record goes on \(2 or 3\)"),
        (part(1, b"abcd") + part(1, b"efgh"), "flag 1 at byte 12"),
    ],
)
def test_damaged_parts(tmp_path, content, sentence):
    blob = stored(tmp_path, content)
    with pytest.raises(DataError, match=sentence):
        read_record(blob, 0, name="record 0")
    with pytest.raises(DataError, match=sentence):
        list(scan(blob))


def test_a_file_that_shrinks_or_vanishes(tmp_path):
    blob = stored(tmp_path, part(0, b"x" * 100))
    blob.path.write_bytes(part(0, b"x" * 100)[:50])
    with pytest.raises(DataError, match="the file ends after 50 of them"):
        read_record(blob, 0, name="record 0")
    gone = stored(tmp_path, b"")
    gone.path.unlink()
    with pytest.raises(DataError, match=r"cannot read .*some.rec: No such file"):
        read_record(gone, 0, name="record 0")
    with pytest.raises(DataError, match="No such file"):
        Blob.find(gone.path)
    with pytest.raises(DataError, match="is a folder"):
        Blob.find(tmp_path)


def test_the_index(tmp_path):
    path = tmp_path / "some.idx"
    path.write_text("0\t0\n2\t48\n1\t96\n\n")
    keys, offsets = read_index(path, 100)
    assert (keys.tolist(), offsets.tolist()) == ([0, 2, 1], [0, 48, 96])
    assert keys.dtype == np.int64
    with pytest.raises(DataError, match=r"some.idx: record 1 is said to be at byte 96, and its file has 96 bytes"):
        read_index(path, 96)
    for text, sentence in {
        "0\t0\n1\tx\n": "line 2: must be a key and an offset, got '1.tx'",
        "0\t0\n1\n2\n": "line 2: must be a key",
        "0\t0\n1\t-4\n": "is said to be at byte -4",
        "0\t0\n0\t4\n": "the key 0 stands there twice",
    }.items():
        path.write_text(text)
        with pytest.raises(DataError, match=sentence):
            read_index(path, 100)
