"""What is on the disk: nothing of a removed vector, and nothing readable in an encrypted gallery."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_people import KEY, person, units

from angulus.errors import GalleryError
from angulus.gallery import Gallery, KeyedRotation, open_engine, read_key, template_of
from angulus.gallery.engines import everybody
from angulus.gallery.people import stored_bytes


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def parts_of(vector) -> list[bytes]:
    content = stored_bytes(vector)
    return [content[start : start + 12] for start in range(0, len(content) - 12, 16)]


@pytest.mark.parametrize("search", ["exact", "faiss:Flat"])
def test_removed_vectors_leave_no_bytes(tmp_path, search) -> None:
    """Rows of all sizes come and go, so that SQLite moves them about."""
    if search != "exact":
        pytest.importorskip("faiss")
        open_engine(tmp_path / "g", create=True, dim=128).close()  # which leaves a matrix
    chance, alive, dead = np.random.default_rng(0), {}, []
    number = 0
    with open_engine(tmp_path / "g", create=search == "exact", dim=128, search=search) as engine:
        for _ in range(10):
            with engine.writing():
                for _ in range(int(chance.integers(5, 40))):
                    number += 1
                    each = person(f"p{number}", units(int(chance.integers(1, 4)), 128, number))
                    engine.put(each)
                    alive[each.id] = each
            with engine.writing():
                for ident in chance.permutation(sorted(alive))[: len(alive) // 2]:
                    engine.drop(str(ident))
                    dead.append(alive.pop(str(ident)))
        some = next(each for each in alive.values() if len(each.photos) > 1)
        left = some.photos[1:]
        engine.put(replace(some, photos=left, template=template_of([photo.vector for photo in left])))
        content = bytes_in(tmp_path / "g")
        gone = [photo.vector for each in dead for photo in each.photos] + [each.template for each in dead]
        gone += [some.photos[0].vector, some.template]
        assert sum(part in content for vector in gone for part in parts_of(vector)) == 0
        assert parts_of(left[0].vector)[0] in content  # the test sees what is there


def test_names_are_gone_after_compacting(tmp_path) -> None:
    with open_engine(tmp_path, create=True, dim=32) as engine:
        engine.put_many(person(f"Somebody {number}", units(1, seed=number)) for number in range(100))
        with engine.writing():
            for each in list(everybody(engine))[::2]:
                engine.drop(each.id)
        engine.compact()
        content = bytes_in(tmp_path)
        assert b"Somebody 41" in content
        assert b"Somebody 40" not in content
        assert engine.count() == 50


def test_an_encrypted_gallery_shows_nothing(tmp_path) -> None:
    pytest.importorskip("cryptography")
    ann = replace(person("Ann Secret", units(2), digest="ab" * 32), note="a private note")
    ann = replace(ann, photos=tuple(replace(photo, note="photo note") for photo in ann.photos))
    with open_engine(tmp_path / "g", create=True, dim=32, key=KEY) as engine:
        engine.put(ann)
        engine.set_facts({"about": "a secret fact"})
        contents = [bytes_in(tmp_path / "g")]
    contents.append(bytes_in(tmp_path / "g"))
    assert [path.name for path in (tmp_path / "g").iterdir()] == ["gallery.db"]
    for content in contents:
        for word in (b"Secret", b"private", b"photo note", b"ab" * 8, b"secret fact"):
            assert word not in content
        for vector in (ann.template, *(photo.vector for photo in ann.photos)):
            assert not any(part in content for part in parts_of(vector))
    with open_engine(tmp_path / "g", key=KEY.hex()) as engine:
        assert engine.named("Ann Secret").note == "a private note"
        assert engine.holders("ab" * 32) == [ann.id]
        assert engine.facts() == {"about": "a secret fact"}
        assert engine.search(ann.template[None], 1)[0][0].name == "Ann Secret"


def test_keys_that_do_not_fit(tmp_path) -> None:
    pytest.importorskip("cryptography")
    open_engine(tmp_path / "sealed", create=True, dim=32, key=KEY).close()
    open_engine(tmp_path / "plain", create=True, dim=32).close()
    with pytest.raises(GalleryError, match="the key does not open this gallery"):
        open_engine(tmp_path / "sealed", key=bytes(32))
    with pytest.raises(GalleryError, match="is an encrypted gallery; give its key"):
        open_engine(tmp_path / "sealed")
    with pytest.raises(GalleryError, match="is not encrypted, and a key was given"):
        open_engine(tmp_path / "plain", key=KEY)
    for odd in (b"short", "xyz", "ab" * 31, ""):
        with pytest.raises(GalleryError, match="a key must be 32 bytes or 64 hexadecimal digits"):
            open_engine(tmp_path / "sealed", key=odd)


def test_rows_of_an_encrypted_gallery_cannot_change_places(tmp_path) -> None:
    pytest.importorskip("cryptography")
    ann, bob = person("Ann", units(1)), person("Bob", units(1, seed=1))
    with open_engine(tmp_path, create=True, dim=32, key=KEY) as engine:
        engine.put_many([ann, bob])
    link = sqlite3.connect(tmp_path / "gallery.db")
    with link:
        link.execute("UPDATE templates SET content = (SELECT content FROM templates WHERE row = 1) WHERE row = 2")
    link.close()
    with pytest.raises(GalleryError, match="a template of this gallery was changed or moved"):
        open_engine(tmp_path, key=KEY)


def test_reissued_vectors_leave_no_bytes(tmp_path) -> None:
    with Gallery(open_engine(tmp_path, create=True, dim=64)) as gallery:
        drawn = units(40, 64)
        for number, vector in enumerate(drawn):
            gallery.add(f"p{number}", vector[None])
        gallery.reissue(KeyedRotation(KEY, 64, keep=48))
        content = bytes_in(tmp_path)
        assert not any(part in content for vector in drawn for part in parts_of(vector))


def modes(folder):
    return {path.name: path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())}


def test_only_the_owner_reads_the_files(tmp_path) -> None:
    with open_engine(tmp_path / "g", create=True, dim=32) as engine:
        engine.put(person("Ann", units(1)))
        engine.search(units(1), 1)
        assert set(modes(tmp_path / "g").values()) == {0}, modes(tmp_path / "g")


@pytest.mark.parametrize("name", ["gallery.matrix", "gallery.lock"])
def test_files_that_all_could_read_are_closed_to_them(tmp_path, name) -> None:
    open_engine(tmp_path / "g", create=True, dim=32).close()
    (tmp_path / "g" / name).chmod(0o644)
    with open_engine(tmp_path / "g") as engine:
        engine.put(person("Ann", units(1)))
        engine.search(units(1), 1)
    assert set(modes(tmp_path / "g").values()) == {0}, modes(tmp_path / "g")


def test_what_could_not_be_overwritten_is_said(tmp_path, caplog) -> None:
    with open_engine(tmp_path, create=True, dim=32, patience=0.05) as engine:
        ann = person("Ann", units(1))
        engine.put_many([ann, person("Bob", units(1, seed=1))])
        reader = sqlite3.connect(tmp_path / "gallery.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchone()
        engine.drop(ann.id)
        assert "removed vectors stay in its log until the next removal" in caplog.text
        reader.close()
        engine.drop(engine.named("Bob").id)
        assert not any(part in bytes_in(tmp_path) for part in parts_of(ann.template))


def test_key_files(tmp_path) -> None:
    (tmp_path / "key").write_text(KEY.hex() + "\n")
    assert read_key(tmp_path / "key") == KEY
    (tmp_path / "raw").write_bytes(KEY)
    assert read_key(tmp_path / "raw") == KEY
    with pytest.raises(GalleryError, match="cannot be read"):
        read_key(tmp_path / "none")
