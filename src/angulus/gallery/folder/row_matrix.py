"""The matrix that is searched: one row for each template, derived from the stored people and rebuilt when in doubt.

    row = scale (float32), values (float16 or int8 [dim]);   cosine with a query q = scale (values . q)

scale is 1 / length of the values, so that rounding changes no length; it is 0 in a row of nobody. As a file:

    4,096 bytes: magic, dim, storage, gallery, room in rows, number and token of the change shown, sum, CRC-32; the rows

sum adds up the CRC-32 of each row, begun with its number, and nothing for rows of zeros: it is kept up as rows are
written, and gone through when the file is first opened. It finds damage, not the work of somebody who knows it.
Rows reach the disk before the header that speaks of them. One process at a time writes, all others map and read.
"""

import mmap
import os
import struct
import threading
import time
import zlib
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.files import open_in_place
from angulus.gallery.engines import PATIENCE
from angulus.gallery.folder.row_scan import ScanPlan, best_rows, chosen_plan
from angulus.whole_files import reason_of, write_beside

Storage = Literal["float16", "int8"]
STORAGES: tuple[Storage, ...] = get_args(Storage)
HEADER = 4096
_MAGIC = b"angulus-matrix 2"
_FIELDS = struct.Struct("<16sII16sQQ8sQ")
_TIMED_FROM = 50_000
_SUMMED_AT_ONCE = 65_536


