"""The place where a bundle is written until it is whole: beside its target, then moved there in one step."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from angulus.errors import BundleError
from angulus.runtime.bundles import DESCRIPTION, Artefact, BundledDetector, Description
from angulus.runtime.thresholds import as_text
from angulus.version import __version__
from angulus.whole_files import clear_partials_of, flush_folder, partial_of, reason_of, write_flushed

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


@dataclass(kw_only=True)
class BundleFolder:
    """A bundle that is being made in a folder. files: SHA-256 by name of what lies there."""

    folder: Path
    artefact: Artefact
    detector: BundledDetector | None
    facts: Mapping[str, Any]
    files: dict[str, str] = field(default_factory=dict)

    def keep(self, contents: Mapping[str, bytes]) -> None:
        """Write files, each flushed to the disk."""
        for name, content in contents.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_flushed(path, content)
            self.files[name] = digest_of(content)

    def keep_values(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        self.keep({name: as_text(values).encode()})

    def describe(self) -> None:
        """Write bundle.json for what lies here; again when there is more."""
        described = Description(
            **{"artefact": self.artefact, "detector": self.detector, "model": self.facts, "angulus": __version__},
            **{"made": datetime.now(UTC).strftime("%Y-%m-%d"), "files": dict(sorted(self.files.items()))},
        )
        write_flushed(self.folder / DESCRIPTION, as_text(described.to_dict()).encode())

    def zipped(self) -> Path:
        """All of it as one .zip, inside the folder."""
        path = self.folder / ".zip"
        with path.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in (DESCRIPTION, *sorted(self.files)):
                    entry = zipfile.ZipInfo(name, _DATE)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, (self.folder / name).read_bytes())
            file.flush()
            os.fsync(file.fileno())
        return path


def digest_of(content: bytes) -> str:
    """SHA-256 in hex digits."""
    return hashlib.sha256(content).hexdigest()


def moved(whole: Path, out: Path) -> None:
    """Put a whole bundle in its place. Raises BundleError where somebody else was there first."""
    check_free(out)
    if whole.is_dir():
        for folder in (whole, *(path for path in whole.rglob("*") if path.is_dir())):
            flush_folder(folder)
    if out.is_dir():
        out.rmdir()
    os.rename(whole, out)
    flush_folder(out.parent)
