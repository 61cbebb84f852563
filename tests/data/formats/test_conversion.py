"""Between layouts: nothing changed, nothing half-written, whatever happens in between."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_data import SHARED, needs_shared
from small_sets import array_source, picture, write_folder

import angulus.data.formats.conversion as conversion
from angulus.cli import main
from angulus.data import EncodedSource, FolderSource, SyntheticFaces, bytes_of, convert, open_source, select
from angulus.data.formats.catalogue import LAYOUTS
from angulus.data.formats.output import Appended
from angulus.data.formats.rec.writer import RecWriter
from angulus.data.formats.staging import Unfinished, begun
from angulus.errors import DataError

NAMES = {
    "folder": "copy",
    "rec": "copy.rec",
    "tar": "copy.tar",
    "parquet": "copy.parquet",
    "packed": "copy.packed",
    "manifest": "copy.csv",
}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(conversion, "_MOST_RECORDS", 3)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a test does not outlive the machine


@pytest.fixture
def people(tmp_path):
    folder = write_folder(tmp_path / "people", {"Ada": 4, "Bob b": 1, "Cyd": 5})
    Image.fromarray(picture(9)).save(folder / "Cyd" / "a.b.JPG", format="JPEG")
    return folder


def needs(layout):
    if layout == "parquet":
        pytest.importorskip("pyarrow")


def content(source):
    return [
        (key, source.identities[label], bytes_of(source, row))
        for row, (key, label) in enumerate(zip(source.keys, source.labels, strict=True))
    ]


def same(left, right):
    return content(left) == content(right) and list(left.identities) == list(right.identities)


@pytest.mark.parametrize("after", NAMES)
@pytest.mark.parametrize("before", NAMES)
def test_between_any_two(tmp_path, people, before, after):
    needs(before)
    needs(after)
    source = FolderSource.open(people)
    first, second = tmp_path / "first" / NAMES[before], tmp_path / "second" / NAMES[after]
    convert(source, first)
    done = convert(open_source(first), second)
    assert (done.images, done.identities, done.taken_over, done.layout) == (11, 3, 0, after)
    assert done.bytes == sum(path.stat().st_size for path in people.rglob("*.*"))
    opened = open_source(second)
    assert same(opened, source)
    assert opened.labels.dtype == np.int64
    assert np.array_equal(opened.read(10), source.read(10))
    assert not list(second.parent.glob(".*"))


@needs_shared
def test_real_images_go_all_the_way_round(tmp_path):
    pytest.importorskip("pyarrow")
    whole = FolderSource.open(SHARED / "lfw112")
    source = select(whole, np.arange(400))
    for name in ("train.rec", "some.tar", "some.parquet", "some.packed", "back"):
        convert(source, tmp_path / name)
        source = open_source(tmp_path / name)
    assert same(source, select(whole, np.arange(400)))


@pytest.mark.parametrize("layout", NAMES)
def test_an_order_that_is_not_that_of_the_names(tmp_path, layout):
    needs(layout)
    images = [bytes([255, 216, 255, number]) for number in range(7)]
    labels = [2, 0, 2, 1, 0, 2, 1]
    names = ["Zoe", "Ada", "Moe"]
    source = EncodedSource.of(images, labels=labels, identities=names, keys=[f"k{row}" for row in range(7)])
    convert(source, tmp_path / NAMES[layout])
    opened = open_source(tmp_path / NAMES[layout])
    if layout == "folder":  # lists by name
        assert opened.identities == ["Ada", "Moe", "Zoe"]
        assert {(key, name) for key, name, _ in content(opened)} == {
            (f"{names[label]}/k{row}.jpg", names[label]) for row, label in enumerate(labels)
        }
        assert sorted(image for _, _, image in content(opened)) == images
    else:
        assert same(opened, source)
        assert opened.labels.tolist() == labels


def test_images_that_were_never_encoded(tmp_path):
    faces = SyntheticFaces(num_identities=2, images_per_identity=2, height=16, width=16)
    convert(faces, tmp_path / "drawn.packed")
    assert np.array_equal(open_source(tmp_path / "drawn.packed").read(3), faces.read(3))
    source = array_source([2, 1])
    convert(source, tmp_path / "drawn")
    assert np.array_equal(open_source(tmp_path / "drawn").read(2), source.read(2))


def test_identities_without_an_image_are_left_out(tmp_path, caplog):
    source = EncodedSource.of([b"x", b"y"], labels=[2, 0], identities=["a", "b", "c"])
    convert(source, tmp_path / "set.packed")
    assert list(open_source(tmp_path / "set.packed").identities) == ["a", "c"]
    assert "1 identities without an image" in caplog.text


def test_names_that_a_layout_cannot_hold(tmp_path):
    for name in ("a/b", "..", ".hidden", "", "x" * 256):
        source = EncodedSource.of([b"x"], labels=[0], identities=[name], keys=["k"])
        with pytest.raises(DataError, match=r"cannot be the name of a folder .* packed"):
            convert(source, tmp_path / "folder")
        assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"no key with a tab or a line break, or none, got 'a.tb'"):
        convert(EncodedSource.of([b"x"], keys=["a\tb"]), tmp_path / "a.rec")


def test_keys_never_lead_out_of_the_folder(tmp_path):
    keys = ["../../x.jpg", "/etc/y.jpg", "p/../z.jpg", "p/.jpg", "x" * 300, "a/b", "a_b", "__MACOSX.jpg"]
    source = EncodedSource.of([bytes([n]) for n in range(8)], labels=[0] * 8, identities=["p"], keys=keys)
    convert(source, tmp_path / "out")
    assert sorted(bytes_of(open_source(tmp_path / "out"), row) for row in range(8)) == [bytes([n]) for n in range(8)]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert all(path.parent.name == "p" for path in (tmp_path / "out").rglob("*.jpg"))


class Killed(BaseException):
    """Stands for the end of the process: nothing is tidied up."""


def fail_at(monkeypatch, owner, name, call, *, after, error=Killed):
    """The given call of a method does its work first (after) or not at all, and then raises."""
    original, calls = getattr(owner, name), []

    def failing(*arguments, **named):
        calls.append(name)
        if len(calls) == call and not after:
            raise error
        result = original(*arguments, **named)
        if len(calls) == call:
            raise error
        return result

    monkeypatch.setattr(owner, name, failing)


@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ((Unfinished, "note", 2, False), 3),
        ((Unfinished, "note", 2, True), 6),
        ((conversion, "_verify", 1, False), 11),
        ((conversion, "_verify", 1, True), 11),
        ((Unfinished, "move", 1, False), 11),
        ((Unfinished, "finish_moving", 1, False), 11),
    ],
    ids=["written", "noted", "finished", "verified", "before-moving", "moving"],
)
def test_a_kill_loses_nothing(tmp_path, people, monkeypatch, layout, place, kept):
    needs(layout)
    source, target = FolderSource.open(people), tmp_path / "out" / NAMES[layout]
    owner, name, call, after = place
    with monkeypatch.context() as patch:
        fail_at(patch, owner, name, call, after=after)
        with pytest.raises(Killed):
            convert(source, target)
    assert [path.name for path in target.parent.iterdir()] == [f".{target.name}.converting"]
    done = convert(source, target)
    assert done.taken_over == kept
    assert same(open_source(target), source)
    assert not list(target.parent.glob(".*"))
    untouched = tmp_path / "untouched" / target.name
    convert(source, untouched)
    for path in untouched.parent.rglob("*"):
        other = target.parent / path.relative_to(untouched.parent)
        assert path.is_dir() or layout == "parquet" or path.read_bytes() == other.read_bytes()


def test_a_kill_between_two_moves(tmp_path, people, monkeypatch):
    source, target = FolderSource.open(people), tmp_path / "out" / "copy.rec"
    with monkeypatch.context() as patch:
        fail_at(patch, Path, "replace", 5, after=False)  # about.json and three of five
        with pytest.raises(Killed):
            convert(source, target)
    assert (target.parent / "copy.idx").exists()
    assert not target.exists()
    convert(source, target)
    assert same(open_source(target), source)


def test_a_real_kill(tmp_path, people):
    code = (
        "import os, signal, sys; import angulus.data.formats.conversion as c; from angulus.data import open_source;"
        "from angulus.data.formats.staging import Unfinished; c._MOST_RECORDS = 2; n = Unfinished.note\n"
        "def note(*a):\n n(*a)\n if len(a[0].read_journal()) >= 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Unfinished.note = note; c.convert(open_source(sys.argv[1]), sys.argv[2])"
    )
    target = tmp_path / "copy.tar"
    finished = subprocess.run([sys.executable, "-c", code, people, target], check=False)
    assert finished.returncode == -signal.SIGKILL
    assert not target.exists()
    assert convert(FolderSource.open(people), target).taken_over == 6
    assert same(open_source(target), FolderSource.open(people))


@pytest.mark.parametrize("layout", NAMES)
def test_a_full_disk(tmp_path, people, monkeypatch, layout):
    needs(layout)
    source, target = FolderSource.open(people), tmp_path / "out" / NAMES[layout]
    full = OSError(errno.ENOSPC, "No space left on device")
    work = Unfinished(target=target, folder=_result(tmp_path / "w"))
    writer = type(LAYOUTS[layout].writer(work.result, target.name, source, target.parent))
    with monkeypatch.context() as patch:
        fail_at(patch, writer, "write", 3, after=True, error=full)
        with pytest.raises(DataError, match=r"the disk is full. Nothing was put in its place; what .* kept in .*on"):
            convert(source, target)
    assert not target.exists()
    assert convert(source, target).taken_over == 6
    assert same(open_source(target), source)


def _result(folder):
    (folder / "result").mkdir(parents=True)
    return folder


def test_half_a_piece_on_the_disk_is_written_anew(tmp_path, people, monkeypatch):
    source, target = FolderSource.open(people), tmp_path / "copy.rec"

    def half(self, pieces):
        self._file.write(b"".join(pieces)[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Appended, "append", half)
        with pytest.raises(DataError, match="the disk is full"):
            convert(source, target)
    convert(source, target)
    assert same(open_source(target), source)


def test_two_processes(tmp_path, people):
    target = tmp_path / "copy.tar"
    with begun(target), pytest.raises(DataError, match=r"another process is converting into .*copy.tar; wait"):
        convert(FolderSource.open(people), target)
    convert(FolderSource.open(people), target)
    before = target.read_bytes()
    with pytest.raises(DataError, match=r"copy.tar exists already; remove it, or name another target"):
        convert(FolderSource.open(people), target)
    assert target.read_bytes() == before


def test_what_lies_beside_is_not_overwritten(tmp_path, people, caplog):
    (tmp_path / "copy.idx").write_text("mine")
    (tmp_path / "property").write_text("also mine")
    with pytest.raises(DataError, match=r"copy.idx exists already"):
        convert(FolderSource.open(people), tmp_path / "copy.rec")
    assert not list(tmp_path.glob(".*"))
    convert(FolderSource.open(people), tmp_path / "train.rec")
    assert (tmp_path / "property").read_text() == "also mine"
    assert "left as it is" in caplog.text
    (tmp_path / "empty").mkdir()
    convert(FolderSource.open(people), tmp_path / "empty")
    assert len(open_source(tmp_path / "empty")) == 11


def test_data_that_changed_in_between(tmp_path, people, monkeypatch):
    target = tmp_path / "copy.tar"
    with monkeypatch.context() as patch:
        fail_at(patch, Unfinished, "note", 2, after=True)
        with pytest.raises(Killed):
            convert(FolderSource.open(people), target)
    os.utime(people / "Ada" / "0000.png", (1, 1))
    with pytest.raises(DataError, match=r"begun from other data, or from data that has changed, .* remove that folder"):
        convert(FolderSource.open(people), target)
    with pytest.raises(DataError, match="remove that folder"):
        convert(FolderSource.open(people), target, to="packed")
    shutil.rmtree(tmp_path / ".copy.tar.converting")
    convert(FolderSource.open(people), target)


def test_a_file_that_vanishes_between_listing_and_reading(tmp_path, people):
    source, target = FolderSource.open(people), tmp_path / "copy.packed"
    convert(source, tmp_path / "list.csv")
    listed = open_source(tmp_path / "list.csv")
    (people / "Cyd" / "0003.png").unlink()
    with pytest.raises(DataError, match=r"Cyd/0003.png: No such file"):
        convert(source, target)
    with pytest.raises(DataError, match=r"Cyd/0003.png, named by .*list.csv: No such file"):
        convert(listed, target)
    with pytest.raises(DataError, match=r"cannot read .*0003.png: No such file or directory; it was there when"):
        source.read_bytes(8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.csv", "people"]


def test_bytes_that_change_on_the_way_are_found(tmp_path, people, monkeypatch):
    original = RecWriter.write
    monkeypatch.setattr(RecWriter, "write", lambda self, first, images: original(self, first, [b"?", *images[1:]]))
    with pytest.raises(DataError, match=r"record 0 \(Ada/0000.png\) of copy.rec is not read back as it was read"):
        convert(FolderSource.open(people), tmp_path / "copy.rec")
    assert not (tmp_path / "copy.rec").exists()


def test_the_command(tmp_path, people, capsys):
    assert main(["convert", str(people), str(tmp_path / "copy.rec"), "--json", str(tmp_path / "done.json")]) == 0
    assert "11 images of 3 identities" in capsys.readouterr().out
    assert json.loads((tmp_path / "done.json").read_text())["layout"] == "rec"
    assert main(["convert", str(tmp_path / "copy.rec"), str(tmp_path / "back.x"), "--to", "folder", "--quiet"]) == 0
    assert same(open_source(tmp_path / "back.x"), FolderSource.open(people))
    assert main(["convert", str(tmp_path / "copy.rec"), str(tmp_path / "back.x")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "none"), str(tmp_path / "x.tar")]) == 2
    assert "there is no data at" in capsys.readouterr().err
