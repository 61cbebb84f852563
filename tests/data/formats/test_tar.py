"""Tar shards, those of others included."""

import io
import tarfile

import pytest

from angulus.data import EncodedSource, convert, open_source
from angulus.data.formats.tar import open_tar
from angulus.errors import DataError

JPEG = b"\xff\xd8\xffimage"


def archive(path, files, mode="w"):
    with tarfile.open(path, mode) as opened:
        for name, content in files.items():
            head = tarfile.TarInfo(name)
            head.size = len(content)
            opened.addfile(head, io.BytesIO(content))
    return path


def test_labels_as_numbers(tmp_path):
    files = {"a.cls": b"12\n", "a.jpg": JPEG, "b.png": b"second", "b.cls": b"3", "notes": b"x", "c.txt": b"x"}
    records = open_tar(archive(tmp_path / "some.tar", files))
    assert [records.read_bytes(row) for row in range(2)] == [JPEG, b"second"]
    assert records.labels.tolist() == [1, 0]
    assert records.identities == ["0000003", "0000012"]
    assert records.keys == ["a.jpg", "b.png"]
    assert records.stamp(0, times=True) != records.stamp(0, times=False)


def test_names_and_folders(tmp_path):
    records = open_tar(archive(tmp_path / "a.tar", {"1.jpg": b"x", "1.json": b'{"identity": "Ada", "more": 1}'}))
    assert (records.identities, records.keys) == (["Ada"], ["1.jpg"])
    records = open_tar(archive(tmp_path / "b.tar", {"Bob/1.jpg": b"x", "Ada/1.seg.png": b"y"}))
    assert (records.identities, records.labels.tolist()) == (["Ada", "Bob"], [1, 0])
    records = open_tar(archive(tmp_path / "c.tar", {"1.jpg": b"x", "1.json": b'{"label": 5}'}))
    assert records.identities == ["0000005"]


@pytest.mark.parametrize("key", ["id2/video/1.wav", "id2-video-1"])
def test_shards_with_a_name_for_each_speaker(tmp_path, key):
    """As wespeaker writes them: whatever its key, an example's files are the key and what each is."""
    files = {}
    for speaker in ("id2", "id1"):
        own = key.replace("id2", speaker)
        files |= {f"{own}.wav": b"RIFF", f"{own}.spk": speaker.encode(), f"{own}.txt": b"said"}
    records = open_tar(archive(tmp_path / "a.tar", files))
    assert (records.identities, records.labels.tolist()) == (["id1", "id2"], [1, 0])
    assert records.keys == [key if key.endswith(".wav") else f"{key}.wav", *records.keys[1:]]


def test_several_archives_and_long_names(tmp_path):
    (tmp_path / "shards").mkdir()
    archive(tmp_path / "shards" / "1.tar", {f"{'n' * 150}.jpg": b"y", f"{'n' * 150}.cls": b"1"})
    archive(tmp_path / "shards" / "0.tar", {"a.jpg": b"x", "a.cls": b"0"})
    source = open_source(tmp_path / "shards")
    assert [source.read_bytes(row) for row in range(2)] == [b"x", b"y"]
    assert source.keys == ["a.jpg", f"{'n' * 150}.jpg"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.jpg": b"x", "a.cls": b"seven"}, "a.cls: the label must be a whole number from 0, got 'seven'"),
        ({"a.jpg": b"x", "a.cls": b"-1"}, "got '-1'"),
        ({"a.jpg": b"x", "a.json": b'{"label": 1.5}'}, "a.json: the label must be a whole number from 0, got '1.5'"),
        ({"a.jpg": b"x"}, r"a has no label; expected a.cls with a number, a.json with .identity., or a folder"),
        ({"a.jpg": b"x", "a.cls": b"1", "b.jpg": b"x"}, r"b has no label \(.cls\), unlike the examples before it"),
        ({"a.jpg": b"x", "a.png": b"x"}, "a has two examples, a.jpg and a.png"),
        ({"a.jpg": b"x", "a.json": b"{"}, "a.json is no JSON"),
        ({"a.txt": b"x"}, "holds no image and no recording; expected the layout"),
        (
            {"a.jpg": b"x", "a.cls": b"1", "a.json": b'{"identity": "A"}', "b.jpg": b"", "b.cls": b"1"}
            | {"b.json": b'{"identity": "B"}'},
            r"the label 1 stands for 'A' and for 'B' \(example 1\); a label must have one name",
        ),
        (
            {"a.jpg": b"x", "a.cls": b"1", "a.json": b'{"key": "k"}', "b.jpg": b"", "b.cls": b"1"}
            | {"b.json": b'{"key": "k"}'},
            "two examples have the key 'k'",
        ),
    ],
)
def test_what_is_not_understood(tmp_path, files, sentence):
    with pytest.raises(DataError, match=sentence):
        open_tar(archive(tmp_path / "some.tar", files))


def test_damaged_archives(tmp_path, caplog):
    files = {"a.jpg": b"x" * 2000, "a.cls": b"1"}
    path = archive(tmp_path / "some.tar", files)
    whole = path.read_bytes()
    path.write_bytes(whole[:1500])
    with pytest.raises(DataError, match=r"cannot read .*some.tar as a plain tar archive: .*copy it again"):
        open_tar(path)
    path.write_bytes(whole[: 512 + 2048 + 1024])
    assert len(open_tar(path)) == 1
    assert "without the mark of its end after a.cls" in caplog.text
    with pytest.raises(DataError, match="unpack it first if it is compressed"):
        open_tar(archive(tmp_path / "z.tar", files, "w:gz"))
    with pytest.raises(DataError, match="No such file"):
        open_tar(tmp_path / "none.tar")
    records = open_tar(path)
    path.write_bytes(whole[:1000])
    with pytest.raises(DataError, match=r"some.tar: a.jpg at byte 512 needs 2,000 bytes, and the file ends after 488"):
        records.read_bytes(0)


def test_an_archive_that_is_cut_or_damaged_in_the_middle(tmp_path):
    source = EncodedSource.of([b"\xff\xd8\xffa" * 200, b"\xff\xd8\xffb" * 200], labels=[0, 1], identities=["A", "B"])
    convert(source, tmp_path / "set.tar")
    content = (tmp_path / "set.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(content[:700])
    with pytest.raises(DataError, match="cut short"):
        open_tar(tmp_path / "cut.tar")
    second = content.index(b"000000001.jpg")
    (tmp_path / "damaged.tar").write_bytes(content[:second] + b"\xff" * 200 + content[second + 200 :])
    with pytest.raises(DataError, match=r"there is neither a member nor the end|cannot read"):
        open_tar(tmp_path / "damaged.tar")
