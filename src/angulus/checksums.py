"""A checksum at the end of a file: damage on the disk is told from what was written.

A sealed file ends with 24 bytes, "\\nangulus-crc32 ", 8 hexadecimal digits and "\\n": the CRC-32 of all bytes before.
Formats that are read from their beginning (pickles), by offsets (torch.distributed.checkpoint) or from a mark near the
end (zip) do not mind the line. It finds damage, not forgery.
"""

import os
import zlib
from pathlib import Path
from typing import BinaryIO

from angulus.files import BoundedReader

MARK = b"\nangulus-crc32 "
LENGTH = len(MARK) + 9
_AT_ONCE = 2**20


class ChecksumError(ValueError):
    """A file is not what was written."""


class Sealing:
    """A file to write to that reckons the checksum on the way; `seal` adds it at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.checksum = 0

    def write(self, content: bytes) -> int:
        self.checksum = zlib.crc32(content, self.checksum)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()

    def seal(self) -> None:
        """Add the checksum of what was written."""
        self.file.write(MARK + b"%08x\n" % self.checksum)


def seal(path: Path) -> None:
    """Add a checksum to a file that another has written, and flush it to the disk."""
    with path.open("r+b") as file:
        checksum = _checksum(file, os.fstat(file.fileno()).st_size)
        file.seek(0, os.SEEK_END)
        file.write(MARK + b"%08x\n" % checksum)
        file.flush()
        os.fsync(file.fileno())


def is_sealed(path: Path) -> bool:
    """Whether a file ends with a checksum."""
    return _seal_of(path) is not None


def check(path: Path) -> bool:
    """Whether a file has a checksum; raises ChecksumError where it is not that of its bytes.

    Raises OSError where it cannot be read.
    """
    stored = _seal_of(path)
    if stored is None:
        return False
    with BoundedReader(path) as file:
        found = _checksum(file, file.size - LENGTH)
    if stored != b"%08x\n" % found:
        raise ChecksumError("its checksum is another than when it was written: bytes of it are damaged")
    return True


def _seal_of(path: Path) -> bytes | None:
    with BoundedReader(path) as file:
        file.seek(max(0, file.size - LENGTH))
        end = file.read()
    return end[len(MARK) :] if len(end) == LENGTH and end.startswith(MARK) else None


def _checksum(file: BinaryIO, length: int) -> int:
    checksum = 0
    while length > 0:
        content = file.read(min(_AT_ONCE, length))
        if not content:
            break
        checksum = zlib.crc32(content, checksum)
        length -= len(content)
    return checksum
