"""Files of strangers, damaged files and copies: refused with a sentence, or made good from the stored people."""

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from gallery_people import crowd, nearest, person, units

from angulus.errors import GalleryError
from angulus.gallery import open_engine
from angulus.gallery.engines import everybody
from angulus.gallery.folder.row_matrix import HEADER, MappedMatrix
from angulus.gallery.folder.sqlite_engine import MATRIX
from angulus.gallery.folder.sqlite_file import FILE


@pytest.fixture
def people():
    return crowd(30)


@pytest.fixture
def folder(tmp_path, people):
    with open_engine(tmp_path / "g", create=True, dim=32) as engine:
        engine.put_many(people)
        engine.search(units(1), 1)
    return tmp_path / "g"


def change(folder: Path, *statements: str) -> None:
    link = sqlite3.connect(folder / FILE)
    with link:
        for statement in statements:
            link.execute(statement)
    link.close()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON people BEGIN DELETE FROM photos; END", "other tables, views or triggers"),
        ("CREATE VIEW v AS SELECT load_extension('x')", "other tables, views or triggers"),
        ("CREATE TABLE more (x)", "other tables, views or triggers"),
        ("CREATE INDEX i ON people (abs(row))", "other tables, views or triggers"),
        ("DROP TABLE holes", "other tables, views or triggers"),
        ("PRAGMA user_version=2", "must be a gallery of format 1, and is of 2"),
        ("PRAGMA application_id=7", "something else"),
        ("DELETE FROM facts", "does not say what its vectors are"),
        ("UPDATE facts SET value=CAST('0' AS BLOB) WHERE name='.dim'", "does not say what its vectors are"),
        ("UPDATE facts SET value=CAST('1e9' AS BLOB) WHERE name='.dim'", "does not say what its vectors are"),
        ("DELETE FROM changes", "which change is its last"),
    ],
)
def test_other_databases_are_refused(folder, statement, says) -> None:
    change(folder, statement)
    with pytest.raises(GalleryError, match=says):
        open_engine(folder)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE templates SET content=zeroblob(64)", "must have length 1"),
        ("UPDATE templates SET content=zeroblob(1000000) WHERE row=3", "must have 64 bytes, got 1000000"),
        ("UPDATE templates SET content=randomblob(65)", "must have 64 bytes, got 65"),
        ("UPDATE templates SET row=9000000000000 WHERE row=3", "claims 9,000,000,000,000 rows"),
    ],
)
def test_other_vectors_are_refused(folder, statement, says) -> None:
    change(folder, "PRAGMA foreign_keys=OFF", statement)
    (folder / MATRIX).unlink()
    with pytest.raises(GalleryError, match=says):
        open_engine(folder)


def test_rows_below_the_first_are_refused(folder) -> None:
    change(folder, "UPDATE people SET row=-5 WHERE row=3", "UPDATE templates SET row=-5 WHERE row=3")
    (folder / MATRIX).unlink()
    with pytest.raises(GalleryError, match="rows of people must be 1"):
        open_engine(folder)


def test_names_that_nobody_could_enrol_are_not_given_out(folder) -> None:
    change(folder, "UPDATE people SET name=CAST('x' || char(27) || '[2J' AS BLOB)")
    with open_engine(folder) as engine, pytest.raises(GalleryError, match="no control or invisible characters"):
        engine.search(units(1), 1)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_refused(folder, content) -> None:
    (folder / FILE).write_bytes(content)
    with pytest.raises(GalleryError):
        open_engine(folder)


def test_damaged_pages_are_told_of(folder) -> None:
    content = bytearray((folder / FILE).read_bytes())
    content[4096:] = np.random.default_rng(0).bytes(len(content) - 4096)
    (folder / FILE).write_bytes(content)
    with pytest.raises(GalleryError):
        open_engine(folder)


def test_places_without_a_gallery(tmp_path) -> None:
    with pytest.raises(GalleryError, match="there is no gallery in"):
        open_engine(tmp_path / "none")
    with pytest.raises(GalleryError, match="must be told its dimensions"):
        open_engine(tmp_path, create=True)
    with pytest.raises(GalleryError, match="1 to 8192 dimensions, got 0"):
        open_engine(tmp_path, create=True, dim=0)
    with pytest.raises(GalleryError, match="search must be"):
        open_engine(tmp_path, create=True, dim=8, search="annoy")
    with pytest.raises(GalleryError, match="a gallery is a folder"):
        open_engine("mysql://x/y")
    with pytest.raises(GalleryError, match="key must not be given"):
        open_engine("postgresql://nobody@localhost/x", key=bytes(32))
    (tmp_path / "file").write_text("x")
    with pytest.raises(GalleryError, match="cannot be made"):
        open_engine(tmp_path / "file", create=True, dim=8)


