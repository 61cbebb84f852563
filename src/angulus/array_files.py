"""Arrays of numpy in files, `.npy` and `.npz`: what a header claims is held against the file before room is made.

Our own files say when they are damaged: a `.npy` ends with a checksum after its values, which other readers pass over,
and a `.npz` has one of its directory as its comment, beside those that a zip has of each member. Files without are read
as they are. The arrays of a `.npz` take at most 64 MiB, or 200 times the file. Ours begin at multiples of 64 bytes, so
that large ones can stay in the file.
"""

import logging
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from angulus.files import BoundedReader

logger = logging.getLogger(__name__)

SMALL, MOST_TIMES = 2**26, 200
_MARK = b"angulus crc32 "
_TRAILER = len(_MARK) + 9
_AT_ONCE = 2**20
_ALIGNED, _FIELD, _NOTHING_SAID = 64, struct.Struct("<HH"), 0xD935
_LOCAL_HEAD, _LENGTHS_AT = 30, 26
_MEMBER_HEAD = _LOCAL_HEAD + 20  # with the sizes of more than 4 GiB


def read_array(path: str | Path, *, mapped: bool = False) -> NDArray:
    """The array of a `.npy`. mapped: it stays in the file.

    Raises OSError for a file that cannot be read, and ValueError for whatever is wrong with its content.
    """
    with BoundedReader(path) as file:
        try:
            kind, shape, order = _header(file)
        except Exception as error:  # a damaged header raises a dozen types
            raise ValueError(_first_line(error)) from error
        begin, size = file.tell(), prod(shape) * kind.itemsize
        if begin + size > file.size:
            raise ValueError(f"it claims {size:,} bytes of values and holds {file.size - begin:,}; it is cut short")
        end = max(begin + size, file.size - _TRAILER)
        file.seek(end)
        trailer = file.read(_TRAILER)
        whole = end == begin + size and trailer == _trailer(_checksum(file, end))
        if trailer.startswith(_MARK) and not whole:
            raise ValueError("its values have another checksum than when they were written; it is damaged")
        if trailer and not trailer.startswith(_MARK):
            logger.warning("%s holds %d bytes after its values; they are passed over", path, file.size - begin - size)
        if mapped and size:
            return np.memmap(path, dtype=kind, mode="r", offset=begin, shape=shape, order=order)
        file.seek(begin)
        return _values(file, kind, shape, order)


def write_array(file: BinaryIO, array: NDArray) -> None:
    """Write a `.npy` and its checksum."""
    sink = _Summed(file)
    npy.write_array(sink, np.ascontiguousarray(array), allow_pickle=False)
    file.write(_trailer(sink.checksum))


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """An array that is too large to be held at once: its type, its shape, and its rows in order, in blocks."""

    dtype: np.dtype
    shape: tuple[int, ...]
    rows: Callable[[], Iterable[NDArray]]


def read_arrays(path: str | Path, *, mapped: int | None = None) -> dict[str, NDArray]:
    """The arrays of a `.npz` by name. mapped: those of so many bytes and more stay in the file, where they can.

    Raises OSError and ValueError as `read_array`.
    """
    with BoundedReader(path) as file:
        try:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise ValueError("it holds one array, not a .npz archive; name it .npy")
            with zipfile.ZipFile(file) as archive:
                return _members(archive, file, mapped)
        except OSError:
            raise
        except Exception as error:  # a damaged zip raises a dozen types
            raise ValueError(_first_line(error)) from error


def write_arrays(file: BinaryIO, arrays: Mapping[str, NDArray | Blocks]) -> None:
    """Write a `.npz` and the checksum of its directory; the same bytes for an array and for its blocks."""
    # as numpy.savez does, which takes no array named "file"
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(_aligned(f"{name}.npy", file.tell()), "w", force_zip64=True) as member:
                if isinstance(array, Blocks):
                    _write_blocks(member, array)
                else:
                    npy.write_array(member, np.asarray(array), allow_pickle=False)
        archive.comment = _trailer(_directory(archive))


def _aligned(name: str, place: int) -> zipfile.ZipInfo:
    """A member at `place` whose content begins at a multiple of 64: a field that says nothing fills the room."""
    member = zipfile.ZipInfo(name)
    room = -(place + _MEMBER_HEAD + len(name.encode())) % _ALIGNED
    if room:
        room += _ALIGNED if room < _FIELD.size else 0
        member.extra = _FIELD.pack(_NOTHING_SAID, room - _FIELD.size) + bytes(room - _FIELD.size)
    return member


