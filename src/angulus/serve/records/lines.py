"""Lines of JSON at the end of a file: each is on the disk before its writer goes on, and half a line is cut off.

A line that a crash cut short was never acknowledged.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from angulus.errors import ServiceError
from angulus.files import BoundedReader, open_in_place
from angulus.json_files import parse_json
from angulus.whole_files import write_beside

MOST_LINE = 2**20


class LineFile:
    """A file of lines, open at its end. Raises ServiceError where it cannot be opened; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = open_in_place(path)
            os.fchmod(self._descriptor, 0o600)  # it says who was looked for
            self._cut_half_line()
            sync_folder(path.parent)
        except OSError as error:
            raise _unwritten(path, error) from error

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._descriptor).st_size

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write lines and wait until they are on the disk. Raises ServiceError; none of them is there then."""
        content = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
        before = self.size
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, before)
            raise _unwritten(self.path.name, error) from error  # where it lies is not for who asks

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _cut_half_line(self) -> None:
        size, keep = self.size, 0
        for start in range(max(0, size - 1), -1, -1):
            if size - start > 2 * MOST_LINE:
                raise OSError(None, "it does not end with a line")
            if os.pread(self._descriptor, 1, start) == b"\n":
                keep = start + 1
                break
        if keep < size:
            os.ftruncate(self._descriptor, keep)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file, those that are no objects, or no text and numbers, left out; none where there is no file."""
    if not path.exists():
        return
    with BoundedReader(path) as file:
        while line := file.readline(MOST_LINE):
            try:
                value = parse_json(line)
                # what could not be sent as JSON would break every answer that shows it
                json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def write_lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write a file of lines anew, whole or not at all. Raises OSError."""

    def write(part: Path) -> None:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            for row in rows:
                file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    write_beside(path, write)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritten(path: Path | str, error: OSError) -> ServiceError:
    return ServiceError(
        f"{path} cannot be written ({error.strerror or error}): nothing is decided that is not written down",
        **{"status": 503, "code": "not_written", "retry_after": 10},
    )
