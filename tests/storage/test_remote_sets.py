"""Every layout in a store is the same set as on the disk, read by ranges and by single objects."""

import pickle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from angulus_store import Store
from PIL import Image

from angulus.data import FolderSource, open_source
from angulus.data.examples import bytes_of
from angulus.data.formats.conversion import convert
from angulus.data.views.cache import fingerprint
from angulus.errors import AngulusError, ChangedError, StorageError
from angulus.storage import ranges

PEOPLE, EACH = 5, 4
RANGED = {"packed": "set.packed", "tar": "set.tar", "parquet": "set.parquet", "rec": "set.rec"}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("sets") / "people", np.random.default_rng(3)
    for person in range(PEOPLE):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(EACH):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"p{person}" / f"{number}.png")
    return folder


def assert_same(one: Any, other: Any) -> None:
    assert list(one.identities) == list(other.identities)
    assert list(one.keys) == list(other.keys)
    assert np.array_equal(one.labels, other.labels)
    assert [bytes_of(one, row) for row in range(len(one))] == [bytes_of(other, row) for row in range(len(other))]


@pytest.mark.parametrize("layout", [*RANGED, "folder"])
def test_a_set_from_a_store_is_the_set(store: Store, people: Path, tmp_path: Path, layout: str) -> None:
    local = tmp_path / RANGED.get(layout, "set")
    convert(open_source(people), local, to=layout)
    for path in sorted(tmp_path.glob("set*")):
        if path.is_dir():
            store.put_folder(path, path.name)
        else:
            store.put(path.name, path.read_bytes())
    remote = open_source(f"{store.root}/{local.name}")
    assert_same(open_source(local), pickle.loads(pickle.dumps(remote)))
    assert fingerprint(open_source(local)) == fingerprint(remote)
    assert np.array_equal(remote.read(7), open_source(local).read(7))


@pytest.mark.parametrize("layout", [*RANGED, "folder"])
def test_a_set_is_converted_into_a_store(store: Store, people: Path, tmp_path: Path, layout: str) -> None:
    target = f"{store.root}/{RANGED.get(layout, 'set')}"
    convert(open_source(people), target, to=layout)
    convert(open_source(people), tmp_path / Path(target).name, to=layout)
    for path in sorted(one for one in tmp_path.rglob("*") if one.is_file() and "cache" not in one.parts):
        assert store.files.cat_file(f"{store.root}/{path.relative_to(tmp_path)}") == path.read_bytes()
    assert not [name for name in store.names() if "/." in name or name.startswith(".")]
    assert_same(open_source(people), open_source(target))
    with pytest.raises(StorageError, match="exists already"):
        convert(open_source(people), target, to=layout)


def test_of_a_packed_set_only_what_is_read_is_fetched(
    store: Store, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "BLOCK", 4096)
    convert(open_source(people), tmp_path / "set.packed")
    store.put_folder(tmp_path / "set.packed", "set.packed")
    remote = open_source(f"{store.root}/set.packed")
    before = len(store.server.reads_of("images.bin"))
    remote.read(13)
    read = store.server.reads_of("images.bin")[before:]
    assert 1 <= len(read) <= 3
    assert sum(1 + int(span.rpartition("-")[2]) - int(span[6:].partition("-")[0]) for span in read) <= 3 * 4096


@pytest.mark.parametrize("layout", ["packed", "folder"])
def test_forked_workers_read_too(store: Store, people: Path, tmp_path: Path, layout: str) -> None:
    local = tmp_path / RANGED.get(layout, "set")
    convert(open_source(people), local, to=layout)
    remote = open_source(store.put_folder(local, local.name))
    remote.read(0)  # threads and connections of this process are there now
    here = [bytes_of(remote, row) for row in range(3)]
    with get_context("fork").Pool(2, initializer=_given, initargs=(remote,)) as pool:
        found = pool.map_async(_bytes, range(len(remote))).get(timeout=30)
    assert found[:3] == here
    assert found == [bytes_of(open_source(local), row) for row in range(len(remote))]


def _given(source: Any) -> None:
    _SOURCES[:] = [source]


def _bytes(row: int) -> bytes | None:
    return bytes_of(_SOURCES[0], row)


_SOURCES: list[Any] = []


def test_images_of_a_folder_come_one_by_one(store: Store, people: Path) -> None:
    address = store.put_folder(people, "people")
    store.put("people/p9/note.txt", b"not an image")
    source = FolderSource.open(address, on_empty="skip")
    assert [method for method, path, _ in store.server.gate.requests if method == "GET" and path.endswith(".png")] == []
    source.read(0)
    assert 1 <= len(store.server.reads_of(".png")) <= 17
    assert "1 entry" in " ".join(source.account.lines())


@pytest.mark.parametrize("layout", ["packed", "tar", "folder"])
def test_a_set_replaced_while_it_is_read_is_found_out(
    store: Store, people: Path, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "BLOCK", 2048)
    local = tmp_path / RANGED.get(layout, "set")
    convert(open_source(people), local, to=layout)
    address = store.put_folder(local, local.name) if local.is_dir() else store.put(local.name, local.read_bytes())
    remote = open_source(address)
    remote.read(0)
    last = {"packed": "set.packed/images.bin", "tar": "set.tar", "folder": "set/p4/3.png"}[layout]
    content = store.files.cat_file(f"{store.root}/{last}")
    store.put(last, content[::-1])
    if layout == "tar":  # its heads were all read: what was kept of the old one is still right
        assert np.array_equal(remote.read(19), open_source(local).read(19))
        return
    with pytest.raises(ChangedError, match="was replaced while it was read"):
        remote.read(19)


def test_a_folder_in_a_store_says_what_is_wrong_with_it(store: Store) -> None:
    store.put("loose/a.txt", b"1")
    store.put("loose/x/b.txt", b"1")
    with pytest.raises(AngulusError, match=r"none of the 1 folders in .* holds an image"):
        FolderSource.open(f"{store.root}/loose")
    with pytest.raises(AngulusError, match="there is no data at"):
        open_source(f"{store.root}/nowhere")
