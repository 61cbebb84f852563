"""Manifests: tables of images wherever they lie."""

import os

import pytest
from small_sets import write_folder

from angulus.data import FolderSource, convert, open_source
from angulus.data.formats.manifest.reader import open_manifest
from angulus.errors import DataError


def manifest(tmp_path, text):
    path = tmp_path / "list.csv"
    path.write_text(text)
    return path


def test_the_least_that_is_needed(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"x")
    (tmp_path / "y.jpg").write_bytes(b"y")
    text = f'\ufeffpath,identity,camera\nx.jpg,Cyd,3\n\n{tmp_path}/y.jpg,"Ada, of ""A""",1\n'
    records = open_manifest(manifest(tmp_path, text))
    assert [records.read_bytes(row) for row in range(2)] == [b"x", b"y"]
    assert records.identities == ['Ada, of "A"', "Cyd"]
    assert records.labels.tolist() == [1, 0]
    assert records.keys == ["x.jpg", f"{tmp_path}/y.jpg"]
    assert records.columns == {"camera": ["3", "1"]}
    assert records.stamp(0, times=True) != records.stamp(0, times=False)


def test_labels_and_keys(tmp_path):
    records = open_manifest(manifest(tmp_path, "path,label,key,identity\na,7,k,Zoe\nb,2,l,Ada\n"))
    assert (records.identities, records.labels.tolist(), records.keys) == (["Ada", "Zoe"], [1, 0], ["k", "l"])
    assert open_manifest(manifest(tmp_path, "path,label\na,7\nb,2\n")).identities == ["0000002", "0000007"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,label\na,x7\n", r"list.csv, line 2: the label must be a whole number from 0, got 'x7'"),
        ("path,label\na,1\nb,1.5\n", r"line 3: the label must be a whole number from 0, got '1.5'"),
        ("path,age\na,1\n", "must have the columns path and identity .*; it has path, age"),
        ("", "must have the columns path and identity"),
        ("path,identity\n", "lists no example"),
        ("path,identity\na,b,c\n", "line 2: must have 2 columns, got 3"),
        ("path,identity\na,\n", "line 2: identity must not be empty"),
        ("path,path,identity\na,b,c\n", "two columns have one name"),
        ("path,identity\na,b\na,c\n", "two examples have the key 'a'"),
        ('path,identity\n"a,b\n', "cannot read the manifest"),
        ("path,identity,label\na,A,1\nb,B,1\n", "the label 1 stands for 'A' and for 'B'"),
        ("path,identity,label\na,A,1\nb,A,2\n", "'A' has two labels; an identity must have one"),
    ],
)
def test_what_is_not_understood(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        open_manifest(manifest(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    records = open_manifest(manifest(tmp_path, "path,identity\ngone.jpg,Ada\n"))
    with pytest.raises(DataError, match=r"cannot read .*gone.jpg, which example 0 of .*list.csv names: No such file"):
        records.read_bytes(0)
    with pytest.raises(DataError, match=r"no manifest at .*none.csv: the file does not exist"):
        open_manifest(tmp_path / "none.csv")


def test_files_stay_where_they_are(tmp_path):
    folder = write_folder(tmp_path / "people", {"Ada": 2})
    convert(FolderSource.open(folder), tmp_path / "lists" / "all.csv")
    assert [path.name for path in (tmp_path / "lists").iterdir()] == ["all.csv"]
    assert "../people/Ada/0000.png,Ada,0,Ada/0000.png" in (tmp_path / "lists" / "all.csv").read_text()
    assert open_source(tmp_path / "lists" / "all.csv").keys == ["Ada/0000.png", "Ada/0001.png"]


def test_a_name_that_is_not_utf8_is_refused_in_one_sentence(tmp_path):
    """The table is text; who reads it must find the names of the files in it."""
    folder = write_folder(tmp_path / "people", {"Ada": 1, "Bob": 1})
    (folder / "Ada" / "0000.png").rename(folder / "Ada" / os.fsdecode(b"l\xe9.png"))
    for name in ("all.csv", "all.parquet"):
        with pytest.raises(DataError, match=r"names in UTF-8 alone, .*l.*xe9|udce9.*rename it, or convert to packed"):
            convert(FolderSource.open(folder), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["people"]
    assert convert(FolderSource.open(folder), tmp_path / "all.packed").images == 2


def test_links_that_lead_upwards_hold_nobody(tmp_path):
    folder = write_folder(tmp_path / "people", {"Ada": 1, "Bob": 1})
    for name, target in (("plain", ".."), ("same", "."), ("Ada/up", ".."), ("Ada/me", "../Ada")):
        (folder / name).symlink_to(target, target_is_directory=True)
    assert FolderSource.open(folder).keys == ["Ada/0000.png", "Bob/0000.png"]
