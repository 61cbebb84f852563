"""The files of a bundle, in a folder or in a .zip file: read by name, within bounds, never unpacked."""

import zipfile
from pathlib import Path
from typing import Protocol

from angulus.errors import BundleError
from angulus.files import BoundedReader
from angulus.runtime.fields import is_written

MOST_NAME = 200
MOST_BYTES = 2**32
"""Of one file."""


class Contents(Protocol):
    """Files by their names."""

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """The bytes of a file. Raises BundleError where it is missing, unreadable or longer than `most`."""
        ...


def opened(path: Path) -> Contents:
    """What holds the files. Raises BundleError where there is neither a folder nor a .zip file."""
    if path.is_dir():
        return _Folder(path)
    if path.is_file():
        return _Zip(path)
    raise BundleError(f"there is no bundle at {path}: angulus export MODEL {path} makes one")


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        if not (path / "bundle.json").is_file():
            raise BundleError(f"{path} is no bundle: it has no bundle.json; angulus export makes one")

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        file = self._path / _checked(name)
        if file.is_symlink() or not file.resolve().is_relative_to(self._path.resolve()):
            raise BundleError(f"{file} leads out of the bundle; files of a bundle are no links")
        try:
            with BoundedReader(file) as reader:
                if reader.size > most:
                    raise BundleError(f"{file} must have at most {most:,} bytes, got {reader.size:,}")
                return reader.read()
        except FileNotFoundError:
            raise BundleError(f"{file} is missing; export the bundle again") from None
        except OSError as error:
            raise BundleError(f"{file} cannot be read: {error.strerror or error}") from error


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as file:
                self._sizes = {entry.filename: entry.file_size for entry in file.infolist()}
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise BundleError(f"{path} is no bundle: it is neither a folder nor a readable .zip file") from error
        if "bundle.json" not in self._sizes:
            raise BundleError(f"{path} is no bundle: there is no bundle.json at its top; angulus export makes one")

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        size = self._sizes.get(_checked(name))
        if size is None:
            raise BundleError(f"{self._path} has no {name}; export the bundle again")
        if size > most:
            raise BundleError(f"{self._path}: {name} must have at most {most:,} bytes, got {size:,}")
        try:
            with zipfile.ZipFile(self._path) as file, file.open(name) as entry:
                content = entry.read(size + 1)
        except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise BundleError(f"{self._path}: {name} cannot be read: {error}") from error
        if len(content) != size:
            raise BundleError(f"{self._path}: {name} is not as long as the file says")
        return content


def _checked(name: str) -> str:
    """A name within the bundle. Raises BundleError for one that leads elsewhere."""
    parts = name.split("/")
    is_plain = is_written(name) and 1 <= len(name.encode()) <= MOST_NAME and not set(name) & {"\\", "\0", ":"}
    if not is_plain or any(part in ("", ".", "..") for part in parts):
        raise BundleError(f"a file of a bundle has a plain name within it, got {ascii(name)[:80]}")
    return name
