"""Files that are whole or not there: written beside their place, then moved; what killed writers left is removed."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from angulus.storage import publish

_PARTIAL = re.compile(r"\..+\.(\d+)\.partial")


def partial_of(path: Path) -> Path:
    """Where this process writes what will be `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def write_beside(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, in a folder that may be missing, and move it into place.

    In the place of an address it is published. Raises OSError; `path` is then as it was; and StorageError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_partials_of(path)
    partial = partial_of(path)
    partial.unlink(missing_ok=True)  # it may be a link that somebody laid there
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    publish(path)


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file and have it on the disk. Raises OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make names in a folder last through a power cut, where folders can be flushed."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def clear_partials_of(path: Path) -> None:
    """Remove what writers of this very file, or folder, left that are gone by now."""
    for left in path.parent.glob(f".{glob_escaped(path.name)}.*.partial"):
        match = _PARTIAL.fullmatch(left.name)
        if match is None or _is_alive(int(match[1])):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def clear_partials(folder: Path, *, deep: bool = True, held: bool = True) -> None:
    """Remove half-written files in a folder; deep: also in folders below.

    held: this process alone may write there, so that all of them are left over; else those of living processes stay.
    """
    for left in list(folder.rglob(".*.partial") if deep else folder.glob(".*.partial")):
        match = _PARTIAL.fullmatch(left.name)
        # a link of such a name would be written through
        if match is not None and (left.is_symlink() or left.is_file()) and (held or not _is_alive(int(match[1]))):
            left.unlink(missing_ok=True)


def reason_of(error: OSError) -> str:
    """Why a file could not be written, in a few words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or str(error)


def glob_escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # of another user
    return True
