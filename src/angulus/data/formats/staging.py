"""The place where a data set is written until it is whole: locked, with a journal, then moved to where it belongs.

.NAME.converting/    beside the target NAME
    lock             held while a process writes, and let go by the system when it ends in whatever way
    about.json       what is being written; other data or another layout is not mixed in
    journal          16 bytes for every record that is on the disk: where it ends, its checksum, its length
    result/          the set itself
    moving           there once the result is whole and verified
"""

import errno
import json
import logging
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError
from angulus.files import links_out, open_in_place
from angulus.json_files import read_json
from angulus.storage import publish
from angulus.whole_files import flush_folder, write_flushed

logger = logging.getLogger(__name__)

ENTRY = np.dtype([("end", "<u8"), ("checksum", "<u4"), ("length", "<u4")])
SHARED = "property"
"""A file that may lie beside several sets: what is there already is left alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Unfinished:
    """The working folder of one target, locked for this process. Use `begun`."""

    target: Path
    folder: Path

    @property
    def result(self) -> Path:
        """Where the set is written."""
        return self.folder / "result"

    @property
    def whole(self) -> bool:
        """Whether all that is left is to move the result to its place."""
        return (self.folder / "moving").exists()

    def check_about(self, about: dict[str, Any]) -> None:
        """Raises DataError when what lies here was begun from other data or in another layout."""
        path = self.folder / "about.json"
        if path.exists() and _noted(path) != about:
            raise DataError(
                f"{self.folder} holds a conversion to {self.target.name} that was begun from other data, or from data "
                "that has changed, or to another layout; remove that folder to begin anew"
            )

    def keep_about(self, about: dict[str, Any]) -> None:
        """Say what is being written; from now on the folder outlives the process."""
        path = self.folder / "about.json"
        partial = path.with_suffix(".partial")
        write_flushed(partial, json.dumps(about).encode())
        partial.replace(path)

    def read_journal(self) -> NDArray[np.void]:
        """What is on the disk, an entry for every record."""
        path = self.folder / "journal"
        if not path.exists():
            return np.zeros(0, dtype=ENTRY)
        return np.fromfile(path, dtype=ENTRY, count=path.stat().st_size // ENTRY.itemsize)

    def keep(self, done: int) -> None:
        """Cut the journal after `done` records."""
        with os.fdopen(open_in_place(self.folder / "journal"), "ab") as file:
            file.truncate(done * ENTRY.itemsize)

    def note(self, ends: Sequence[int], checksums: Sequence[int], lengths: Sequence[int]) -> None:
        """Add entries for records that are on the disk."""
        entries = np.empty(len(ends), dtype=ENTRY)
        entries["end"], entries["checksum"], entries["length"] = ends, checksums, lengths
        with os.fdopen(open_in_place(self.folder / "journal"), "ab") as file:
            file.write(entries.tobytes())
            file.flush()
            os.fsync(file.fileno())

    def check_free(self, outputs: Sequence[str]) -> None:
        """Raises DataError when something lies where the set is to be."""
        for name in outputs:
            if name != SHARED and occupied(self.target.parent / name):
                raise DataError(f"{self.target.parent / name} exists already; remove it, or name another target")

    def move(self, outputs: Sequence[str]) -> None:
        """Put the result in its place, what it is opened by last, and remove the working folder."""
        write_flushed(self.folder / "moving", json.dumps(list(outputs)).encode())
        self.finish_moving()

    def finish_moving(self) -> None:
        """The same for a result that was whole when the last process ended."""
        names = _names_noted(self.folder / "moving")
        for name in names:
            place, written = self.target.parent / name, self.result / name
            if name == SHARED and place.exists() and written.exists():
                if place.read_bytes() != written.read_bytes():
                    logger.warning("%s says something else about the data beside it and is left as it is", place)
            elif written.exists():
                written.replace(place)
        flush_folder(self.target.parent)
        shutil.rmtree(self.folder)
        for name in names:
            publish(self.target.parent / name)


def _noted(path: Path) -> Any:
    """What was noted in the folder. Raises DataError where it cannot be read."""
    try:
        return read_json(path)
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}; remove {path.parent} to begin anew") from error


def _names_noted(path: Path) -> list[str]:
    """The names of what is to be moved. Raises DataError for those that lie elsewhere."""
    names = _noted(path)
    if not isinstance(names, list) or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise DataError(f"{path} must list names of files; remove {path.parent} to begin anew")
    return names


def occupied(path: Path) -> bool:
    """Whether something lies at a path; an empty folder does not count."""
    return path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir())))


@contextmanager
def begun(target: Path) -> Generator[Unfinished, None, None]:
    """The working folder for a target, made or found again, and locked.

    Raises DataError when another process holds it, or the disk is full or cannot be written while the block runs;
    what was written stays for the next time.
    """
    folder = target.parent / f".{target.name}.converting"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder, target):
            (folder / "result").mkdir(exist_ok=True)
            unfinished = Unfinished(target=target, folder=folder)
            try:
                yield unfinished
            finally:
                if folder.exists() and not (folder / "about.json").exists():
                    shutil.rmtree(folder)
    except OSError as error:
        raise DataError(_unwritable(target, folder, error)) from error


@contextmanager
def _locked(folder: Path, target: Path) -> Generator[None, None, None]:
    import fcntl  # of Unix alone; where it is missing everything else still works

    while True:
        if folder.is_symlink() or (folder.exists() and any(links_out(folder, files=True))):
            raise DataError(f"{folder} is a link, or holds one that leads elsewhere; remove it to begin anew")
        folder.mkdir(exist_ok=True)
        with os.fdopen(open_in_place(folder / "lock"), "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"another process is converting into {target}; wait for it to end") from None
            try:
                current = os.stat(folder / "lock").st_ino
            except FileNotFoundError:
                continue  # the other process ended and took its folder away meanwhile
            if current == os.fstat(file.fileno()).st_ino:
                yield
                return


def _unwritable(target: Path, folder: Path, error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else str(error)
    kept = f"what was written so far is kept in {folder}; the same command goes on" if folder.exists() else ""
    return f"{target} could not be written: {reason}. Nothing was put in its place" + (f"; {kept}" if kept else "")
