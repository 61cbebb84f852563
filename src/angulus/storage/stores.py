"""The few things that are asked of a store: what is there, bytes of an object, a new object, one object less.

fsspec finds the client by the scheme; credentials, endpoints and proxies are the client's own affair.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from angulus.errors import StorageError
from angulus.storage.clients import client_of, within
from angulus.storage.faults import CutShortError, changed, patiently

READ_ONLY = ("http", "https")
BUCKETS = ("s3", "gs")


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it was when it was found: its address, its bytes, and a mark that a new one under its name lacks."""

    address: str
    size: int
    mark: str

    @property
    def digest(self) -> str:
        """A name for this very content."""
        return hashlib.sha256(f"{self.address}\n{self.size}\n{self.mark}".encode()).hexdigest()[:32]


def look(address: str) -> Found | None:
    """The object at an address, None where there is none. Raises StorageError."""
    try:
        about = patiently(lambda: client_of(address).info(address), address, "looked at")
    except FileNotFoundError:
        return None
    return None if about.get("type") == "directory" else _found(address, about)


def entries(address: str) -> tuple[dict[str, Found], list[str]]:
    """Names of the objects and of the folders directly below an address. Raises StorageError."""
    files: dict[str, Found] = {}
    folders: list[str] = []
    if address.startswith(READ_ONLY):
        return files, folders
    try:
        listed = patiently(lambda: client_of(address).ls(address, detail=True), address, "listed")
    except FileNotFoundError:
        return files, folders
    for about in listed:
        name = _name_of(about)
        if about.get("type") == "directory":
            folders.append(name)
        elif name and f"{address}/{name}".endswith(_path_of(about)):
            files[name] = _found(f"{address}/{name}", about)
    return files, sorted(folders)


def below(address: str) -> Iterator[tuple[str, Found]]:
    """Every object below an address with its path from there; the store is asked a page at a time.

    Raises StorageError.
    """
    try:
        listed = patiently(lambda: client_of(address).find(address, detail=True), address, "listed")
    except FileNotFoundError:
        return
    start = len(_path_of({"name": client_of(address)._strip_protocol(address)})) + 1
    for about in listed.values():
        name = _path_of(about)[start:]
        if name:
            yield name, _found(f"{address}/{name}", about)


def read(found: Found, begin: int, end: int) -> bytes:
    """The bytes begin..end-1 of an object.

    Raises ChangedError where it was replaced since it was found, StorageError where it cannot be read.
    """
    if begin >= end:
        return b""

    def once() -> bytes:
        content = _ranged(found, begin, end)
        if len(content) != end - begin:
            raise CutShortError(f"{len(content):,} of {end - begin:,} bytes came")
        return content

    try:
        return patiently(once, found.address, "read")
    except FileNotFoundError:
        raise StorageError(f"{found.address} was removed while it was read; start again") from None


def put(path: Path, address: str) -> Found:
    """Lay a file at an address, whole or not at all. Raises StorageError; OSError where the file cannot be read."""
    check_can_be_written(address)
    size = path.stat().st_size
    # by hand of the client: one request, or parts that are joined by a last one; it takes parts away that it gave up
    _written(path, lambda: within(client_of(address), "put_file", str(path), address, size=size), address)
    found = look(address)
    if found is None or found.size != size:
        there = "nothing" if found is None else f"{found.size:,}"
        raise StorageError(f"{address} must have {size:,} bytes after writing, got {there}; write it again")
    return found


def write(content: bytes, address: str) -> None:
    """The same for a few bytes."""
    check_can_be_written(address)
    _written(None, lambda: within(client_of(address), "pipe_file", address, content, size=len(content)), address)


def remove(address: str) -> None:
    """Take an object away, if it is there. Raises StorageError."""
    try:
        patiently(lambda: client_of(address).rm_file(address), address, "removed")
    except FileNotFoundError:
        return


def check_can_be_written(address: str) -> None:
    """Raise StorageError for an address to which nothing is written."""
    if address.startswith(READ_ONLY):
        raise StorageError(f"{address} is only read; results go to s3://, gs:// or a folder of this machine")
    if address.startswith(BUCKETS) and "/" not in address.partition("://")[2]:
        raise StorageError(
            f"{address} is a whole bucket, which nothing is written as; name something in it: {address}/NAME"
        )


def _written(path: Path | None, call: Callable[[], None], address: str) -> None:
    """Raises StorageError also where there is no bucket; FileNotFoundError where the file at `path` is gone."""
    try:
        patiently(call, address, "written")
    except FileNotFoundError as error:
        if path is not None and not path.exists():
            raise
        bucket = "/".join(address.split("/")[:3])
        raise StorageError(
            f"{address} could not be written: the store has no {bucket}; look for a mistyped name, or make the bucket "
            "with the store's own tools"
        ) from error


def _ranged(found: Found, begin: int, end: int) -> bytes:
    client, scheme = client_of(found.address), found.address.partition(":")[0]
    if scheme == "s3":
        return _of_s3(client, found, begin, end)
    if scheme in READ_ONLY:
        strong = found.mark.startswith('"')
        headers = {"headers": {"If-Match": found.mark}} if strong else {}
        content = client.cat_file(found.address, start=begin, end=end, **headers)
        if len(content) > end - begin:
            raise StorageError(f"{found.address}: its server gives whole files alone, no ranges; fetch it by hand")
        return content
    content = client.cat_file(found.address, start=begin, end=end)
    if _found(found.address, client.info(found.address)) != found:
        raise changed(found.address)
    return content


def _of_s3(client: Any, found: Found, begin: int, end: int) -> bytes:
    """One request, which the store refuses where the object is another one by now."""
    from fsspec.asyn import sync

    bucket, key, _ = client.split_path(found.address)
    asked = {"Bucket": bucket, "Key": key, "Range": f"bytes={begin}-{end - 1}"}
    if found.mark.startswith('"'):  # an etag, which every store that is one gives
        asked["IfMatch"] = found.mark

    async def body() -> bytes:
        answer = await client._call_s3("get_object", **asked, **client.req_kw)
        try:
            return await answer["Body"].read()
        finally:
            answer["Body"].close()

    return bytes(sync(client.loop, body) or b"")


def _found(address: str, about: dict[str, Any]) -> Found:
    size = about.get("size")
    if size is None:
        raise StorageError(f"{address}: its server does not say how long it is; fetch it by hand")
    names = ("ETag", "etag", "generation", "LastModified", "mtime", "created")
    return Found(address, int(size), next((str(about[name]) for name in names if about.get(name)), ""))


def _path_of(about: dict[str, Any]) -> str:
    return str(about["name"]).rstrip("/")


def _name_of(about: dict[str, Any]) -> str:
    return _path_of(about).rpartition("/")[2]
