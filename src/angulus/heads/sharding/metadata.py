"""The files of a head's checkpoint: sealed with checksums, and read without running anything.

torch.distributed.checkpoint writes the index, `.metadata`, as a pickle, and reads entries that are no tensors as
pickles too. A pickle may call any function of Python. Here it may make the few records that such an index consists of,
every entry must be a tensor, every file lies in the folder, and no more room is asked for than the files can fill.

Every file ends with a checksum (`angulus.checksums`); a process looks at those of the files that it reads. A folder of
an older version has none and is read as it is.
"""

import io
import os
import pickle
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import torch
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter, metadata
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from angulus.checksums import ChecksumError, check, is_sealed, seal
from angulus.files import BoundedReader
from angulus.pickles.machine import Refused, read_pickle
from angulus.pickles.tensors import check_tensors

MOST_BYTES = 2**28  # of an index; one of a million tensors has a fifth of that
_MOST_PATH = 4096


def _layout(name: str) -> torch.layout:
    if name != "torch.strided":
        raise pickle.UnpicklingError(f"tensors must be strided, got {name!r:.40}")
    return torch.strided


def _memory_format(number: int) -> Any:
    if not isinstance(number, int):
        raise pickle.UnpicklingError("a memory format must be a number")
    return metadata._MEM_FORMAT_ENCODING(number)


def _path(*parts: str) -> PurePosixPath:
    if not all(isinstance(part, str) for part in parts) or sum(len(part) + 1 for part in parts) > _MOST_PATH:
        raise pickle.UnpicklingError(f"a path must be text of at most {_MOST_PATH:,} characters")
    return PurePosixPath(*parts)


def _ordered(*items: Any) -> dict[Any, Any]:
    if items:
        raise pickle.UnpicklingError("a dictionary must begin empty")
    return {}


_RECORDS = (
    "Metadata",
    "TensorStorageMetadata",
    "TensorProperties",
    "ChunkStorageMetadata",
    "MetadataIndex",
    "StorageMeta",
)
_ALLOWED: dict[tuple[str, str], Any] = {
    **{(metadata.__name__, name): getattr(metadata, name) for name in _RECORDS},
    (_StorageInfo.__module__, _StorageInfo.__name__): _StorageInfo,
    ("torch", "Size"): torch.Size,
    (metadata.__name__, "_MEM_FORMAT_ENCODING"): _memory_format,
    ("torch.serialization", "_get_layout"): _layout,
    ("pathlib", "PosixPath"): _path,
    ("pathlib", "PurePosixPath"): _path,
    ("pathlib", "WindowsPath"): _path,
    ("pathlib", "PureWindowsPath"): _path,
    # the same from Python 3.13 on, where the classes have moved
    ("pathlib._local", "PosixPath"): _path,
    ("pathlib._local", "WindowsPath"): _path,
    ("collections", "OrderedDict"): _ordered,
}