@dataclass(frozen=True, kw_only=True)
class Change:
    """The state of a gallery: a number that grows, and a random token, as two copies of a gallery may part."""

    number: int
    token: bytes


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What rows look like. gallery: 16 random bytes of the gallery they belong to."""

    dim: int
    storage: Storage
    gallery: bytes

    @property
    def row(self) -> np.dtype:
        return np.dtype([("scale", "<f4"), ("values", "<f2" if self.storage == "float16" else "i1", (self.dim,))])


class RowIndex(Protocol):
    """Proposes rows for queries; who uses it scores them exactly and knows whose they are."""

    def shows(self, layout: Layout) -> Change | None:
        """The change whose templates these rows are; None where that is in doubt."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """A context in which nobody else changes it."""
        ...

    def reset(self, layout: Layout) -> None: ...

    def reserve(self, count: int) -> None: ...

    def update(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None: ...

    def forget(self, rows: NDArray[np.int64]) -> None: ...

    def settle(self, change: Change) -> None: ...

    def candidates(self, queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """Rows [q, at most count] in any order; -1 is none."""
        ...

    def memory(self) -> int: ...

    def close(self) -> None: ...


def encoded(vectors: NDArray[np.float32], layout: Layout) -> NDArray:
    """Rows for unit vectors [n, dim]."""
    rows = np.zeros(len(vectors), dtype=layout.row)
    if layout.storage == "int8":
        steps = np.abs(vectors).max(axis=1, keepdims=True) / 127
        rows["values"] = np.rint(vectors / steps)
    else:
        rows["values"] = vectors
    rows["scale"] = 1 / np.linalg.norm(rows["values"].astype(np.float32), axis=1)
    return rows


def sum_of(rows: NDArray, numbers: NDArray[np.int64] | None = None) -> int:
    """What tells whether rows are as they were written. numbers: of the rows; None: 0, 1, 2, ..."""
    total = 0
    for start in range(0, len(rows), _SUMMED_AT_ONCE):
        part = np.ascontiguousarray(rows[start : start + _SUMMED_AT_ONCE])
        content = part.view(np.uint8).reshape(len(part), part.dtype.itemsize)
        for place in np.flatnonzero(content.any(axis=1)).tolist():
            number = start + place if numbers is None else int(numbers[start + place])
            total += zlib.crc32(content[place], number & 0xFFFFFFFF)
    return total % 2**64


class HeldMatrix:
    """The matrix in memory. plan: how it is gone through; None: chosen by timing from 50,000 rows on."""

    def __init__(self, plan: ScanPlan | None = None) -> None:
        self.plan = plan
        self._given = plan is not None
        self._layout: Layout | None = None
        self._rows: NDArray = np.zeros(0, dtype=np.uint8)
        self._shows: Change | None = None
        self._timing = threading.Lock()

    @contextmanager
    def exclusive(self) -> Generator[None, None, None]:
        yield

    def shows(self, layout: Layout) -> Change | None:
        return self._shows if layout == self._layout else None

    def reset(self, layout: Layout) -> None:
        self._layout, self._shows = layout, None
        self._rows = np.zeros(0, dtype=layout.row)

    def reserve(self, count: int) -> None:
        """Make room for so many rows."""
        if count > len(self._rows):
            self._rows = self._grown(count + max(256, count // 64))

    def _grown(self, count: int) -> NDArray:
        rows = np.zeros(count, dtype=self._rows.dtype)
        rows[: len(self._rows)] = self._rows
        return rows

    def update(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        assert self._layout is not None
        self._rows[rows] = encoded(vectors, self._layout)

    def forget(self, rows: NDArray[np.int64]) -> None:
        """Overwrite rows with zeros."""
        rows = rows[rows < len(self._rows)]
        self._rows[rows] = np.zeros(1, dtype=self._rows.dtype)

    def settle(self, change: Change) -> None:
        """Say that the rows now show a change."""
        self._shows = change

    def candidates(self, queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        rows = self._rows
        return best_rows(rows, queries, count, self._plan_for(rows))

    def _plan_for(self, rows: NDArray) -> ScanPlan:
        if self.plan is None and len(rows) >= _TIMED_FROM:
            with self._timing:
                self.plan = self.plan or chosen_plan(rows[:_TIMED_FROM])
        return self.plan or ScanPlan(reason="too few rows to choose by timing")

    def memory(self) -> int:
        return self._rows.nbytes

    def close(self) -> None:
        self._rows, self._layout, self._shows = np.zeros(0, dtype=np.uint8), None, None


class MappedMatrix(HeldMatrix):
    """The matrix in a file that all processes map. Raises GalleryError where the file cannot be made."""

    def __init__(self, path: Path, plan: ScanPlan | None = None, patience: float = PATIENCE) -> None:
        super().__init__(plan)
        self.path, self.patience = path, patience
        self._map: mmap.mmap | None = None
        self._inode = -1
        self._sum, self._is_checked, self._holder = 0, False, 0

    @contextmanager
    def exclusive(self) -> Generator[None, None, None]:
        with _file_lock(self.path.with_suffix(".lock"), self.patience):
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = 0

    def shows(self, layout: Layout) -> Change | None:
        self._layout = layout
        try:
            if self._map is None or os.stat(self.path).st_ino != self._inode or self._room() != len(self._rows):
                self._open()
        except OSError:
            self._map = None
        header = self._header()
        if header is None or header[1:4] != (layout.dim, STORAGES.index(layout.storage), layout.gallery):
            return None
        if not self._is_intact(header[7]):
            return None
        return Change(number=header[5], token=header[6]) if header[5] else None

    def _is_intact(self, kept: int) -> bool:
        """Whether the rows are those that were written; looked at once, while nobody else writes."""
        if self._holder == threading.get_ident():
            self._sum = kept
            self._is_checked = self._is_checked or sum_of(self._rows) == kept
        return self._is_checked

    def reset(self, layout: Layout) -> None:
        self._layout, self._sum, self._is_checked = layout, 0, True
        try:
            if self.path.is_symlink():
                self.path.unlink()
            write_beside(self.path, lambda partial: _write_private(partial, self._described(0, None, 0)))
            self._open()
        except OSError as error:
            raise _cannot(self.path, error) from error

    def _open(self) -> None:
        descriptor = _private(self.path)
        try:
            found = os.fstat(descriptor)
            if found.st_size < HEADER:
                raise OSError("it is shorter than its header")
            self._map, self._inode = mmap.mmap(descriptor, found.st_size), found.st_ino
        finally:
            os.close(descriptor)
        room, row = self._room(), self._row()
        whole = room is not None and HEADER + room * row.itemsize <= found.st_size
        if room is None or not whole:
            self._rows, self._map = np.zeros(0, dtype=row), None
        else:
            self._rows = np.frombuffer(self._map, dtype=row, count=room, offset=HEADER)

    def _row(self) -> np.dtype:
        assert self._layout is not None
        return self._layout.row

    def _header(self) -> tuple | None:
        """The fields; None where they are not what was written, or of other rows."""
        if self._map is None:
            return None
        content = self._map[: _FIELDS.size + 4]
        if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
            return None
        fields = _FIELDS.unpack(content[:-4])
        return fields if fields[0] == _MAGIC else None

    def _room(self) -> int | None:
        header = self._header()
        if header is None or self._layout is None:
            return None
        return header[4] if header[1:3] == (self._layout.dim, STORAGES.index(self._layout.storage)) else None

    def _described(self, room: int, change: Change | None, total: int) -> bytes:
        assert self._layout is not None
        number, token = (0, bytes(8)) if change is None else (change.number, change.token)
        storage = STORAGES.index(self._layout.storage)
        fields = _FIELDS.pack(_MAGIC, self._layout.dim, storage, self._layout.gallery, room, number, token, total)
        return (fields + zlib.crc32(fields).to_bytes(4, "little")).ljust(HEADER, b"\0")

    def _grown(self, count: int) -> NDArray:
        header = self._header()
        change = Change(number=header[5], token=header[6]) if header else None
        size = HEADER + count * self._row().itemsize
        try:
            descriptor = _private(self.path)
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(descriptor, 0, size)  # else a full disk would end the process when it is written
                else:
                    os.ftruncate(descriptor, size)
            finally:
                os.close(descriptor)
            assert self._map is not None
            self._map[:HEADER] = self._described(count, change, header[7] if header else 0)
            self._open()
        except OSError as error:
            raise _cannot(self.path, error) from error
        return self._rows

    def update(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        with self._summed(rows):
            super().update(rows, vectors)

    def forget(self, rows: NDArray[np.int64]) -> None:
        rows = rows[rows < len(self._rows)]
        with self._summed(rows):
            super().forget(rows)

    @contextmanager
    def _summed(self, rows: NDArray[np.int64]) -> Generator[None, None, None]:
        """Keep the sum up while rows change."""
        self._sum -= sum_of(self._rows[rows], rows)
        yield
        self._sum = (self._sum + sum_of(self._rows[rows], rows)) % 2**64

    def settle(self, change: Change) -> None:
        assert self._map is not None
        self._map.flush()
        self._map[:HEADER] = self._described(len(self._rows), change, self._sum)
        self._map.flush(0, HEADER)

    def close(self) -> None:
        super().close()
        self._map = None


@contextmanager
def _file_lock(path: Path, patience: float) -> Generator[None, None, None]:
    """Hold a file that stays where it is; the system lets it go when its holder ends."""
    try:
        import fcntl
    except ImportError:  # not on this system: one process at a time is the user's care
        yield
        return
    try:
        descriptor = _private(path)
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise GalleryError(
                        f"another process has been rebuilding {path.with_suffix('')} for {patience:g} s; try again"
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _private(path: Path) -> int:
    """A descriptor of a file of the gallery, made where it is missing; only the owner may read it, whatever was."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with suppress(OSError):  # open_in_place says what is wrong
        os.close(os.open(path, flags, 0o600))
    descriptor = open_in_place(path)
    found = os.fstat(descriptor)
    if found.st_mode & 0o007 and hasattr(os, "geteuid") and found.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


def _write_private(path: Path, content: bytes) -> None:
    """A file that its owner alone can read, as the database is."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _cannot(path: Path, error: OSError) -> GalleryError:
    return GalleryError(f"{path} cannot be written: {reason_of(error)}; make room, or make the folder writable")
