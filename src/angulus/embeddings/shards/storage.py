"""Where the files of a sharded set lie: each is whole or not there, whoever writes, however many, and dies meanwhile.

A folder of this machine, or the place of one in a store (`angulus.storage`): then the store says what is there, every
file is laid into it as soon as it is written, and fetched when it is read. Everything that touches either is here.
"""

import os
from collections.abc import Callable
from pathlib import Path

from angulus.errors import EvaluationError
from angulus.files import read_regular
from angulus.storage import arrived, names_stored, publish_file, stored
from angulus.whole_files import clear_shared, reason_of, write_shared


def make_place(folder: Path) -> None:
    """Make a folder to write to, or clear it of what killed writers left. Raises EvaluationError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_shared(folder)
    except OSError as error:
        raise EvaluationError(
            f"{folder} cannot be written: {reason_of(error)}; name another folder, or make it writable"
        ) from error


def is_there(path: Path) -> bool:
    """Whether a finished file lies at a path."""
    found = stored(path)
    return path.is_file() if found is None else found


def names_in(folder: Path) -> frozenset[str]:
    """The names of the finished files in a folder, asked for at once. Raises EvaluationError."""
    there = names_stored(folder)
    if there is not None:
        return there
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise EvaluationError(f"{folder} cannot be read: {reason_of(error)}") from error


def content_of(path: Path) -> bytes:
    """A whole small file. Raises OSError."""
    return read_regular(arrived(path))


def publish(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written, flushed, and moved into place as a whole. Raises EvaluationError."""
    _published(path, write, replace=True)


def publish_once(path: Path, content: bytes) -> None:
    """The same for a file that stays as the first of its writers left it; in a store all write the same."""
    _published(path, lambda partial: partial.write_bytes(content), replace=stored(path) is not None)


def local_file(path: Path) -> Path:
    """A published file on this machine, where it can be mapped."""
    return arrived(path)


def _published(path: Path, write: Callable[[Path], object], *, replace: bool) -> None:
    def flushed(partial: Path) -> None:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())

    try:
        write_shared(path, flushed, replace=replace)
    except OSError as error:
        raise EvaluationError(
            f"{path} could not be written: {reason_of(error)}. Nothing was put in its place; "
            "make room, or name another folder"
        ) from error
    publish_file(path)
