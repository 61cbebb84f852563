"""What was fetched and lies on this machine: known by its mark, bounded in size, shared by the processes.

    files/s3/bucket/name     a whole object, in the place of its address
    known/s3/bucket/name     the mark it was fetched under; its time is when it was used last
    blocks/DIGEST/7          the eighth block of an object that is read in ranges

The bound is $ANGULUS_CACHE_SIZE (10GB). What was used last is kept; what a process has open as a whole is held with a
lock of the system, so that none is taken from under it. Only what the store has too is ever removed: a file that was
written here and not published stays.
"""

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from angulus.errors import StorageError
from angulus.storage.addresses import cache_folder, mirror, placed
from angulus.storage.json_texts import parse_json
from angulus.storage.read_ahead import PARALLEL
from angulus.storage.stores import Found, read

USUAL = 10 * 10**9
KEPT = 0.8  # of the bound, once it is reached
AT_ONCE = 8 * 2**20
_GIVEN_UP = 24 * 3600.0  # seconds after which what a process has begun to write is nobody's
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([KMGT]?)i?B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def bound() -> int:
    """The most bytes that are kept. Raises StorageError for a bound that is none."""
    said = os.environ.get("ANGULUS_CACHE_SIZE", "").strip()
    match = _SIZE.fullmatch(said)
    if said and (match is None or float(match[1]) <= 0):
        raise StorageError(f"ANGULUS_CACHE_SIZE must be a size such as 10GB, got {said!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()]) if match else USUAL


def known_of(path: Path) -> Path:
    """Where the mark of a fetched file is noted."""
    return cache_folder() / "known" / path.relative_to(mirror())


def is_here(found: Found) -> bool:
    """Whether this very object lies in its place."""
    path = placed(found.address)
    try:
        noted, status = parse_json(known_of(path).read_text()), path.stat()
    except (OSError, ValueError):
        return False
    return noted == [found.mark, found.size, status.st_mtime_ns] and status.st_size == found.size


def is_published(path: Path) -> bool:
    """Whether what lies in a place is what its store had when it was fetched or published."""
    try:
        noted, status = parse_json(known_of(path).read_text()), path.stat()
        return noted[1:] == [status.st_size, status.st_mtime_ns]
    except (OSError, ValueError, TypeError):
        return False


def age(path: Path) -> float:
    """Seconds since a fetched file was last compared with its store or used; 0 for one that is only here."""
    try:
        return time.time() - known_of(path).stat().st_mtime if is_published(path) else 0.0
    except OSError:
        return 0.0


def note(found: Found) -> None:
    """Write down that the file in the place of an object is that object."""
    path = placed(found.address)
    known = known_of(path)
    known.parent.mkdir(parents=True, exist_ok=True)
    _write_aside(known, json.dumps([found.mark, found.size, path.stat().st_mtime_ns]).encode())


def fetched(found: Found, *, held: bool = False) -> Path:
    """The place of an object, in which it lies whole.

    held: nobody removes it while this process runs. Raises StorageError.
    """
    path = placed(found.address)
    for _ in range(3):
        if not is_here(found):
            ROOM.make(found.size)
            _download(found, path)
        with suppress(OSError):
            os.utime(known_of(path))
            if held:
                HELD.hold(path)
            return path  # unless it was removed between the two
    raise StorageError(f"{found.address} does not stay in {cache_folder()}; give it more room with ANGULUS_CACHE_SIZE")


def forget(path: Path) -> None:
    """Remove a fetched file and its note."""
    known_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def block(found: Found, number: int, size: int) -> bytes:
    """A block of an object, fetched once by all processes of the machine. Raises StorageError."""
    path = cache_folder() / "blocks" / found.digest / str(number)
    expected = min(size, found.size - number * size)
    try:
        content = path.read_bytes()
        if len(content) == expected:
            os.utime(path)
            return content
    except OSError:
        pass
    content = read(found, number * size, number * size + expected)
    ROOM.make(len(content))
    with suppress(OSError):  # a full disk makes it slower, not wrong
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_aside(path, content)
    return content


class _Room:
    """Looks now and then whether the bound is kept, and removes what was not used for longest."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.left = -1

    def make(self, size: int) -> None:
        """See to it that so many bytes more fit."""
        with self.lock:
            self.left -= size
            if self.left >= 0:
                return
            most = bound()
            if size > most:
                raise StorageError(
                    f"what is fetched has {size:,} bytes, and {cache_folder()} may have {most:,}; set "
                    "ANGULUS_CACHE_SIZE to more, or ANGULUS_CACHE to a larger disk"
                )
            kept = list(_kept())
            total = sum(one[1] for one in kept) + size
            if total > most:
                total = _evict(kept, total, int(KEPT * most))
            self.left = max(most // 64, min(most - total, most // 16))


class _Held:
    """Files that this process uses as a whole, each open and locked until it ends."""

    def __init__(self) -> None:
        self.files: dict[Path, tuple[int, int]] = {}

    def hold(self, path: Path) -> None:
        try:
            import fcntl
        except ImportError:  # not on this system
            return
        descriptor = os.open(path, os.O_RDONLY)
        number = os.fstat(descriptor).st_ino
        old = self.files.get(path)
        if old is not None and old[1] == number:
            os.close(descriptor)
            return
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self.files[path] = (descriptor, number)
        if old is not None:
            os.close(old[0])


ROOM = _Room()
HELD = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: setattr(ROOM, "lock", threading.Lock()))


def _kept() -> Iterator[tuple[float, int, Path, Path | None]]:
    """(time of the last use, bytes, file, its note) of all that may be removed."""
    for folder in _folders(cache_folder() / "blocks"):
        for entry in os.scandir(folder):
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if not entry.name.startswith(".") or status.st_mtime < time.time() - _GIVEN_UP:
                    yield status.st_mtime, status.st_size, Path(entry.path), None
    root, here = cache_folder() / "known", mirror()
    for above, _, names in os.walk(root):
        for name in names:
            known = Path(above) / name
            path = here / known.relative_to(root)
            with suppress(OSError):
                yield known.stat().st_mtime, path.stat().st_size, path, known


def _folders(root: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(root) if entry.is_dir()] if root.is_dir() else []


def _evict(kept: list[tuple[float, int, Path, Path | None]], total: int, most: int) -> int:
    for _, size, path, known in sorted(kept, key=lambda one: one[0]):
        if total <= most:
            break
        with suppress(OSError):
            if known is not None:
                if not is_published(path) or _is_held(path) or _is_worked_in(path.parent):
                    continue
                known.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            total -= size
    for folder in _folders(cache_folder() / "blocks"):
        with suppress(OSError):
            folder.rmdir()  # where it is empty
    for left in list(mirror().rglob(".*.partial")):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - _GIVEN_UP:
                left.unlink()
    return total


def _is_worked_in(folder: Path) -> bool:
    """Whether a process has locked a folder or one that it lies in, as that of a run."""
    return any((above / ".lock").exists() for above in (folder, *folder.parents) if above.is_relative_to(mirror()))


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            return False
        except OSError:
            return True
    return False


def _download(found: Found, path: Path) -> None:
    """Several ranges at once to a file beside the place, then into it."""
    if path.is_dir():
        shutil.rmtree(path)  # it was a folder in the store the last time
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        with partial.open("wb") as file:
            if found.size <= AT_ONCE:
                file.write(read(found, 0, found.size))
            else:
                file.truncate(found.size)
                _download_parts(found, file.fileno())
        partial.replace(path)
        note(found)
    except OSError as error:
        raise StorageError(
            f"{found.address} could not be kept in {path.parent}: {error.strerror or error}; make room there, or set "
            "ANGULUS_CACHE to another folder"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _download_parts(found: Found, descriptor: int) -> None:
    def part(begin: int) -> None:
        content = read(found, begin, min(begin + AT_ONCE, found.size))
        os.pwrite(descriptor, content, begin)

    with ThreadPoolExecutor(PARALLEL) as pool:
        try:
            list(pool.map(part, range(0, found.size, AT_ONCE)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_aside(path: Path, content: bytes) -> None:
    partial = _partial(path)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
