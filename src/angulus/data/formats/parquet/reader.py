"""Parquet files with the bytes of images or recordings, as Hugging Face stores sets: one file, or a folder of parts.

    image   (or audio)   struct {bytes, path}, or plain bytes; `path` is the key of the example, a number
        where a path is missing or two are equal (a hub keeps only base names)
    label   whole number, its names in the metadata of the file ("huggingface", a ClassLabel) where there are some;
            or text: the name of the identity

A column is found by its name (image or audio; label, labels, identity, class, speaker, speaker_id), or by its type
where only one fits. Rows are read in groups, of which the last few are kept: fine for converting and for reading in
order; for training at full rate convert to packed. Needs pyarrow (`pip install angulus[parquet]`).
"""

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.formats.byte_ranges import Blob
from angulus.data.formats.label_names import labelled, numbered
from angulus.errors import DataError
from angulus.json_files import parse_json
from angulus.storage import arrived

_EXAMPLES = ("image", "audio")
_LABELS = ("label", "labels", "identity", "class", "speaker", "speaker_id")
_GROUPS_KEPT = 8
SMALL, MOST_ROWS_A_BYTE, MOST_TIMES = 2**20, 8, 200
_PART = re.compile(r"(train|test|validation|valid|val|dev|[A-Za-z_.]+(?=-\d+-of-\d+\.))(?=[-_.0-9])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, eq=False)
class ParquetRecords:
    """The rows of one file or several. Build it with `open_parquet`."""

    origin: str
    blobs: Sequence[Blob]
    column: str
    starts: NDArray[np.int64]
    """First row of every row group, of all files in order, and the number of rows at the end."""
    groups: Sequence[tuple[int, int]]
    """File and number in the file of every row group."""
    labels: NDArray[np.int64]
    identities: Sequence[str]
    keys: Sequence[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple[object, ...]:
        return open_parquet, (self.origin,)

    @property
    def files(self) -> list[str]:
        """Names of the files."""
        return [blob.path.name for blob in self.blobs]

    def file_numbers(self) -> NDArray[np.int64]:
        """[n], which file holds each row."""
        return np.repeat(np.array([file for file, _ in self.groups], dtype=np.int64), np.diff(self.starts))

    def read_bytes(self, index: int) -> bytes:
        """One image. Raises DataError for a row without bytes and for a damaged file."""
        group = int(np.searchsorted(self.starts, index, side="right")) - 1
        with self.lock:
            content = self._read_group(group)[index - int(self.starts[group])].as_py()
        if content is None:
            raise DataError(
                f"{self.origin}: row {index} ({self.keys[index]}) holds no image, only its path; this layout needs the "
                "bytes: convert a folder or a manifest instead"
            )
        return content

    def stamp(self, index: int, *, times: bool) -> str:
        group = int(np.searchsorted(self.starts, index, side="right")) - 1
        blob = self.blobs[self.groups[group][0]]
        return f"{blob.size}:{blob.changed}" if times else f"{blob.size}"

    @cached_property
    def _read_group(self) -> Any:
        files = [opened_file(blob.path) for blob in self.blobs]

        def read(group: int) -> Any:
            file, number = self.groups[group]
            try:
                column = files[file].read_row_group(number, columns=[self.column], use_threads=False).column(0)
            except (OSError, ValueError, MemoryError, import_arrow().ArrowException) as error:
                raise DataError(f"cannot read {self.blobs[file].path}, row group {number}: {error}") from error
            column = column.combine_chunks()
            return column if _is_bytes(column.type) else column.field("bytes")

        return lru_cache(maxsize=_GROUPS_KEPT)(read)


def open_parquet(path: str | Path) -> ParquetRecords:
    """Open a file, all files of a pattern (train-*.parquet), or those of a folder or of its folder `data`, in order.

    Raises DataError where pyarrow or a column is missing, for damaged files, and for labels that are no whole numbers.
    """
    path = arrived(path)
    paths = files_at(path)
    blobs = [Blob.find(one) for one in paths]
    files = [opened_file(one) for one in paths]
    schema = files[0].schema_arrow
    image, label = _image_column(path, schema), _label_column(path, schema)
    with_path = not _is_bytes(schema.field(image).type) and schema.field(image).type.get_field_index("path") >= 0
    tables = [
        _columns(one, file, [label, *([f"{image}.path"] if with_path else [])])
        for one, file in zip(paths, files, strict=True)
    ]
    values = [value for table in tables for value in table.column(label).to_pylist()]
    labels, identities = _labels(path, label, values, _class_names(schema, label))
    groups = [(number, group) for number, file in enumerate(files) for group in range(file.num_row_groups)]
    rows = [files[number].metadata.row_group(group).num_rows for number, group in groups]
    return ParquetRecords(
        origin=str(path),
        blobs=blobs,
        column=image,
        starts=np.concatenate([[0], np.cumsum(rows, dtype=np.int64)]).astype(np.int64),
        groups=groups,
        labels=labels,
        identities=identities,
        keys=_keys(tables, image, len(values)) if with_path else [f"{row:09d}" for row in range(len(values))],
    )


def files_at(path: Path) -> list[Path]:
    """The files that a path means, in the order of their names.

    Raises DataError where there is none, and for a folder with several parts (train-*, test-*): these are joined only
    when a pattern asks for it.
    """
    if "*" in path.name:
        found = sorted(path.parent.glob(path.name))
        if not found:
            raise DataError(f"no file is called {path}")
        return found
    if not path.is_dir():
        return [path]
    folder = next((one for one in (path, path / "data") if next(one.glob("*.parquet"), None) is not None), None)
    if folder is None:
        raise DataError(f"{path} holds no file *.parquet, and neither does a folder data in it")
    found = sorted(folder.glob("*.parquet"))
    parts = Counter(part.group(1) for one in found if (part := _PART.match(one.name)))
    if len(parts) > 1:
        counted = ", ".join(f"{name} ({count})" for name, count in parts.items())
        raise DataError(
            f"{folder} holds the parts {counted}: name one of them as '{folder}/{max(parts, key=parts.__getitem__)}*"
            f".parquet', or all to join them as '{folder}/*.parquet'"
        )
    return found


def is_hub(folder: Path) -> bool:
    """Whether a folder holds parquet files, itself or in its folder `data`, as sets from a hub do."""
    return any(next(one.glob("*.parquet"), None) is not None for one in (folder, folder / "data"))


def _image_column(path: Path, schema: Any) -> str:
    """The column of images. Raises DataError where there is none, or several and none is called "image"."""
    fitting = [one.name for one in schema if _is_image(one.type)]
    named = [name for name in _EXAMPLES if name in fitting]
    if named or len(fitting) == 1:
        return named[0] if named else fitting[0]
    raise DataError(
        f"{path} must have a column image or audio with bytes, or a struct of bytes and path; it has "
        + ", ".join(schema.names)
    )


def has_images(path: Path) -> bool:
    """Whether a parquet file holds bytes; without them it is a manifest."""
    return any(_is_image(one.type) for one in opened_file(path).schema_arrow)


def read_columns(path: Path) -> dict[str, list[Any]]:
    """A whole table by columns, for tables without images."""
    return _columns(path, opened_file(path), opened_file(path).schema_arrow.names).to_pydict()


def write_columns(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """A table without images as a parquet file."""
    arrow = import_arrow()
    sink = arrow.BufferOutputStream()
    arrow.parquet.write_table(arrow.table(dict(columns)), sink)
    return sink.getvalue().to_pybytes()


def import_arrow() -> Any:
    """pyarrow, which only this layout needs. Raises DataError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("parquet needs pyarrow: pip install 'angulus[parquet]'") from error
    return pyarrow


def opened_file(path: Path) -> Any:
    """A parquet file, its metadata read. Raises DataError when it is none."""
    arrow = import_arrow()
    blob = Blob.find(path)
    size = blob.size
    try:
        most = max(size, 2**16)  # what the description of the file may claim of its own texts and lists
        file = arrow.parquet.ParquetFile(
            path if blob.ranges is None else blob.opened(),
            page_checksum_verification=True,
            thrift_string_size_limit=most,
            thrift_container_size_limit=most,
        )
    except (OSError, ValueError, MemoryError, arrow.ArrowException) as error:
        raise DataError(
            f"cannot read {path} as parquet: {error}; it is damaged, cut short, or of another kind"
        ) from error
    _check_claims(path, size, file.metadata)
    return file


def _check_claims(path: Path, size: int, described: Any) -> None:
    """Raises DataError where a file claims far more rows or bytes than it has room for."""
    groups = [described.row_group(number) for number in range(described.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    if rows != described.num_rows or min((group.num_rows for group in groups), default=0) < 0:
        raise DataError(f"{path} claims {described.num_rows:,} rows, and its groups {rows:,}; it is damaged")
    claimed = sum(max(0, group.total_byte_size) for group in groups)
    for what, count, most in (("rows", rows, MOST_ROWS_A_BYTE), ("bytes", claimed, MOST_TIMES)):
        if count > max(SMALL, most * size):
            raise DataError(
                f"{path} must claim at most {SMALL:,} {what}, or {most} for each of its {size:,} bytes, got {count:,}"
            )


def _is_bytes(kind: Any) -> bool:
    types = import_arrow().types
    return types.is_binary(kind) or types.is_large_binary(kind)


def _is_image(kind: Any) -> bool:
    is_struct = import_arrow().types.is_struct(kind)
    return _is_bytes(kind) or (is_struct and kind.get_field_index("bytes") >= 0)


def _label_column(path: Path, schema: Any) -> str:
    found = next((name for name in _LABELS if name in schema.names), None)
    if found is None:
        raise DataError(f"{path} must have a column {', '.join(_LABELS)}; it has {', '.join(schema.names)}")
    return found


def _columns(path: Path, file: Any, columns: list[str]) -> Any:
    try:
        return file.read(columns=columns, use_threads=False)
    except (OSError, KeyError, ValueError, MemoryError, import_arrow().ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}; its columns must be those of the first part") from error


def _class_names(schema: Any, label: str) -> list[str] | None:
    try:
        about = parse_json((schema.metadata or {})[b"huggingface"])
        names = about["info"]["features"][label]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return [str(name) for name in names]


def _labels(
    path: Path, column: str, values: list[Any], names: Sequence[str] | None
) -> tuple[NDArray[np.int64], Sequence[str]]:
    if values and all(isinstance(value, str) for value in values):
        return labelled(str(path), None, values)
    if any(isinstance(value, str) for value in values):
        row = next(row for row, value in enumerate(values) if not isinstance(value, str))
        raise DataError(f"{path}: {column} of row {row} must be the name of an identity, got {values[row]!r}")
    for row, value in enumerate(values):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise DataError(f"{path}: {column} of row {row} must be a whole number from 0 or a name, got {value!r}")
    if names is None:
        return labelled(str(path), values, None)
    labels = np.array(values, dtype=np.int64)
    if len(labels) and labels.max() >= len(names):
        raise DataError(f"{path}: {column} goes up to {labels.max()}, and the file has {len(names)} names for it")
    return labels, names


def _keys(tables: Sequence[Any], image: str, count: int) -> list[str]:
    keys = [one["path"] for table in tables for one in table.column(image).to_pylist()]
    if any(not key for key in keys) or len(set(keys)) < len(keys):
        return numbered(np.arange(count))
    return keys