class SealedWriter(FileSystemWriter):
    """A writer of torch.distributed.checkpoint that adds a checksum to every file."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write what this process has; a file that cannot be sealed fails like one that cannot be written."""
        written = super().write_data(plan, planner)
        for name in sorted({result.storage_data.relative_path for result in written.wait()}):
            seal(Path(self.path) / name)
        return written

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Write the index, by one process."""
        super().finish(metadata, results)
        seal(Path(self._get_metadata_path()))


class TensorReader(FileSystemReader):
    """A folder of torch.distributed.checkpoint whose index may hold tensors and nothing else.

    Its `read_metadata` raises pickle.UnpicklingError for an index that asks for anything more.
    """

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The index, checked."""
        folder = Path(self.path)
        index = Path(self._get_metadata_path(kwargs.get("rank")))
        if index.stat().st_size > MOST_BYTES:
            raise pickle.UnpicklingError(f"it must have at most {MOST_BYTES:,} bytes, got {index.stat().st_size:,}")
        sealed = check(index)
        found = read_pickle(index, _find, is_key=_is_key)
        if not isinstance(found, Metadata):
            raise pickle.UnpicklingError(f"it must hold an index of tensors, got {type(found).__name__}")
        _check(found, folder, sealed)
        if found.storage_meta is None:
            found.storage_meta = StorageMeta()
        found.storage_meta.load_id = self.load_id
        return found

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Read what this process asks for, from files that are what was written."""
        for name in sorted({self.storage_data[item.storage_index].relative_path for item in plan.items}):
            try:
                check(Path(self.path) / name)
            except ChecksumError as error:
                raise ChecksumError(f"{name}: {error}") from error
        for item in plan.items:
            info = self.storage_data[item.storage_index]
            with BoundedReader(Path(self.path) / info.relative_path) as file:
                check_tensors(cast(BinaryIO, _Part(file, info.offset, info.length)), info.length)
        return super().read_data(plan, planner)


class _Part(io.RawIOBase):
    """A part of an open file, as a file."""

    def __init__(self, file: BinaryIO, begin: int, length: int) -> None:
        super().__init__()
        self._file, self._begin, self._length = file, begin, length
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell() - self._begin

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._length}[whence]
        return self._file.seek(self._begin + max(0, start + offset)) - self._begin

    def readinto(self, room: Any) -> int:
        content = self._file.read(min(len(room), max(0, self._length - self.tell())))
        room[: len(content)] = content
        return len(content)


def _find(module_name: str, name: str) -> Any:
    known = _ALLOWED.get((module_name, name))
    if known is not None:
        return known
    kind = getattr(torch, name, None) if module_name == "torch" else None
    if isinstance(kind, torch.dtype):
        return kind
    raise Refused(f"it asks for {module_name}.{name}, which no index of tensors needs")


def _is_key(key: Any) -> bool:
    """Whether an object is the place of a tensor, whose hash takes no time."""
    if type(key) is not MetadataIndex:
        return False
    plain = isinstance(key.fqn, str) and isinstance(key.index, int | None)
    return plain and isinstance(key.offset, torch.Size | None)


def _is_place(offset: Any, length: Any) -> bool:
    return type(offset) is int and type(length) is int and 0 <= offset < 2**62 and 0 < length < 2**62


def _check(found: Metadata, folder: Path, sealed: bool) -> None:
    """Raise UnpicklingError for an entry that is no tensor, a file elsewhere, and sizes that the files cannot fill.

    sealed: whether the index has a checksum; then all files must have one, or else none.
    """
    room = 0
    for name, entry in found.state_dict_metadata.items():
        if not isinstance(entry, TensorStorageMetadata):
            raise pickle.UnpicklingError(f"every entry must be a tensor, got {type(entry).__name__} for {name}")
        if not isinstance(entry.size, torch.Size) or min(entry.size, default=0) < 0:
            raise pickle.UnpicklingError(f"every tensor must have a size, got another for {name!r:.60}")
        if not isinstance(entry.properties.dtype, torch.dtype):
            raise pickle.UnpicklingError(f"every tensor must have a type, got another for {name!r:.60}")
        room += prod(entry.size) * entry.properties.dtype.itemsize
    files = set()
    for info in (found.storage_data or {}).values():
        place = info.relative_path
        if not isinstance(place, str) or Path(place).name != place or not (folder / place).is_file():
            raise pickle.UnpicklingError(f"every file must lie in {folder.name}, got {place!r}")
        if getattr(info, "transform_descriptors", None) or not _is_place(info.offset, info.length):
            raise pickle.UnpicklingError(f"every tensor must lie in {place} as it is, from one byte to another")
        files.add(place)
    there = sum((folder / place).stat().st_size for place in files)
    if room > there:
        raise pickle.UnpicklingError(f"its tensors take {room:,} bytes, but its files hold {there:,}")
    odd = sorted(place for place in files if is_sealed(folder / place) != sealed)
    if odd:
        raise ChecksumError(f"either all files must have a checksum or none, got {odd[0]}: a file was cut or damaged")
