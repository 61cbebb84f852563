"""An address has one place on this machine, and the place leads back to it."""

from pathlib import Path

import pytest

from angulus.errors import StorageError
from angulus.storage import address_of, in_words, is_address, placed

ADDRESSES = ("s3://bucket/a/b.npz", "gs://bucket/x", "http://host:8000/x/y.tar", "https://host/x", "memory://x/y")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGULUS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_place_leads_back_to_its_address(address: str) -> None:
    place = placed(address)
    assert is_address(address)
    assert place.is_absolute()
    assert address_of(place) == address
    assert in_words(f"there is no model {place}: name one") == f"there is no model {address}: name one"
    assert address_of(place / "more") == f"{address}/more"


def test_a_path_with_one_slash_is_the_address_too() -> None:
    assert placed(Path("s3://bucket/a/b")) == placed("s3://bucket/a/b")


def test_a_scheme_may_have_capitals() -> None:
    assert placed("S3://bucket/a/B") == placed("s3://bucket/a/B")
    assert placed(Path("HTTPS://host/x")) == placed("https://host/x")


@pytest.mark.parametrize("text", ["s3a://bucket/x", "S3N://bucket/x", "gcs:/bucket/x", "file:///data/x", "hdfs://x/y"])
def test_addresses_of_other_programs_are_not_taken_for_folders_here(text: str) -> None:
    assert is_address(text)
    with pytest.raises(StorageError, match=r"is no address that is known here: it must begin with s3://"):
        placed(text)


@pytest.mark.parametrize("text", ["people", "/data/people", "s3", "./s3:x", "postgresql://host/x", "C:/x"])
def test_other_words_are_paths(text: str) -> None:
    assert not is_address(text)
    assert placed(text) == Path(text)
    assert address_of(Path(text)) is None
    assert in_words(text) == text


@pytest.mark.parametrize("name", [".x.packed.converting/result/x", ".x.npz.123.partial", ".x.csv.7.part"])
def test_what_is_being_written_has_no_address(name: str) -> None:
    assert address_of(placed("s3://bucket/runs") / name) is None
    assert address_of(placed("s3://bucket/runs/.hidden/x.npz")) == "s3://bucket/runs/.hidden/x.npz"


@pytest.mark.parametrize("address", ["s3://bucket/../etc", "s3://", "s3://bucket/a//b", "s3://bucket/./a"])
def test_an_address_does_not_lead_out_of_its_folder(address: str) -> None:
    with pytest.raises(StorageError, match="an address must be s3://NAME/NAME"):
        placed(address)
