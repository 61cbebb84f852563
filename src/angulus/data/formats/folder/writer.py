"""Writes images into a folder with one sub-folder for each identity."""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source, bytes_of
from angulus.data.formats.folder.reader import FolderSource
from angulus.data.formats.output import Listing, extension_of
from angulus.data.loading.contents import EXAMPLE_EXTENSIONS
from angulus.errors import DataError

logger = logging.getLogger(__name__)

_LONGEST = 200  # bytes of the name of a file, below the 255 that file systems take


class FolderWriter:
    """A folder lists by name, so that labels follow the sorted names of the identities."""

    def __init__(self, folder: Path, name: str, source: Source) -> None:
        self.outputs = [name]
        self._root = folder / name
        self._root.mkdir(exist_ok=True)
        for identity in source.identities:
            check_folder_name(identity)
        self.files = list(_files(source))
        changed = sum(file != key for file, key in zip(self.files, source.keys, strict=True))
        if changed:
            logger.info("%d of %d keys are no <identity>/<image> and get such a name", changed, len(source))
        self.listing = _sorted_listing(source, self.files)
        self._made: set[str] = set()

    def resume(self, done: int, end: int) -> int:
        return done

    def write(self, first: int, images: Sequence[bytes]) -> list[int]:
        for file, image in zip(self.files[first : first + len(images)], images, strict=True):
            folder, _, _ = file.partition("/")
            if folder not in self._made:
                (self._root / folder).mkdir(exist_ok=True)
                self._made.add(folder)
            (self._root / file).write_bytes(image)
        return [0] * len(images)

    def finish(self, ends: NDArray[np.uint64], checksums: NDArray[np.uint32]) -> None:
        """Nothing is left to write: the names of the files are the list."""

    def opened(self) -> Source:
        return FolderSource.open(self._root)

    def close(self) -> None:
        pass


def check_folder_name(identity: str) -> None:
    """Raises DataError for a name that no folder can have, or that is not listed."""
    hidden = identity.startswith((".", "__MACOSX"))
    if not identity or hidden or "/" in identity or "\0" in identity or len(identity.encode("utf-8", "replace")) > 255:
        raise DataError(
            f"the identity {identity[:60]!r} cannot be the name of a folder (it must not be empty, begin with a dot, "
            "hold a slash or take more than 255 bytes); convert to packed, parquet or tar instead"
        )


def _files(source: Source) -> Iterator[str]:
    """A path <identity>/<file> for every image: its key where that is one, else made from it."""
    extension = extension_of(bytes_of(source, 0) or b"")
    taken: set[str] = set()
    for index, (label, key) in enumerate(zip(source.labels.tolist(), source.keys, strict=True)):
        identity = source.identities[label]
        name = key.removeprefix(f"{identity}/")
        plain = re.sub(r"[/\0]", "_", name).lstrip(".")
        stem, dot, suffix = plain.rpartition(".")
        if not dot or f".{suffix.lower()}" not in EXAMPLE_EXTENSIONS:
            stem, suffix = plain, extension.removeprefix(".")
        if len(plain.encode("utf-8", "replace")) > _LONGEST or not stem or stem.startswith("__MACOSX"):
            stem = f"{index:09d}"
        file = f"{identity}/{stem}.{suffix}"
        if file in taken:
            file = f"{identity}/{stem}_{index:09d}.{suffix}"
        taken.add(file)
        yield file


def _sorted_listing(source: Source, files: list[str]) -> Listing:
    by_name = sorted(range(len(source.identities)), key=lambda label: source.identities[label])
    rank = np.empty(len(by_name), dtype=np.int64)
    rank[by_name] = np.arange(len(by_name))
    labels = rank[source.labels]
    order = np.array(sorted(range(len(files)), key=lambda row: (labels[row], files[row])), dtype=np.int64)
    return Listing(
        labels=labels[order],
        identities=[source.identities[label] for label in by_name],
        keys=[files[row] for row in order],
        order=order,
    )
