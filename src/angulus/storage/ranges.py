"""An object that is read in ranges, as a file of this machine would be: by blocks, of which the last used are kept.

In its place lies a stub, a file of its length without content beside a note of what it stands for.
"""

import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, cast

from angulus.storage.addresses import address_of, cache_folder, mirror, placed
from angulus.storage.cache import block
from angulus.storage.json_texts import parse_json
from angulus.storage.read_ahead import ReadAhead
from angulus.storage.stores import Found

BLOCK = 2**20
_NEXT = 4  # blocks that are fetched ahead of whoever reads through


class Ranges:
    """Bytes of one object, for many threads at once; every process makes its own."""

    def __init__(self, found: Found) -> None:
        self.found, self.size = found, found.size
        self._last: tuple[int, bytes] = (-1, b"")
        self._end = -BLOCK
        self._ahead = ReadAhead[int, bytes](lambda number: block(found, number, BLOCK))

    def __reduce__(self) -> tuple[Any, ...]:
        return Ranges, (self.found,)

    @property
    def changed(self) -> int:
        """A number that another object under this name does not have."""
        return int(self.found.digest[:15], 16)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, fewer where the object ends. Raises StorageError, ChangedError."""
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        if 0 <= offset - self._end <= BLOCK // 64:  # somebody reads it through
            self.will_need(end, _NEXT * BLOCK)
        self._end = end
        first, last = offset // BLOCK, (end - 1) // BLOCK
        if last > first:
            self.will_need(offset, end - offset)
        parts = [self._block(number) for number in range(first, last + 1)]
        parts[-1] = parts[-1][: end - last * BLOCK]
        parts[0] = parts[0][offset - first * BLOCK :]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def will_need(self, offset: int, length: int) -> None:
        """Have these bytes fetched, several blocks at once, while others are worked on."""
        end = min(offset + length, self.size)
        for number in range(offset // BLOCK, (end - 1) // BLOCK + 1 if end > offset else 0):
            if number != self._last[0] and not self._ahead.begin(number):
                return

    def opened(self) -> BinaryIO:
        """The object as a file that is open for reading."""
        return cast(BinaryIO, io.BufferedReader(_RangesFile(self), 2**16))

    def _block(self, number: int) -> bytes:
        kept = self._last
        if kept[0] == number:
            return kept[1]
        content = self._ahead.get(number)
        self._last = (number, content)
        return content


class _RangesFile(io.RawIOBase):
    def __init__(self, ranges: Ranges) -> None:
        self._ranges, self._place = ranges, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._ranges.size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: memoryview, /) -> int:  # pyrefly: ignore[bad-override]  (any buffer)
        content = self._ranges.read(self._place, len(buffer))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def lay_stub(found: Found) -> Path:
    """A file of the object's length in its place, without content, and the note of what it stands for."""
    path = placed(found.address)
    note = _note_of(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = note.with_name(f".{note.name}.{os.getpid()}.partial")
    with path.open("wb") as file:
        file.truncate(found.size)
    partial.write_text(json.dumps([asdict(found), path.stat().st_mtime_ns]))
    partial.replace(note)
    return path


def ranges_of(path: str | Path) -> Ranges | None:
    """The ranges of the object whose stub lies at a path; None where something else does."""
    found = stub_at(path)
    return None if found is None else Ranges(found)


def stub_at(path: str | Path) -> Found | None:
    """What the stub at a path stands for; None where there is none."""
    if address_of(path) is None:
        return None
    try:
        about, changed = parse_json(_note_of(Path(path)).read_text())
        return Found(**about) if Path(path).stat().st_mtime_ns == changed else None
    except (OSError, ValueError, TypeError):
        return None


def lift_stub(path: Path) -> None:
    """Take a stub away, where one lies."""
    if stub_at(path) is not None:
        _note_of(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _note_of(path: Path) -> Path:
    return cache_folder() / "stubs" / path.relative_to(mirror())
