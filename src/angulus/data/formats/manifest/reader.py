"""A manifest: a table (csv, or parquet) that lists images wherever they lie.

    path,identity,camera          path       from the folder of the manifest, or absolute
    photos/a1.jpg,Ada,3           identity   the name of who is shown
    photos/b7.jpg,Bob,1           label      whole number, beside the identity or instead of it (optional)
                                  key        the name of the image; the path where there is no such column (optional)

All further columns are kept as text, by name, in `columns`.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.formats.file_places import example_from_elsewhere, is_elsewhere, is_fetched, outside
from angulus.data.formats.label_names import check_unique, labelled, whole_number
from angulus.errors import DataError
from angulus.files import read_regular
from angulus.tables import read_csv, table_text
from angulus.text_files import slashed

logger = logging.getLogger(__name__)
_KNOWN = ("path", "identity", "label", "key")


@dataclass(frozen=True, kw_only=True, eq=False)
class ManifestRecords:
    """The images that a manifest lists. Build it with `open_manifest`."""

    path: Path
    root: Path
    """The folder from which paths are meant."""
    files: Sequence[str]
    """[n], as the manifest writes them."""
    labels: NDArray[np.int64]
    identities: Sequence[str]
    keys: Sequence[str]
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Further columns, [n] each."""

    @property
    def origin(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self.files)

    def file(self, index: int) -> Path:
        """Where an image lies."""
        return self.root / self.files[index]

    def read_bytes(self, index: int) -> bytes:
        """The file as it is. Raises DataError naming it and the manifest where it cannot be read."""
        try:
            content = read_regular(os.path.join(self.root, self.files[index]))
        except OSError as error:
            raise DataError(
                f"cannot read {self.file(index)}, which example {index} of {self.path} names: {error.strerror or error}"
            ) from error
        here = not is_elsewhere(self.root, self.files[index])
        return content if here else example_from_elsewhere(content, self.file(index), self.origin)

    def stamp(self, index: int, *, times: bool) -> str:
        try:
            status = self.file(index).stat()
        except (OSError, ValueError) as error:  # a name with a zero byte is no name
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"cannot read {self.file(index)}, named by {self.path}: {reason}") from error
        return f"{status.st_size}:{status.st_mtime_ns}" if times else f"{status.st_size}"


def open_manifest(path: str | Path, *, root: Path | None = None) -> ManifestRecords:
    """Read a manifest; `root` is the folder from which its paths are meant, by default its own.

    Raises DataError naming the file and the line for everything that is not as it must be."""
    path = Path(path)
    columns = _read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    if "path" not in columns or not {"identity", "label"} & columns.keys():
        raise DataError(f"{path} must have the columns path and identity (or label); it has {', '.join(columns)}")
    folder = path.parent if root is None else root
    files = columns["path"] = [_here(folder, name) for name in columns["path"]]
    if not files:
        raise DataError(f"{path} lists no example")
    for name in ("path", "identity", "key"):
        if not all(columns.get(name, files)):
            raise DataError(f"{path}, line {list(columns[name]).index('') + 2}: {name} must not be empty")
    _check_places(path, folder, files)
    numbers = None
    if "label" in columns:
        numbers = [whole_number(text, f"{path}, line {row + 2}") for row, text in enumerate(columns["label"])]
    labels, identities = labelled(str(path), numbers, columns.get("identity"))
    keys = columns.get("key", files)
    check_unique(str(path), keys)
    more = {name: values for name, values in columns.items() if name not in _KNOWN}
    return ManifestRecords(
        path=path,
        root=folder,
        files=files,
        labels=labels,
        identities=identities,
        keys=keys,
        columns=more,
    )


def _check_places(path: Path, root: Path, files: Sequence[str]) -> None:
    """Say how many files lie elsewhere; refuse them in a set that came from elsewhere itself."""
    elsewhere = outside(root, files)
    if not elsewhere:
        return
    if is_fetched(root):
        raise DataError(
            f"{path} is a list of a fetched set and must name files in its own folder, got {elsewhere[0]!r} and "
            f"{len(elsewhere) - 1:,} more outside; do not use this set"
        )
    logger.warning(
        "%s names %s of %s files outside its folder, such as %s",
        *(path, f"{len(elsewhere):,}", f"{len(files):,}", elsewhere[0]),
    )


def _here(root: Path, name: str) -> str:
    """A path with the separators of this system, where the manifest comes from Windows."""
    return name if "\\" not in name or os.path.exists(os.path.join(root, name)) else slashed(name)


def manifest_text(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """The columns as csv."""
    return table_text([tuple(columns), *zip(*columns.values(), strict=True)]).encode("utf-8", "surrogateescape")


def _read_parquet(path: Path) -> dict[str, list[str]]:
    from angulus.data.formats.parquet.reader import read_columns

    return {
        name: ["" if value is None else str(value) for value in values] for name, values in read_columns(path).items()
    }
