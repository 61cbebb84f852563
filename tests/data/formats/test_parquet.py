"""Parquet as Hugging Face writes image sets."""

import json
import pickle

import pytest

from angulus.data import EncodedSource, convert, open_source
from angulus.data.formats.manifest.reader import open_manifest
from angulus.data.formats.parquet.reader import open_parquet
from angulus.errors import DataError

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = {b"huggingface": json.dumps({"info": {"features": {"label": {"names": ["Ada", "Bob", "Cyd"]}}}})}


def write(path, columns, metadata=None, **more):
    table = arrow.table(columns)
    parquet.write_table(table.replace_schema_metadata(metadata), path, **more)
    return path


def images(*contents):
    return [{"bytes": content, "path": f"{row}.jpg"} for row, content in enumerate(contents)]


def test_the_layout_of_hugging_face(tmp_path):
    columns = {"image": images(b"x", b"y", b"z"), "label": [2, 0, 2]}
    records = open_parquet(write(tmp_path / "a.parquet", columns, NAMES, row_group_size=2))
    assert [records.read_bytes(row) for row in (2, 0, 1)] == [b"z", b"x", b"y"]
    assert records.labels.tolist() == [2, 0, 2]
    assert records.identities == ["Ada", "Bob", "Cyd"]
    assert records.keys == ["0.jpg", "1.jpg", "2.jpg"]
    assert pickle.loads(pickle.dumps(records)).read_bytes(2) == b"z"
    assert len(open_source(tmp_path / "a.parquet")) == 3


def test_other_columns(tmp_path):
    records = open_parquet(write(tmp_path / "a.parquet", {"jpeg": [b"x", b"y"], "identity": ["B", "A"], "age": [1, 2]}))
    assert (records.identities, records.labels.tolist()) == (["A", "B"], [1, 0])
    assert records.keys == ["000000000", "000000001"]
    assert records.read_bytes(1) == b"y"
    write(tmp_path / "b.parquet", {"image": [{"bytes": b"x", "path": None}], "label": [7]})
    records = open_parquet(tmp_path / "b.parquet")
    assert (records.identities, len(records.keys)) == (["0000007"], 1)


def test_a_folder_of_parts(tmp_path):
    source = EncodedSource.of([b"x", b"y"], labels=[0, 1])
    convert(source, tmp_path / "set.parquet")
    part = next((tmp_path / "set.parquet").iterdir())
    about = json.loads(parquet.read_schema(part).metadata[b"huggingface"])
    assert about["info"]["features"]["label"] == {"names": ["0", "1"], "_type": "ClassLabel"}
    assert parquet.read_table(tmp_path / "set.parquet").column("image").to_pylist()[1]["bytes"] == b"y"


@pytest.mark.parametrize(
    ("columns", "metadata", "sentence"),
    [
        (
            {"image": images(b"x"), "label": [1.5]},
            None,
            "label of row 0 must be a whole number from 0 or a name, got 1.5",
        ),
        ({"image": images(b"x", b"y"), "label": [1, None]}, None, "label of row 1 must be a whole number .*, got None"),
        ({"image": images(b"x"), "label": [-1]}, None, "got -1"),
        ({"image": images(b"x"), "label": [3]}, NAMES, "label goes up to 3, and the file has 3 names for it"),
        (
            {"image": images(b"x"), "age": [3]},
            None,
            "must have a column label, labels, identity, class, speaker, speaker_id; it has image",
        ),
        ({"a": [b"x"], "b": [b"x"], "label": [3]}, None, "must have a column image or audio with bytes"),
    ],
)
def test_what_is_not_understood(tmp_path, columns, metadata, sentence):
    with pytest.raises(DataError, match=sentence):
        open_parquet(write(tmp_path / "a.parquet", columns, metadata))


def test_damaged_files(tmp_path):
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
    path = write(tmp_path / "a.parquet", {"image": images(b"x" * 500), "label": [0]}, **plain)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(DataError, match=r"cannot read .*a.parquet as parquet: .*; it is damaged, cut short"):
        open_parquet(path)
    path.write_bytes(whole.replace(b"x" * 9, b"x" * 8 + b"y", 1))
    records = open_parquet(path)
    with pytest.raises(DataError, match=r"cannot read .*a.parquet, row group 0: "):
        records.read_bytes(0)
    write(path, {"image": [{"bytes": b"x", "path": "a"}, {"bytes": None, "path": "b"}], "label": [0, 0]})
    with pytest.raises(DataError, match=r"row 1 \(b\) holds no image, only its path"):
        open_parquet(path).read_bytes(1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file"):
        open_parquet(tmp_path / "empty")


def test_a_manifest_as_parquet(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"x")
    write(tmp_path / "list.parquet", {"path": ["x.jpg"], "identity": ["Ada"], "camera": [3]})
    records = open_manifest(tmp_path / "list.parquet")
    assert (records.read_bytes(0), records.columns) == (b"x", {"camera": ["3"]})
    convert(open_source(tmp_path / "list.parquet"), tmp_path / "again.parquet", to="manifest")
    assert open_manifest(tmp_path / "again.parquet").columns == {"camera": ["3"]}


def test_names_that_are_no_text(tmp_path):
    with pytest.raises(DataError, match="parquet holds names in UTF-8 alone"):
        convert(EncodedSource.of([b"x"], keys=["\udcff"]), tmp_path / "a.parquet")
