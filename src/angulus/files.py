"""Regular files and nothing else: a device, a pipe or a socket under a file's name is refused, never waited for."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from angulus.storage import address_of, fetch_missing

_AT_ONCE = 2**16
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    # so that opening a pipe without a writer returns; regular files do not mind
    | getattr(os, "O_NONBLOCK", 0)
)  # fmt: skip


def open_regular(path: str | Path) -> int:
    """A descriptor of a regular file, or of what a link leads to; in the place of an address it is fetched first.

    Raises OSError, also for what is no regular file, and StorageError.
    """
    if address_of(path) is not None:
        fetch_missing(path)
    try:
        descriptor = os.open(path, _FLAGS)
    except ValueError as error:  # a name with a zero byte
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, not a regular file", str(path))
    return descriptor


def open_in_place(path: str | Path) -> int:
    """A descriptor of a regular file to read and to write at its end, made where it is missing.

    Raises OSError, also for a link and for a file that has a second name: what is written would end up elsewhere.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | (_FLAGS & ~os.O_RDONLY)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, f"{Path(path).name} in it is a link; remove it", str(path)) from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        what = "has a second name elsewhere" if stat.S_ISREG(found.st_mode) else "is no regular file"
        raise OSError(errno.EINVAL, f"{Path(path).name} in it {what}; remove it", str(path))
    return descriptor


def links_out(folder: Path, *, files: bool = False) -> Iterator[Path]:
    """Links below a folder to folders that are not in it; what is written through them lands elsewhere.

    files: also links to files elsewhere, or to nothing. Raises OSError where a folder cannot be read.
    """
    home = folder.resolve()
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_symlink() and (files or entry.is_dir()) and not _is_within(Path(entry.path), home):
                    yield Path(entry.path)


def _is_within(link: Path, home: Path) -> bool:
    try:
        return link.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # links in a circle
        return False


class BoundedReader(io.BufferedReader):
    """A regular file that gives out what it holds: a length that a file merely claims takes no memory.

    Raises OSError as `open_regular`.
    """

    def __init__(self, path: str | Path) -> None:
        descriptor = open_regular(path)
        self.size = os.fstat(descriptor).st_size
        super().__init__(io.FileIO(descriptor))

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file; asking for more than there is takes no more memory than what there is."""
        if size is not None and size > _AT_ONCE:
            size = min(size, max(0, self.size - self.tell()))
        return super().read(size)


def read_regular(path: str | Path) -> bytes:
    """A whole regular file, in half the time of `Path.read_bytes` for small ones. Raises OSError as `open_regular`."""
    descriptor = open_regular(path)
    try:
        content = os.read(descriptor, _AT_ONCE)
        parts = [content]
        while content:
            content = os.read(descriptor, _AT_ONCE)
            parts.append(content)
    finally:
        os.close(descriptor)
    return parts[0] if len(parts) <= 2 else b"".join(parts)