def _write_blocks(member: Any, array: Blocks) -> None:
    """As numpy writes an array. Raises ValueError where the blocks do not add up to its shape."""
    head = {"descr": npy.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(member, head)
    count = 0
    for block in array.rows():
        if block.shape[1:] != array.shape[1:]:
            raise ValueError(f"rows must have the shape {list(array.shape[1:])}, got {list(block.shape[1:])}")
        count += len(block)
        member.write(np.ascontiguousarray(block, dtype=array.dtype).reshape(-1).view(np.uint8).data)
    if count != array.shape[0]:
        raise ValueError(f"{array.shape[0]} rows were announced, and there were {count}")


class _Summed:
    """A file that is written to, and the checksum of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.checksum = file, 0

    def write(self, content: Any) -> int:
        self.checksum = crc32(content, self.checksum)
        return self._file.write(content)


def _members(archive: zipfile.ZipFile, file: BoundedReader, mapped: int | None) -> dict[str, NDArray]:
    size = file.size
    members = [info for info in archive.infolist() if not info.is_dir()]
    claimed = sum(info.file_size for info in members)
    if claimed > max(SMALL, MOST_TIMES * size):
        raise ValueError(
            f"its arrays must have at most {SMALL:,} bytes, or {MOST_TIMES} times the file's {size:,}, "
            f"and claim {claimed:,}"
        )
    comment = archive.comment
    if comment.startswith(_MARK) and comment != _trailer(_directory(archive)):
        raise ValueError("its directory has another checksum than when it was written; it is damaged")
    arrays = {}
    for info in members:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{info.filename} is compressed in a way that numpy never uses")
        name = info.filename.removesuffix(".npy")
        if name in arrays:
            raise ValueError(f"it holds two arrays named {name}")
        with archive.open(info) as member:
            kind, shape, order = _header(member)
            claims = prod(shape) * kind.itemsize
            if member.tell() + claims > info.file_size:
                raise ValueError(f"{info.filename} claims {claims:,} bytes of values, and has {info.file_size:,}")
            place = _place(file, info, member.tell(), kind) if mapped is not None and claims >= mapped else None
            if place is None:
                arrays[name] = _values(member, kind, shape, order)
            else:
                while member.read(_AT_ONCE):
                    pass
                arrays[name] = np.memmap(file, dtype=kind, mode="r", offset=place, shape=shape, order=order)
            member.read(1)  # the checksum is looked at where a member ends
    return arrays


def _place(file: BoundedReader, info: zipfile.ZipInfo, head: int, kind: np.dtype) -> int | None:
    """Where the values of a member lie, None where they cannot be used in place; the file is left where it was."""
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    before = file.tell()
    file.seek(info.header_offset + _LENGTHS_AT)
    name, extra = _FIELD.unpack(file.read(_FIELD.size))
    file.seek(before)
    place = info.header_offset + _LOCAL_HEAD + name + extra + head
    return place if place % kind.alignment == 0 else None


def _directory(archive: zipfile.ZipFile) -> int:
    lines = [f"{info.filename} {info.CRC:08x} {info.file_size}\n" for info in archive.infolist()]
    return crc32("".join(lines).encode("utf-8", "surrogateescape"))


def _header(file: Any) -> tuple[np.dtype, tuple[int, ...], Any]:
    """Type, shape and order of the values that follow. Raises what numpy raises, ValueError for what is no array."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"it is of the version {version} of .npy, which holds no plain numbers or texts")
    shape, fortran, kind = readers[version](file)
    if kind.kind not in "biufcSU" or not kind.itemsize:
        raise ValueError(f"its values must be numbers, truth values or text, not pickled objects or records: {kind}")
    if len(shape) > 8 or min(shape, default=0) < 0 or max(shape, default=0) >= 2**62:
        raise ValueError("its shape is none that an array can have")
    return kind, shape, "F" if fortran else "C"


def _values(file: Any, kind: np.dtype, shape: tuple[int, ...], order: Any) -> NDArray:
    content = np.empty(prod(shape) * kind.itemsize, dtype=np.uint8)
    place = 0
    while place < len(content):
        block = file.read(min(_AT_ONCE, len(content) - place))
        if not block:
            raise ValueError("it ends within its values; it is cut short")
        content[place : place + len(block)] = np.frombuffer(block, dtype=np.uint8)
        place += len(block)
    return content.view(kind).reshape(shape, order=order)


def _checksum(file: BoundedReader, size: int) -> int:
    """Of the first bytes of a file."""
    file.seek(0)
    found, left = 0, size
    while left and (block := file.read(min(_AT_ONCE, left))):
        found, left = crc32(block, found), left - len(block)
    return found


def _trailer(checksum: int) -> bytes:
    return _MARK + f"{checksum:08x}\n".encode()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