@pytest.mark.parametrize("place", ["", " "])
def test_the_current_folder_is_not_filled_by_mistake(tmp_path, monkeypatch, place) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GalleryError, match="a gallery must have a place"):
        open_engine(place, create=True, dim=8)
    assert not list(tmp_path.iterdir())


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("log", [True, False])
def test_a_gallery_that_cannot_be_written_is_read(folder, people, tmp_path, monkeypatch, log) -> None:
    if log:  # a copy of a gallery in use: the last change is in its log alone
        with open_engine(folder) as engine:
            people.append(person("new", units(1, seed=77)))
            engine.put(people[-1])
            folder = Path(shutil.copytree(folder, tmp_path / "copy"))
    before = files_in(folder)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with open_engine(folder) as engine:
        agree(engine, people)
        assert sorted(one.name for one in everybody(engine)) == sorted(one.name for one in people)
        for change in (engine.compact, lambda: engine.drop(people[0].id), lambda: engine.set_facts({"a": 1})):
            with pytest.raises(GalleryError, match="must be writable to be changed"):
                change()
    after = files_in(folder)
    for name in ("gallery.db", "gallery.matrix", "gallery.lock"):
        assert after[name] == before[name]
    assert set(after) == set(before)


def test_a_gallery_is_not_made_twice(folder) -> None:
    with pytest.raises(GalleryError, match="holds a gallery already"):
        open_engine(folder, create=True, dim=32)


def agree(engine, people) -> None:
    hits = engine.search(np.stack([each.template for each in people]), 3)
    for each, mine in zip(people, hits, strict=True):
        assert [hit.name for hit in mine] == [name for name, _ in nearest(people, each.template)[:3]]


def _shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def _garbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _rows(fill):
    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[:HEADER] + fill(content[HEADER:]))

    return damage


_ROW = 4 + 2 * 32
_ROWS = (
    _rows(lambda rows: bytes(len(rows))),
    _rows(lambda rows: b"\xff" * len(rows)),
    _rows(lambda rows: rows[:_ROW] + bytes(4) + rows[_ROW + 4 :]),
    _rows(lambda rows: rows[:10] + bytes([rows[10] ^ 64]) + rows[11:]),
    _rows(lambda rows: rows[_ROW : 2 * _ROW] + rows[:_ROW] + rows[2 * _ROW :]),
)


@pytest.mark.parametrize(
    "damage", [_shorter, _garbled, _linked, Path.unlink, lambda path: path.write_bytes(b""), *_ROWS]
)
def test_a_damaged_matrix_is_made_again(folder, people, damage) -> None:
    damage(folder / MATRIX)
    with open_engine(folder) as engine:
        agree(engine, people)


@pytest.mark.parametrize("damage", _ROWS)
def test_damaged_rows_are_made_again(folder, people, damage) -> None:
    whole = (folder / MATRIX).read_bytes()
    damage(folder / MATRIX)
    with open_engine(folder) as engine:
        agree(engine, people)
    assert (folder / MATRIX).read_bytes() == whole


def test_the_sum_of_rows_is_kept_up(folder, people, monkeypatch) -> None:
    with open_engine(folder) as one, open_engine(folder) as two:
        one.drop(people[3].id)
        two.put_many([person(f"more {number}", units(1, seed=100 + number)) for number in range(300)])
        one.put(person("last", units(1, seed=999)))
        two.drop(people[4].id)
        one.search(units(1), 1)

    def again(*_: object) -> None:
        raise AssertionError("the matrix was made again")

    monkeypatch.setattr(MappedMatrix, "reset", again)
    with open_engine(folder) as engine:
        assert engine.search(units(1, seed=999), 1)[0][0].name == "last"


def test_a_matrix_of_another_gallery_is_not_searched(folder, people, tmp_path) -> None:
    with open_engine(tmp_path / "other", create=True, dim=32) as engine:
        engine.put_many(crowd(30, seed=5))
        engine.search(units(1), 1)
    shutil.copy(tmp_path / "other" / MATRIX, folder / MATRIX)
    with open_engine(folder) as engine:
        agree(engine, people)


def test_a_restored_database_is_not_searched_by_a_newer_matrix(folder, people, tmp_path) -> None:
    shutil.copy(folder / FILE, tmp_path / "backup")
    with open_engine(folder) as engine:
        engine.drop(people[0].id)
        engine.search(units(1), 1)
    shutil.copy(tmp_path / "backup", folder / FILE)
    with open_engine(folder) as engine:
        agree(engine, people)
    shutil.copy(tmp_path / "backup", folder / FILE)
    with open_engine(folder) as engine:  # as many changes as the matrix knows, and others
        engine.drop(people[1].id)
        agree(engine, [people[0], *people[2:]])


def test_another_storage_is_taken_on(folder, people) -> None:
    with open_engine(folder) as first, open_engine(folder, storage="int8") as second:
        agree(second, people)
        agree(first, people)
        assert "int8" in first.kind
        first.put(person("new", units(1, seed=99)))
        assert second.search(units(1, seed=99), 1)[0][0].name == "new"
