"""Writes a manifest: of files where they lie, or of images that are written into a folder beside it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.formats.folder.reader import FolderSource
from angulus.data.formats.folder.writer import FolderWriter
from angulus.data.formats.manifest.reader import ManifestRecords, manifest_text, open_manifest
from angulus.data.formats.output import Listing
from angulus.data.formats.record_source import StoredSource
from angulus.errors import DataError
from angulus.text_files import is_utf8, printable
from angulus.whole_files import write_flushed


class ManifestWriter:
    """Images of a folder or of another manifest stay where they are; others go into the folder `<name>_images`."""

    def __init__(self, folder: Path, name: str, source: Source, *, place: Path) -> None:
        """place: the folder that the manifest will lie in, from which the paths of the files are written."""
        self.listing = Listing.of(source)
        self._path, self._place = folder / name, place
        self._images: FolderWriter | None = None
        files = paths_of(source)
        if files is None:
            images = f"{Path(name).stem}_images"
            self._images = FolderWriter(folder, images, source)
            self._files = [f"{images}/{file}" for file in self._images.files]
        else:
            self._files = [os.path.relpath(file, place) for file in files]
        check_names(self._path.name, self.listing, self._files)
        self.outputs = [*(self._images.outputs if self._images else ()), name]
        self._more = _further_columns(source)

    def resume(self, done: int, end: int) -> int:
        return done

    def write(self, first: int, images: Sequence[bytes]) -> list[int]:
        return self._images.write(first, images) if self._images else [0] * len(images)

    def finish(self, ends: NDArray[np.uint64], checksums: NDArray[np.uint32]) -> None:
        names = self.listing.identities
        labels = self.listing.labels.tolist()
        columns: Mapping[str, Sequence[Any]] = {
            "path": self._files,
            "identity": [names[label] for label in labels],
            "label": labels,
            "key": list(self.listing.keys),
            **self._more,
        }
        if self._path.suffix == ".parquet":
            from angulus.data.formats.parquet.reader import write_columns

            write_flushed(self._path, write_columns(columns))
        else:
            write_flushed(self._path, manifest_text(columns))

    def opened(self) -> Source:
        root = None if self._images else self._place
        return StoredSource(records=open_manifest(self._path, root=root))

    def close(self) -> None:
        pass


def check_names(name: str, listing: Listing, files: Sequence[str]) -> None:
    """Raise DataError for names of files or people that the table could not hold as text."""
    for text in (*listing.identities, *listing.keys, *files):
        if not is_utf8(text):
            raise DataError(
                f"a manifest holds names in UTF-8 alone, and {printable(text)} of the set for {name} is not; rename "
                "it, or convert to packed"
            )


def paths_of(source: Source) -> list[Path] | None:
    """The files that hold the images one by one, or None where they lie together."""
    if isinstance(source, FolderSource):
        return [source.root.absolute() / key for key in source.keys]
    if isinstance(source, StoredSource) and isinstance(source.records, ManifestRecords):
        return [source.records.file(index).absolute() for index in range(len(source))]
    return None


def _further_columns(source: Source) -> Mapping[str, Sequence[str]]:
    if isinstance(source, StoredSource) and isinstance(source.records, ManifestRecords):
        return source.records.columns
    return {}
