"""Bytes at a place of a file, for many threads and processes at once.

Reading says where (`pread`) instead of moving a shared position, so that nothing needs a lock, and a file that has
become shorter is an error with a sentence where a memory map would end the process.
"""

import logging
import os
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from angulus.errors import DataError
from angulus.files import BoundedReader, open_regular
from angulus.storage import Ranges, ranges_of

logger = logging.getLogger(__name__)

_AT_ONCE = 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Blob:
    """A file that is opened when first read, in every process anew; `size` is that of the moment it was found."""

    path: Path
    size: int
    changed: int
    """Time of the last change in nanoseconds."""
    ranges: Ranges | None = None
    """Where its bytes are when they are in a store; at `path` there is nothing to read then."""

    @staticmethod
    def find(path: str | Path) -> "Blob":
        """Raises DataError where there is no such file."""
        path = Path(path)
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        if path.is_dir():
            raise DataError(f"{path} is a folder, not a file")
        if not path.is_file():
            raise DataError(f"{path} is a device, a pipe or a socket, not a regular file")
        ranges = ranges_of(path)
        if ranges is not None:
            return Blob(path=path, size=ranges.size, changed=ranges.changed, ranges=ranges)
        return Blob(path=path, size=status.st_size, changed=status.st_mtime_ns)

    def opened(self) -> BinaryIO:
        """The same as a file that is open for reading. Raises OSError as `open_regular`."""
        return BoundedReader(self.path) if self.ranges is None else self.ranges.opened()

    @cached_property
    def _descriptor(self) -> int:
        try:
            descriptor = open_regular(self.path)
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror or error}") from error
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.path, self.size, self.changed, self.ranges)

    def read(self, offset: int, length: int, *, what: str) -> bytes:
        """Exactly `length` bytes from `offset`; DataError says that `what` ends too early where there are fewer."""
        if self.ranges is not None:
            return self._complete(self.ranges.read(offset, length), offset, length, what)
        if length > _AT_ONCE:  # room is made for what the file holds, never for what an index claims
            length, asked = min(length, max(0, os.fstat(self._descriptor).st_size - offset)), length
        else:
            asked = length
        try:
            content = os.pread(self._descriptor, length, offset)
            while len(content) < length and (
                more := os.pread(self._descriptor, length - len(content), offset + len(content))
            ):
                content += more  # a signal, or more than 2 GiB at once
        except OSError as error:
            raise DataError(f"cannot read {what} of {self.path} at byte {offset:,}: {error.strerror}") from error
        return self._complete(content, offset, asked, what)

    def _complete(self, content: bytes, offset: int, asked: int, what: str) -> bytes:
        if len(content) < asked:
            raise DataError(
                f"{self.path}: {what} at byte {offset:,} needs {asked:,} bytes, and the file ends after "
                f"{len(content):,} of them; the file is cut short, or its index belongs to another file"
            )
        return content

    def will_need(self, offset: int, length: int) -> None:
        """Ask the system to fetch these bytes while others are worked on; nothing where it can't."""
        if self.ranges is not None:
            self.ranges.will_need(offset, length)
            return
        advise = getattr(os, "posix_fadvise", None)
        if advise is None or length <= 0:
            return
        try:
            advise(self._descriptor, offset, length, os.POSIX_FADV_WILLNEED)
        except OSError as error:  # a hint; the read that follows says what is wrong
            logger.debug("no read-ahead of %s: %s", self.path, error)


def _again(path: Path, size: int, changed: int, ranges: Ranges | None) -> Blob:
    return Blob(path=path, size=size, changed=changed, ranges=ranges)
