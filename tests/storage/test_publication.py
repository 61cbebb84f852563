"""What is published is whole or is not read."""

from pathlib import Path

import pytest
from angulus_store import Store

from angulus.errors import AngulusError, StorageError
from angulus.storage import arrived, check_free, check_writable, placed, publish


def written(store: Store, name: str = "bundle") -> Path:
    folder = placed(f"{store.root}/{name}")
    folder.mkdir(parents=True)
    for file in ("bundle.json", "network.onnx", "threshold.json", ".lock", ".x.12.partial"):
        (folder / file).write_bytes(file.encode() * 10)
    return folder


def test_what_a_folder_is_opened_by_comes_last(store: Store) -> None:
    folder = written(store)
    store.server.gate.requests.clear()
    publish(folder)
    puts = [path.rpartition("/")[2] for method, path, _ in store.server.gate.requests if method in ("PUT", "DELETE")]
    assert puts[0] == ".unfinished"
    assert puts[-2:] == ["bundle.json", ".unfinished"]
    assert store.names() == [f"bundle/{name}" for name in ("bundle.json", "network.onnx", "threshold.json")]


@pytest.mark.parametrize("file", ["network.onnx", "bundle.json"])
def test_half_a_folder_is_not_read(store: Store, file: str) -> None:
    store.plant("expired", "PUT", file, 99)
    with pytest.raises(StorageError, match="marked as unfinished and is not read"):
        publish(written(store))
    with pytest.raises(StorageError, match="is not whole: it is being published, or whoever published it was stopped"):
        arrived(f"{store.root}/bundle")


def test_it_is_whole_once_it_is_published_again(store: Store) -> None:
    store.plant("expired", "PUT", "bundle.json", 1)
    with pytest.raises(StorageError):
        publish(written(store))
    check_free(placed(f"{store.root}/bundle"))  # what was left of the first time is no bundle
    publish(written(store))
    assert (arrived(f"{store.root}/bundle") / "network.onnx").read_bytes() == b"network.onnx" * 10


def test_nothing_is_sent_twice(store: Store) -> None:
    folder = written(store)
    publish(folder)
    before = len(store.server.gate.requests)
    publish(folder)
    assert len(store.server.gate.requests) == before


@pytest.mark.parametrize("name", ["x.tar", "x/a.bin"])
def test_a_target_must_be_free(store: Store, name: str) -> None:
    store.put(name, b"1")
    with pytest.raises(StorageError, match="exists already; remove it, or name another target"):
        check_free(placed(f"{store.root}/{name.partition('/')[0]}"))


def test_whether_it_can_be_written_is_found_out_before_the_work(store: Store) -> None:
    check_writable(placed(f"{store.root}/e.npz"))
    assert store.names() == []
    store.plant("expired", "PUT", "e.npz", 9)
    with pytest.raises(StorageError, match="renew the credentials"):
        check_writable(placed(f"{store.root}/e.npz"))
    with pytest.raises(AngulusError, match="s3://nobody-has-this/"):
        check_writable(placed("s3://nobody-has-this/e.npz"))
