"""Files that are either whole or not there: written under another name, flushed, then renamed."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from angulus.errors import CheckpointError
from angulus.storage import in_words, publish
from angulus.text_files import printable
from angulus.whole_files import flush_folder, is_full, partial_of


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk and move it into place.

    Raises CheckpointError when the disk is full or the folder cannot be written; `path` is then as it was.
    """
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # it may be a link that somebody laid there
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        flush_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError of its zip writer
        sentence = unwritable(path, error)  # before the half-written file gives its place back
        with suppress(OSError):
            partial.unlink()
        raise CheckpointError(sentence) from error
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    publish(path)


def unwritable(path: Path, error: Exception) -> str:
    """What went wrong while writing, and what is left."""
    full = is_full(error) or disk_is_full(path)
    reason = "the disk is full" if full else str(error).splitlines()[0]
    remedy = "make room" if full else "mend that"
    return f"{path} could not be written: {reason}. What was there before is untouched; {remedy} and resume the run"


def disk_is_full(path: Path) -> bool:
    """True when less than a megabyte is free where `path` lies."""
    try:
        space = os.statvfs(path.parent)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < 2**20


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8; bytes of names that are none stand as \\xe9."""
    write_atomic(path, lambda file: file.write(printable(in_words(text)).encode("utf-8")))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")
