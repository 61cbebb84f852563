"""Archives and tables as others make them: dots in names, shards with equal keys, parts of a hub, equal base names."""

import io
import tarfile

import pytest

from angulus.data import open_source
from angulus.data.formats.parquet.reader import import_arrow, open_parquet
from angulus.data.formats.tar import open_tar
from angulus.errors import DataError

pytest.importorskip("pyarrow")


def archive(path, files):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as opened:
        for name, content in files.items():
            head = tarfile.TarInfo(name)
            head.size = len(content)
            opened.addfile(head, io.BytesIO(content))
    return path


def table(path, paths, labels):
    arrow = import_arrow()
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": f"{path.name}{row}".encode(), "path": name} for row, name in enumerate(paths)]
    arrow.parquet.write_table(arrow.table({"image": images, "label": labels}), path)
    return path


def test_a_name_with_dots_ends_at_the_last_where_folders_are_the_identities(tmp_path):
    names = ["C._D._E/C._D._E_0001.jpg", "C._D._E/C._D._E_0002.jpg", "Ann/Ann_0001.jpg"]
    for around in ("", "people/"):
        records = open_tar(archive(tmp_path / "a.tar", {f"{around}{name}": b"x" for name in names}))
        assert records.identities == ["Ann", "C._D._E"]
        assert records.keys == names


def test_numbers_with_dots_keep_their_labels(tmp_path):
    files = {"22.00.png": b"x", "22.00.cls": b"0", "22.01.png": b"y", "22.01.cls": b"1"}
    records = open_tar(archive(tmp_path / "a.tar", files))
    assert (records.keys, records.labels.tolist()) == (["22.00.png", "22.01.png"], [0, 1])


@pytest.mark.parametrize(
    "files",
    [
        {"0.img.jpg": b"x", "0.mask.jpg": b"y", "0.cls": b"0"},
        {"0.img.jpg": b"x", "0.mask.jpg": b"y"},
        {"a.jpg": b"x", "a.png": b"x"},
    ],
)
def test_two_images_of_one_example_stay_refused(tmp_path, files):
    with pytest.raises(DataError, match="has two examples"):
        open_tar(archive(tmp_path / "a.tar", files))


def test_a_key_of_two_shards_gets_the_name_of_its_shard(tmp_path):
    archive(tmp_path / "shards" / "0.tar", {"000.jpg": b"a", "000.cls": b"0", "009.jpg": b"c", "009.cls": b"1"})
    archive(tmp_path / "shards" / "1.tar", {"000.jpg": b"b", "000.cls": b"1"})
    source = open_source(tmp_path / "shards")
    assert list(source.keys) == ["0/000.jpg", "009.jpg", "1/000.jpg"]
    assert [source.read_bytes(row) for row in range(3)] == [b"a", b"c", b"b"]


@pytest.mark.parametrize("paths", [["1.jpg", "2.jpg", "1.jpg"], [None, "a", "b"], [None] * 3])
def test_equal_or_missing_paths_are_numbered(tmp_path, paths):
    records = open_parquet(table(tmp_path / "a.parquet", paths, [0, 0, 1]))
    assert records.keys == ["0000000", "0000001", "0000002"]


def test_the_parts_of_a_hub_are_found_named_and_joined_when_asked(tmp_path):
    table(tmp_path / "hub" / "data" / "train-00000-of-00002.parquet", ["a"], [0])
    table(tmp_path / "hub" / "data" / "train-00001-of-00002.parquet", ["b"], [1])
    assert list(open_source(tmp_path / "hub").keys) == ["a", "b"]
    table(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet", ["c"], [0])
    for path in (tmp_path / "hub", tmp_path / "hub" / "data"):
        with pytest.raises(DataError, match=r"holds the parts test \(1\), train \(2\): name one of them as '.*train\*"):
            open_source(path)
    assert list(open_source(tmp_path / "hub" / "data" / "train*.parquet").keys) == ["a", "b"]
    assert list(open_source(tmp_path / "hub" / "data" / "*.parquet").keys) == ["c", "a", "b"]
    with pytest.raises(DataError, match="no file is called"):
        open_source(tmp_path / "hub" / "data" / "dev*.parquet")


def test_parts_that_are_numbers_alone_are_one_set(tmp_path):
    for number in range(2):
        table(tmp_path / "set" / f"{number:04d}.parquet", [f"{number}.jpg"], [number])
    assert list(open_source(tmp_path / "set").keys) == ["0.jpg", "1.jpg"]


def test_the_row_without_a_name_is_named(tmp_path):
    with pytest.raises(DataError, match="label of row 1 must be the name of an identity, got None"):
        open_parquet(table(tmp_path / "a.parquet", ["a", "b", "c"], ["Zoe", None, "Ann"]))
