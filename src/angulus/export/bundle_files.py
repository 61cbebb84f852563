"""The place where a bundle is written until it is whole: beside its target, then moved there in one step."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from angulus.errors import BundleError
from angulus.runtime.bundles import DESCRIPTION, Description
from angulus.runtime.thresholds import as_text
from angulus.whole_files import clear_partials_of, partial_of, reason_of

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of files in a .zip, so that the same files make the same bytes."""


def check_free(out: Path) -> None:
    """Raise BundleError where something lies where the bundle is to be; an empty folder does not count."""
    empty = out.is_dir() and not out.is_symlink() and not any(out.iterdir())
    if out.is_symlink() or (out.exists() and not empty):
        raise BundleError(f"{out} exists already; remove it, or name another place")


@contextmanager
def staged(out: Path) -> Generator[Path, None, None]:
    """A folder beside the target to write in while the block runs; it is removed at the end, whatever happens.

    Raises BundleError where the target is not free or the disk is full.
    """
    check_free(out)
    folder = partial_of(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        clear_partials_of(out)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise BundleError(f"{out} could not be written: {reason_of(error)}; nothing was put in its place") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, name: str, content: bytes | str) -> str:
    """Write a file of a bundle, flushed to the disk; its SHA-256."""
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()


def describe(folder: Path, description: Description) -> None:
    """Write bundle.json, the last file of a bundle."""
    write(folder, DESCRIPTION, as_text(description.to_dict()))


def zipped(folder: Path, names: Iterable[str]) -> Path:
    """The files of a bundle as one .zip inside its folder."""
    path = folder / ".zip"
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (DESCRIPTION, *sorted(names)):
                entry = zipfile.ZipInfo(name, _DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, (folder / name).read_bytes())
        file.flush()
        os.fsync(file.fileno())
    return path


def moved(whole: Path, out: Path) -> None:
    """Put a whole bundle in its place. Raises BundleError where somebody else was there first."""
    check_free(out)
    if out.is_dir():
        out.rmdir()
    os.rename(whole, out)
    _flush(out.parent)


def _flush(folder: Path) -> None:
    """Make the move last through a power cut, where the system can flush a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
