"""What was acknowledged is there after a kill, and two processes that write at once both succeed or are told."""

import importlib
import multiprocessing
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from gallery_people import KEY, crowd, person, units

from angulus.errors import GalleryError
from angulus.gallery import open_engine
from angulus.gallery.engines import everybody
from angulus.gallery.folder import row_matrix
from angulus.gallery.folder.sqlite_file import FILE

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.parametrize(("storage", "key", "times"), [("float16", None, 4), ("int8", None, 1), ("float16", KEY, 1)])
def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path, monkeypatch, storage, key, times) -> None:
    if key:
        pytest.importorskip("cryptography")
    monkeypatch.syspath_prepend(SCRIPTS)
    kills = importlib.import_module("gallery_kills")
    found = kills.measured(tmp_path / "g", times, storage, key, seed=times, longest=0.4)
    assert found["problems"] == []
    assert found["kills"] == times
    assert found["acknowledged"] >= times


def _add(folder, name, count):
    with open_engine(folder) as engine:
        for number in range(count):
            engine.put(person(f"{name}{number}", units(1, seed=hash((name, number)) % 2**31)))
            engine.search(units(1), 1)


def test_two_processes_write_at_once(tmp_path) -> None:
    with open_engine(tmp_path, create=True, dim=32) as engine:
        spawned = multiprocessing.get_context("spawn")
        writers = [spawned.Process(target=_add, args=(tmp_path, name, 15)) for name in "ab"]
        for each in writers:
            each.start()
        for each in writers:
            each.join(60)
        assert [each.exitcode for each in writers] == [0, 0]
        people = list(everybody(engine))
        assert {each.name for each in people} == {f"{name}{number}" for name in "ab" for number in range(15)}
        hits = engine.search(np.stack([each.template for each in people]), 1)
        assert [mine[0].name for mine in hits] == [each.name for each in people]


def test_a_writer_that_holds_on_is_named_in_time(tmp_path) -> None:
    with open_engine(tmp_path, create=True, dim=32, patience=0.1) as engine:
        other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryError, match=r"has been changing .* for 0.1 s; wait for it"):
            engine.put(person("Ann", units(1)))
        other.execute("ROLLBACK")
        other.close()
        engine.put(person("Ann", units(1)))


def _fail_within(engine) -> None:
    with engine.writing():
        engine.put_many(crowd(5))
        assert engine.count() == 6
        engine.search(units(1), 1)
        raise ZeroDivisionError


def test_an_error_undoes_the_whole_change(tmp_path) -> None:
    with open_engine(tmp_path, create=True, dim=32) as engine:
        engine.put(person("Ann", units(1)))
        with pytest.raises(ZeroDivisionError):
            _fail_within(engine)
        assert [each.name for each in everybody(engine)] == ["Ann"]
        engine.put(person("Bob", units(1, seed=1)))
        assert {hit.name for hit in engine.search(units(1), 9)[0]} == {"Ann", "Bob"}


def test_threads_search_while_one_writes(tmp_path) -> None:
    with open_engine(tmp_path, create=True, dim=32) as engine:
        fixed, moving = crowd(50), [person(f"m{number}", units(1, seed=1000 + number)) for number in range(20)]
        engine.put_many(fixed)
        wrong, ended = [], threading.Event()

        def search() -> None:
            queries = np.stack([each.template for each in fixed[:4]])
            while not ended.is_set():
                try:
                    names = [hits[0].name for hits in engine.search(queries, 1)]
                    wrong.extend([] if names == [each.name for each in fixed[:4]] else [names])
                except Exception as error:
                    wrong.append(error)
                    return

        threads = [threading.Thread(target=search) for _ in range(3)]
        for each in threads:
            each.start()
        for each in moving:
            engine.put(each)
            engine.drop(each.id)
        ended.set()
        for each in threads:
            each.join()
        assert wrong == []


def test_a_closed_gallery_says_so(tmp_path) -> None:
    engine = open_engine(tmp_path, create=True, dim=32)
    engine.close()
    with pytest.raises(GalleryError, match="was closed; open it again"):
        engine.search(units(1), 1)
    with pytest.raises(GalleryError, match="was closed; open it again"):
        engine.put(person("Ann", units(1)))


@pytest.mark.parametrize("room", [4096, 8192, 70_000])
@pytest.mark.parametrize("made", [True, False])
def test_what_cannot_be_created_leaves_nothing(tmp_path, room, made) -> None:
    resource = pytest.importorskip("resource")
    folder = tmp_path / "g"
    if not made:
        folder.mkdir()
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, kept[1]))  # as a full disk is
    try:
        with pytest.raises(GalleryError, match=r"/g/gallery\.(db|matrix) cannot be"):
            open_engine(folder, create=True, dim=8, facts={"about": "x" * 60_000}).close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert list(tmp_path.rglob("*")) == ([] if made else [folder])
    with open_engine(folder, create=True, dim=8, facts={"about": "y"}) as engine:
        assert engine.facts() == {"about": "y"}


def test_a_gallery_without_room_for_its_matrix_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_matrix, "write_beside", full)
    with pytest.raises(GalleryError, match=r"gallery.matrix cannot be written: the disk is full"):
        open_engine(tmp_path / "g", create=True, dim=8)
    assert list(tmp_path.iterdir()) == []


def test_a_creation_that_was_killed_leaves_nothing_for_the_next(tmp_path) -> None:
    (tmp_path / ".gallery.db.0123456789abcdef.999999999.partial").write_bytes(b"half")
    open_engine(tmp_path, create=True, dim=8).close()
    assert not list(tmp_path.glob("*.partial"))
