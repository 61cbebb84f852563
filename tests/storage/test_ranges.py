"""Large objects are read in ranges, and the copies of what was read have a bound."""

import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from angulus_store import Store

from angulus.errors import ChangedError, StorageError
from angulus.storage import Ranges, arrived, cache, placed, ranges, ranges_of
from angulus.storage.cache import ROOM, bound
from angulus.storage.stores import Found, look

CONTENT = random.Random(1).randbytes(50_000)


@pytest.fixture
def found(store: Store, monkeypatch: pytest.MonkeyPatch) -> Found:
    monkeypatch.setattr(ranges, "BLOCK", 1000)
    there = look(store.put("images.tar", CONTENT))
    assert there is not None
    return there


def test_any_range_is_that_of_the_object(found: Found) -> None:
    source, draws = Ranges(found), random.Random(2)
    for begin, length in [(0, 0), (0, 1), (999, 2), (49_999, 5), (50_000, 1), (0, 50_000), (1000, 1000)]:
        assert source.read(begin, length) == CONTENT[begin : begin + length]
    for _ in range(200):
        begin, length = draws.randrange(50_000), draws.randrange(3000)
        assert source.read(begin, length) == CONTENT[begin : begin + length]


def test_many_threads_read_one_object(found: Found) -> None:
    source = pickle.loads(pickle.dumps(Ranges(found)))
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda begin: source.read(begin, 700), range(0, 50_000, 700)))
    assert b"".join(parts) == CONTENT


def test_a_block_is_asked_for_once(store: Store, found: Found) -> None:
    Ranges(found).read(5500, 10)
    Ranges(found).read(5600, 10)
    assert store.server.reads_of("images.tar") == ["bytes=5000-5999"]


def test_as_a_file_it_seeks_and_reads(found: Found) -> None:
    with Ranges(found).opened() as file:
        assert file.seek(-10, 2) == 49_990
        assert file.read() == CONTENT[-10:]
        file.seek(1234)
        assert file.read(3000) == CONTENT[1234:4234]


def test_an_object_replaced_between_two_blocks_is_found_out(store: Store, found: Found) -> None:
    source = Ranges(found)
    assert source.read(0, 10) == CONTENT[:10]
    store.put("images.tar", CONTENT[::-1])
    with pytest.raises(ChangedError, match="was replaced while it was read"):
        source.read(20_000, 10)


def test_a_stub_is_never_taken_for_the_content(store: Store, found: Found) -> None:
    place = arrived(found.address)
    assert place.stat().st_size == len(CONTENT)
    assert ranges_of(place) is not None
    from angulus.files import read_regular

    assert read_regular(place) == CONTENT  # whoever opens it as a file gets the whole of it
    assert ranges_of(place) is None


def test_blocks_stay_within_the_bound(store: Store, found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGULUS_CACHE_SIZE", "20KB")
    monkeypatch.setattr(ROOM, "left", -1)
    source = Ranges(found)
    for begin in [*range(0, 50_000, 1000)] * 2:
        assert source.read(begin, 5) == CONTENT[begin : begin + 5]
    kept = sum(path.stat().st_size for path in (cache.cache_folder() / "blocks").rglob("*") if path.is_file())
    assert 5_000 < kept <= 20_000


def test_what_was_used_last_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGULUS_CACHE_SIZE", "10KB")
    monkeypatch.setattr(ROOM, "left", -1)
    addresses = [store.put(f"{number}.bin", bytes([number]) * 2000) for number in range(8)]
    found = [look(address) for address in addresses]
    for one in found:
        monkeypatch.setattr(ROOM, "left", -1)  # look at every one
        cache.fetched(one)
        cache.fetched(found[0])
    here = [placed(address).exists() for address in addresses]
    assert here[0]
    assert here[-1]
    assert 2 <= sum(here) <= 5


def test_what_is_held_or_was_not_published_is_not_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGULUS_CACHE_SIZE", "4KB")
    monkeypatch.setattr(ROOM, "left", -1)
    held = arrived(store.put("held.npz", bytes(2000)))
    own = placed(f"{store.root}/own.npz")
    own.write_bytes(bytes(3000))
    for number in range(5):
        monkeypatch.setattr(ROOM, "left", -1)
        cache.fetched(look(store.put(f"{number}.bin", bytes(1500))))
    assert held.read_bytes() == bytes(2000)
    assert own.exists()


def test_an_object_beyond_the_bound_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGULUS_CACHE_SIZE", "1KB")
    monkeypatch.setattr(ROOM, "left", -1)
    with pytest.raises(StorageError, match="set ANGULUS_CACHE_SIZE to more"):
        arrived(store.put("large.npz", bytes(2000)))


@pytest.mark.parametrize(("text", "size"), [("", 10**10), ("10GB", 10**10), ("1.5 M", 1_500_000), ("7", 7)])
def test_the_bound_is_a_size(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGULUS_CACHE_SIZE", text)
    assert bound() == size


def test_a_bound_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGULUS_CACHE_SIZE", "lots")
    with pytest.raises(StorageError, match="must be a size such as 10GB, got 'lots'"):
        bound()


def test_large_objects_come_in_parts(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "AT_ONCE", 7000)
    store.plant("cut", "GET", "large.npz", 2)
    assert arrived(store.put("large.npz", CONTENT)).read_bytes() == CONTENT
    assert len(store.server.reads_of("large.npz")) >= 8
