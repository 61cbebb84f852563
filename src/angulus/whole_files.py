"""Files that are whole or not there: written beside their place, then moved; what killed writers left is removed."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from angulus.storage import publish

_PARTIAL = re.compile(r"\..+\.(\d+)\.partial")
_SHARED_PARTIAL = re.compile(r"\..+\.([A-Za-z0-9_-]*)\+[0-9a-f]+\.(\d+)\.partial")
_LONG = 180  # bytes of a name; what is added to one has less than 75
_ABANDONED = 3600.0  # seconds after which what another machine began to write, and did not end, is removed


def partial_of(path: Path) -> Path:
    """Where this process writes what will be `path`."""
    return path.with_name(f".{short(path.name)}.{os.getpid()}.partial")


def short(name: str) -> str:
    """A name to which something can be added: of a long one a digest, since a file's name has at most 255 bytes."""
    content = name.encode("utf-8", "surrogatepass")
    return name if len(content) <= _LONG else hashlib.sha256(content).hexdigest()[:32]


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


def write_shared(path: Path, write: Callable[[Path], object], *, replace: bool = True) -> None:
    """The same in a folder that is there and that processes of several machines write in at once.

    replace: False leaves a file that is there as it is, whoever laid it there meanwhile. Raises OSError. What killed
    writers leave, `clear_shared` removes.
    """
    partial = path.with_name(f".{short(path.name)}.{_host()}+{secrets.token_hex(6)}.{os.getpid()}.partial")
    try:
        write(partial)
        if replace:
            partial.replace(path)
        else:
            _laid_once(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def clear_shared(folder: Path) -> None:
    """Remove what writers of a shared folder left that are gone: known here, by its age guessed elsewhere."""
    for left in folder.glob(".*+*.partial"):
        match = _SHARED_PARTIAL.fullmatch(left.name)
        if match is None:
            continue
        with suppress(OSError):
            gone = match[1] == _host() and not _is_alive(int(match[2]))
            if gone or time.time() - left.lstat().st_mtime > _ABANDONED:
                left.unlink()


def _host() -> str:
    """The name of this machine as it stands in names of files."""
    return re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:40]


def _laid_once(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # a disk without second names
        if not path.exists():
            partial.replace(path)


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
    for left in path.parent.glob(f".{glob_escaped(short(path.name))}.*.partial"):
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
    return "the disk is full" if is_full(error) else error.strerror or str(error)


def remedy_of(error: OSError) -> str:
    """What to do first where a file could not be written."""
    return "make room" if is_full(error) else "mend that"


def is_full(error: Exception) -> bool:
    """Whether a file could not be written for want of room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


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
