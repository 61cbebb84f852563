"""insightface's layout of RecordIO, against files put together by hand."""

import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_encoded_images import encoded
from test_recordio import part

from angulus.data.formats.rec.heads import pack, unpack
from angulus.data.formats.rec.reader import open_rec
from angulus.data.formats.rec.recordio import MAGIC, encode_record
from angulus.errors import DataError


def image(label, number, content):
    return struct.pack("<IfQQ", 0, label, number, 0) + content


def several(labels, number, content=b""):
    return struct.pack("<IfQQ", len(labels), 0.0, number, 0) + struct.pack(f"<{len(labels)}f", *labels) + content


def write(tmp_path, payloads, *, keys=None, index=True):
    """A .rec of these payloads, with an index of the given keys."""
    path, offset, lines, content = tmp_path / "train.rec", 0, [], b""
    for key, payload in zip(keys or range(len(payloads)), payloads, strict=True):
        lines.append(f"{key}\t{offset}\n")
        content += encode_record(payload)
        offset = len(content)
    path.write_bytes(content)
    path.with_suffix(".idx").unlink(missing_ok=True)
    if index:
        path.with_suffix(".idx").write_text("".join(lines))
    return path


WITH_HEADS = [
    several([4, 6], 0),
    image(10.0, 1, b"one"),
    image(10.0, 2, b"two" + MAGIC * 2),
    image(7.0, 3, b"three" + MAGIC),
    several([1, 3], 4),
    several([3, 4], 5),
]


@pytest.mark.parametrize("index", [True, False])
def test_with_record_0_and_identity_records(tmp_path, index):
    records = open_rec(write(tmp_path, WITH_HEADS, index=index))
    assert [records.read_bytes(row) for row in range(3)] == [b"one", b"two" + MAGIC * 2, b"three" + MAGIC]
    assert records.labels.tolist() == [1, 1, 0]
    assert records.identities == ["0000007", "0000010"]
    assert records.keys == ["00000001", "00000002", "00000003"]
    assert len(open_rec(tmp_path)) == 3


@pytest.mark.parametrize("index", [True, False])
def test_without_record_0(tmp_path, index):
    payloads = [image(1.0, 0, b"a"), several([0.0, 5.0], 1, b"b"), several([2.0], 2, b"c"), image(1.0, 3, b"d")]
    records = open_rec(write(tmp_path, payloads, index=index))
    assert [records.read_bytes(row) for row in range(4)] == [b"a", b"b", b"c", b"d"]
    assert records.labels.tolist() == [1, 0, 2, 1]


def test_lines_of_the_index_in_any_order(tmp_path):
    payloads = [image(1.0, 5, b"five"), image(0.0, 2, b"two"), several([9, 9], 0), image(0.0, 1, b"one")]
    records = open_rec(write(tmp_path, payloads, keys=[5, 2, 0, 1]))
    assert [records.read_bytes(row) for row in range(3)] == [b"one", b"two", b"five"]


def test_identities_that_do_not_divide_the_images_are_not_believed(tmp_path):
    payloads = [*WITH_HEADS[:4], several([1, 3], 4), several([2, 4], 5)]
    assert open_rec(write(tmp_path, payloads)).labels.tolist() == [1, 1, 0]
    payloads = [several([4, 4], 0), *WITH_HEADS[1:4]]
    assert open_rec(write(tmp_path, payloads)).labels.tolist() == [1, 1, 0]


def test_a_label_that_its_identity_does_not_have(tmp_path):
    payloads = [*WITH_HEADS[:2], image(7.0, 2, b"two"), *WITH_HEADS[3:]]
    records = open_rec(write(tmp_path, payloads))
    with pytest.raises(DataError, match=r"record 2 at byte 76 has the label 7, and the identity .* has 10"):
        records.read_bytes(1)


