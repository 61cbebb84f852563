"""Which place of this machine belongs to an address of a store, and back.

    s3://bucket/faces/people.packed    CACHE/files/s3/bucket/faces/people.packed

CACHE is $ANGULUS_CACHE, or the folder `angulus` of the user's cache. A `pathlib.Path` makes one slash of two; both
`s3://bucket/x` and `s3:/bucket/x` are read as the address, and `S3://bucket/x` too.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

from angulus.errors import StorageError

SCHEMES = ("s3", "gs", "http", "https", "memory")
_WORKING = re.compile(r"/\.[^/]+\.(converting|part|partial)(/|$)")
_UNKNOWN = ("abfs", "abfss", "az", "file", "ftp", "gcs", "hdfs", "oss", "r2", "s3a", "s3n", "sftp", "wasb", "wasbs")
"""Schemes of other stores and programs, whose words would be taken for folders of this machine."""
_ADDRESS = re.compile(rf"({'|'.join((*SCHEMES, *_UNKNOWN))}):/+(.*)", re.DOTALL | re.IGNORECASE)


def is_address(text: str | Path) -> bool:
    """Whether a text, or a path that was made of one, is an address of a store or a server."""
    return _ADDRESS.fullmatch(os.fspath(text)) is not None


def placed(given: str | Path) -> Path:
    """The place on this machine of an address; of a path the path. Nothing is fetched.

    Raises StorageError for an address that can have none.
    """
    match = _ADDRESS.fullmatch(os.fspath(given))
    if match is None:
        return Path(given)
    scheme, rest = match[1].lower(), match[2]
    if scheme in _UNKNOWN:
        raise StorageError(
            f"{scheme}://{rest} is no address that is known here: it must begin with s3://, gs:// or memory://, "
            "or to be read http:// or https://; a file or folder of this machine is named by its path alone"
        )
    parts = rest.rstrip("/").split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise StorageError(
            f"an address must be {scheme}://NAME/NAME without empty names, '.' or '..' in it, got {scheme}://{rest}"
        )
    return mirror().joinpath(scheme, *parts)


def address_of(path: str | Path) -> str | None:
    """The address whose place a path is; None for other paths, also for those where something is being written."""
    text, root = os.fspath(path), _mirror_text()
    if not text.startswith(root) or ("/." in text and _WORKING.search(text)):
        return None
    scheme, slash, rest = text[len(root) :].partition("/")
    return f"{scheme}://{rest}" if slash and rest and scheme in SCHEMES else None


def in_words(text: str) -> str:
    """A text in which places of addresses are written as the addresses."""
    root = _mirror_text()
    for scheme in SCHEMES:
        text = text.replace(f"{root}{scheme}/", f"{scheme}://")
    return text


def cache_folder() -> Path:
    """Where everything of stores is kept on this machine."""
    said = os.environ.get("ANGULUS_CACHE")
    if said:
        return Path(said).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "angulus"


def mirror() -> Path:
    """The folder in which addresses have their places."""
    return Path(_mirror_text())


def _mirror_text() -> str:
    return _text_of(*(os.environ.get(name) for name in ("ANGULUS_CACHE", "XDG_CACHE_HOME", "HOME")))


@lru_cache(maxsize=8)
def _text_of(*said: str | None) -> str:
    return f"{os.path.realpath(cache_folder())}/files/"
