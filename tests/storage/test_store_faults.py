"""What a store does wrong ends in another attempt or in a sentence."""

import time
from pathlib import Path

import pytest
import s3fs
from angulus_store import Store

from angulus.errors import ChangedError, StorageError
from angulus.files import read_regular
from angulus.storage import arrival, arrived, placed, publish
from angulus.storage.publication import publish_file
from angulus.storage.stores import look, read

CONTENT = bytes(range(256)) * 400


@pytest.mark.parametrize("kind", ["slow", "broken", "cut"])
def test_transient_faults_are_waited_out(store: Store, kind: str) -> None:
    address = store.put("lists/names.txt", CONTENT)
    planted = store.plant(kind, "GET", "names.txt", 2)
    assert arrived(address).read_bytes() == CONTENT
    assert planted.seen == (1 if kind == "slow" else 2)


def test_a_store_that_stays_broken_is_a_sentence(store: Store) -> None:
    address = store.put("names.txt", CONTENT)
    store.plant("broken", "GET", "names.txt", 99)
    with pytest.raises(StorageError, match=r"names\.txt could not be read: .* 4 times in a row; .* try again later"):
        arrived(address)
    assert not placed(address).exists()


# a client of http that gets no answer to HEAD asks with GET, and nothing is ever written there
@pytest.mark.parametrize(("scheme", "method"), [("s3", "HEAD"), ("s3", "GET"), ("s3", "PUT"), ("http", "GET")])
def test_a_store_that_never_answers_is_a_sentence_in_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, method: str, scheme: str
) -> None:
    address = store.put("names.txt", CONTENT)
    store.files.chmod(address, acl="public-read")
    if scheme == "http":
        address = address.replace("s3://", f"{store.server.address}/")
    monkeypatch.setenv("ANGULUS_STORE_TIMEOUT", "0.2")
    planted = store.plant("hung", method, "names.txt", 99)
    begun = time.monotonic()
    if method == "PUT":
        place = placed(address)
        place.parent.mkdir(parents=True)
        place.write_bytes(CONTENT)
    with pytest.raises(StorageError, match=r"names\.txt could not be .*: the store does not answer.*STORE_TIMEOUT"):
        publish_file(placed(address)) if method == "PUT" else arrived(address)
    assert planted.seen <= 5
    assert time.monotonic() - begun < 15  # on a busy machine; it is a second or two


@pytest.mark.parametrize("said", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_limit_that_is_none_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("ANGULUS_STORE_TIMEOUT", said)
    with pytest.raises(StorageError, match=f"ANGULUS_STORE_TIMEOUT must be a number of seconds above 0, got '{said}'"):
        arrived(f"{store.root}/names.txt")


def test_a_large_file_is_written_in_parts_and_is_whole_or_not_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3fs.core, "calculate_chunksize", lambda size, chunksize=None: 5 * 2**20)
    content, address = bytes(range(256)) * (11 * 2**12), f"{store.root}/large.bin"
    place = placed(address)
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    store.plant("broken", "PUT", "large.bin", 99)
    with pytest.raises(StorageError, match=r"large\.bin could not be written: .* What was written is kept in "):
        publish(place)
    assert store.names() == []
    assert store.uploads() == []
    store.server.gate.faults.clear()
    place.write_bytes(content)
    store.plant("broken", "PUT", "large.bin", 1)  # one part alone: the rest is begun again
    publish(place)
    assert len([one for one in store.server.gate.requests if one[0] == "PUT" and one[1].endswith("large.bin")]) >= 3
    assert store.files.cat_file(address) == content
    assert store.uploads() == []


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_credentials_that_have_expired_are_said_at_once(store: Store, method: str) -> None:
    address = store.put("names.txt", CONTENT)
    planted = store.plant("expired", method, "names.txt", 99)
    with pytest.raises(StorageError, match=r"refuses it .* renew the credentials"):
        arrived(address)
    assert planted.seen == 1


def test_an_object_that_was_replaced_is_not_mixed_with_the_old_one(store: Store) -> None:
    address = store.put("names.txt", CONTENT)
    found = look(address)
    assert found is not None
    assert read(found, 10, 20) == CONTENT[10:20]
    store.put("names.txt", CONTENT[::-1])
    with pytest.raises(ChangedError, match="was replaced while it was read"):
        read(found, 20, 30)


def test_what_is_missing_has_no_place(store: Store) -> None:
    path = arrived(f"{store.root}/nothing.npz")
    assert not path.exists()
    assert look(f"{store.root}/nothing.npz") is None


def test_a_new_object_takes_the_place_of_the_old_copy(store: Store) -> None:
    address = store.put("names.txt", b"old")
    assert arrived(address).read_bytes() == b"old"
    store.put("names.txt", b"newer")
    assert arrived(address).read_bytes() == b"newer"
    store.files.rm(address)
    assert not arrived(address).exists()


def test_a_list_that_only_a_recipe_names_is_compared_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    address = store.put("edits.csv", b"old")
    assert read_regular(placed(address)) == b"old"
    store.put("edits.csv", b"newer")
    assert read_regular(placed(address)) == b"old"  # within a minute
    monkeypatch.setattr(arrival, "FRESH", -1.0)
    assert read_regular(placed(address)) == b"newer"
    store.files.rm(address)
    with pytest.raises(FileNotFoundError):
        read_regular(placed(address))


def test_a_copy_that_is_the_object_is_not_fetched_again(store: Store) -> None:
    address = store.put("names.txt", CONTENT)
    arrived(address)
    arrived(address)
    assert len(store.server.reads_of("names.txt")) == 1


@pytest.mark.parametrize("kind", ["slow", "broken"])
def test_writing_is_tried_again(store: Store, kind: str) -> None:
    place = placed(f"{store.root}/out/figures.json")
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    planted = store.plant(kind, "PUT", "figures.json", 2)
    publish(place)
    assert planted.seen == (1 if kind == "slow" else 2)
    assert store.files.cat_file(f"{store.root}/out/figures.json") == CONTENT


def test_what_cannot_be_published_is_kept_and_said(store: Store) -> None:
    place = placed(f"{store.root}/out/figures.json")
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    store.plant("expired", "PUT", "figures.json", 99)
    with pytest.raises(StorageError, match="renew the credentials") as caught:
        publish(place)
    kept = str(caught.value).rpartition("is kept in ")[2]
    assert kept.endswith("out/figures.json")
    assert Path(kept).read_bytes() == CONTENT
    assert not place.exists()
    assert store.names() == []


def test_http_is_read_in_ranges_and_never_written(store: Store) -> None:
    store.put("names.txt", CONTENT)
    store.files.chmod(f"{store.root}/names.txt", acl="public-read")
    address = f"{store.root}/names.txt".replace("s3://", f"{store.server.address}/")
    assert arrived(address).read_bytes() == CONTENT
    place = placed(f"{store.server.address}/x/y.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"{}")
    with pytest.raises(StorageError, match="is only read; results go to"):
        publish(place)


def test_memory_is_a_store_too(store: Store) -> None:
    place = placed("memory://box/figures.json")
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    publish(place)
    place.unlink()
    assert arrived("memory://box/figures.json").read_bytes() == CONTENT


def test_a_missing_package_is_a_sentence(store: Store) -> None:
    with pytest.raises(StorageError, match=r'pip install "angulus\[remote\]" gcsfs'):
        arrived("gs://bucket/x.npz")