@pytest.mark.parametrize(("label", "shown"), [(0.5, "0.5"), (-1.0, "-1"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_a_label_that_is_no_whole_number(tmp_path, label, shown):
    path = write(tmp_path, [image(1.0, 0, b"a"), image(label, 1, b"b"), image(label, 2, b"c")])
    with pytest.raises(DataError, match=rf"train.rec: the label of record 1 must be a whole number .* got {shown}; so"):
        open_rec(path)


def test_headers_that_are_split_or_too_short(tmp_path):
    word = int.from_bytes(MAGIC, "little")
    split = struct.pack("<IfQQ", 0, 3.0, word, 0) + b"x"
    assert encode_record(split)[4:8] == struct.pack("<I", 1 << 29 | 8)
    records = open_rec(write(tmp_path, [split, image(3.0, 1, b"y")]))
    assert [records.read_bytes(0), records.read_bytes(1)] == [b"x", b"y"]
    with pytest.raises(DataError, match=r"record 1 at byte 36 has 4 bytes, fewer than the 24 of its header"):
        open_rec(write(tmp_path, [image(3.0, 1, b"y"), b"abcd"]))
    with pytest.raises(DataError, match="record 0 at byte 0 has the flag 9, that many labels, but only 25 bytes"):
        open_rec(write(tmp_path, [struct.pack("<IfQQ", 9, 3.0, 0, 0) + b"x"]))


def test_an_index_cut_at_a_line(tmp_path):
    path = write(tmp_path, WITH_HEADS)
    lines = path.with_suffix(".idx").read_text().splitlines(keepends=True)
    path.with_suffix(".idx").write_text("".join(lines[:-2]))
    with pytest.raises(DataError, match=r"lists .* records from byte 0 to .*, and train.rec has more in its .* bytes"):
        open_rec(path)
    path.with_suffix(".idx").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match=r"train\.rec has more"):
        open_rec(path)
    second = lines[1].split("\t")[1]
    path.with_suffix(".idx").write_text("".join(lines) + f"99\t{second}")
    with pytest.raises(DataError, match=r"the records 1 and 99 are both said to be at byte"):
        open_rec(path)


def test_faults_of_files(tmp_path):
    path = write(tmp_path, WITH_HEADS)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"record 5 at byte \d+ needs 32 bytes, and the file ends after 24 of them"):
        open_rec(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"train.idx: record 3 is said to be at byte 120, and its file has 100 bytes"):
        open_rec(path)
    path = write(tmp_path, WITH_HEADS[:1])
    with pytest.raises(DataError, match="none of its 1 records holds an image"):
        open_rec(path)
    path = write(tmp_path, [several([0.5, 6], 0)])
    with pytest.raises(DataError, match=r"two whole numbers, got 0.5 and 6"):
        open_rec(path)
    path.write_bytes(b"")
    path.with_suffix(".idx").unlink()
    with pytest.raises(DataError, match="has no record"):
        open_rec(path)
    path.write_bytes(part(0, image(0.0, 0, b"x")))
    assert len(open_rec(path)) == 1


def test_names_and_keys_beside_it(tmp_path):
    path = write(tmp_path, [image(1.0, 0, b"a"), image(0.0, 1, b"b")])
    path.with_suffix(".names").write_text("Ada\nBob\n")
    path.with_suffix(".lst").write_text("0\t1\tBob/x.jpg\n1\t0\tAda/y.jpg\n")
    records = open_rec(path)
    assert (records.identities, records.keys) == (["Ada", "Bob"], ["Bob/x.jpg", "Ada/y.jpg"])
    path.with_suffix(".lst").write_text("0\t1\tBob/x.jpg\n")
    assert open_rec(path).keys == ["00000000", "00000001"]
    path.with_suffix(".names").write_text("Ada\n")
    with pytest.raises(DataError, match=r"train.names must have one name, each another, for every label up to 1"):
        open_rec(path)


def test_threads_and_copies_read_the_same(tmp_path):
    contents = [encoded(value) for value in range(40)]
    records = open_rec(write(tmp_path, [image(0.0, row, content) for row, content in enumerate(contents)]))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(records.read_bytes, range(40))) == contents
    assert pickle.loads(pickle.dumps(records)).read_bytes(39) == contents[39]
    assert records.stamp(0, times=True) != records.stamp(1, times=True)


def test_payloads():
    assert unpack(pack([3.0], 5, b"x"), "it") == ((3.0,), b"x")
    assert unpack(pack([3.0, 4.0], 5, b""), "it") == ((3.0, 4.0), b"")
    assert pack([3.0], 5, b"x") == image(3.0, 5, b"x")
    assert pack([3.0, 4.0], 5, b"x") == several([3.0, 4.0], 5, b"x")
