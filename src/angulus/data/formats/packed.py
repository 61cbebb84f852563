"""Angulus's own layout for training: a folder `NAME.packed` with all images in one file and one index, both mapped.

    images.bin          the encoded images, one after the other, nothing between them
    index.safetensors   offsets uint64 [n + 1], labels int64 [n], checksums uint32 [n] (crc32 of each image), and the
                        names: key_text uint8, key_ends uint64 [n], identity_text uint8, identity_ends uint64 [c]

The metadata of the index says the version, and from version 2 on "checksum", the crc32 of everything after the header,
which is compared once on opening. Version 1 has none and is read too. The arrays stay in the file, and the processes of
a machine share what the system has read of them; a worker that opens the set again compares nothing. Labels are int64,
as training takes them, so that no process makes a copy. Any reader of safetensors reads the index too.
"""

import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.formats.byte_ranges import Blob
from angulus.data.formats.output import Appended, Listing
from angulus.data.formats.record_source import StoredSource
from angulus.data.index.strings import StringTable, encode_name, ends_of
from angulus.errors import DataError
from angulus.json_files import parse_json
from angulus.storage import arrived

IMAGES, INDEX = "images.bin", "index.safetensors"
_FORMAT, _VERSION = "angulus.packed", "2"
_READ = ("1", _VERSION)
_TYPES = {"U64": np.uint64, "I64": np.int64, "U32": np.uint32, "U8": np.uint8}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_SECTIONS = ("offsets", "labels", "key_ends", "identity_ends", "checksums", "key_text", "identity_text")
_KINDS = dict(zip(_SECTIONS, map(np.dtype, ("u8", "i8", "u8", "u8", "u4", "u1", "u1")), strict=True))
_NAMES_AT_ONCE = 2**16


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedRecords:
    """The records of a packed set. Build it with `open_packed`."""

    folder: Path
    blob: Blob
    offsets: NDArray[np.uint64]
    labels: NDArray[np.int64]
    checksums: NDArray[np.uint32]
    identities: Sequence[str]
    keys: Sequence[str]

    @property
    def origin(self) -> str:
        return str(self.folder)

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple[object, ...]:
        return _opened, (self.folder,)  # a worker maps the index anew instead of getting a copy

    def read_bytes(self, index: int) -> bytes:
        """One image. Raises DataError when its bytes are not those that were written."""
        begin, end = self.offsets[index : index + 2].tolist()
        if not begin <= end <= self.blob.size:
            raise DataError(f"{self.folder / INDEX}: record {index} goes from byte {begin:,} to {end:,}; it is damaged")
        content = self.blob.read(begin, end - begin, what=f"record {index}")
        if crc32(content) != self.checksums[index]:
            raise DataError(
                f"{self.blob.path}: record {index} ({self.keys[index]}) at byte {begin:,} has another checksum than "
                "when it was written: the file is damaged; convert it anew, or copy it again"
            )
        return content

    def stamp(self, index: int, *, times: bool) -> str:
        return f"{self.offsets[index + 1] - self.offsets[index]}:{self.checksums[index]}"

    def stamps(self, indices: NDArray[np.int64], *, times: bool) -> bytes:
        """Lengths and checksums."""
        lengths = self.offsets[indices + 1] - self.offsets[indices]
        return lengths.astype("<u8").tobytes() + self.checksums[indices].astype("<u4").tobytes()

    def will_need(self, begin: int, end: int) -> None:
        """Have the images begin..end-1 fetched from the disk."""
        first, last = int(self.offsets[begin]), int(self.offsets[end])
        self.blob.will_need(first, last - first)


def open_packed(path: str | Path) -> PackedRecords:
    """Open a packed set. Raises DataError for one that is missing, of a later version, damaged or cut short."""
    return _opened(arrived(path), compared=True)


def _opened(folder: Path, *, compared: bool = False) -> PackedRecords:
    arrays = _map_index(folder / INDEX, compared=compared)
    blob = Blob.find(folder / IMAGES)
    offsets, labels = arrays["offsets"], arrays["labels"]
    if not len(offsets):
        raise DataError(f"{folder / INDEX}: offsets must have at least one entry, got none")
    for name, expected in (("labels", len(offsets) - 1), ("checksums", len(labels)), ("key_ends", len(labels))):
        if len(arrays[name]) != expected:
            raise DataError(f"{folder / INDEX}: {name} must have {expected:,} entries, got {len(arrays[name]):,}")
    if compared:
        _check_rising(folder / INDEX, "offsets", offsets, int(offsets[-1]))
        for text, ends in (("key_text", "key_ends"), ("identity_text", "identity_ends")):
            _check_rising(folder / INDEX, ends, arrays[ends], len(arrays[text]))
    if int(offsets[0]) != 0:
        raise DataError(f"{folder / INDEX}: the first image must begin at byte 0, got {int(offsets[0]):,}")
    if int(offsets[-1]) != blob.size:
        raise DataError(
            f"{blob.path} must have {int(offsets[-1]):,} bytes, as its index says, got {blob.size:,}; it is cut short "
            "or belongs to another index"
        )
    people = len(arrays["identity_ends"])
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < people:
        raise DataError(f"{folder / INDEX}: labels must be in 0..{people - 1}, got {labels.min()} to {labels.max()}")
    return PackedRecords(
        folder=folder,
        blob=blob,
        offsets=offsets,
        labels=labels,
        checksums=arrays["checksums"],
        identities=StringTable(arrays["identity_text"], arrays["identity_ends"]),
        keys=StringTable(arrays["key_text"], arrays["key_ends"]),
    )


def write_index(
    file: BinaryIO,
    *,
    offsets: NDArray[np.uint64],
    labels: NDArray[np.int64],
    checksums: NDArray[np.uint32],
    keys: Sequence[str],
    identities: Sequence[str],
) -> None:
    """Write the index of a packed set; offsets [n + 1] begin with 0 and end with the size of the file of images."""
    key_ends, identity_ends = ends_of(keys, len(keys)), ends_of(identities, len(identities))
    arrays = {
        "offsets": offsets,
        "labels": labels,
        "key_ends": key_ends,
        "identity_ends": identity_ends,
        "checksums": checksums,
    }
    shapes: dict[str, tuple[np.dtype, int]] = {name: (array.dtype, len(array)) for name, array in arrays.items()}
    for name, ends in (("key_text", key_ends), ("identity_text", identity_ends)):
        shapes[name] = (np.dtype(np.uint8), int(ends[-1]) if len(ends) else 0)
    begin, checksum = file.tell(), 0
    file.write(index_header(shapes, checksum))
    for array in arrays.values():
        content = np.ascontiguousarray(array).data
        checksum = crc32(content, checksum)
        file.write(content)
    for names in (keys, identities):
        for text in _texts(names):
            checksum = crc32(text, checksum)
            file.write(text)
    file.seek(begin)
    file.write(index_header(shapes, checksum))
    file.seek(0, os.SEEK_END)


def index_header(shapes: dict[str, tuple[np.dtype, int]], checksum: int | None = None) -> bytes:
    """The header of an index; without a checksum it is one of version 1."""
    described: dict[str, object] = {
        "__metadata__": {"format": _FORMAT, "version": "1"}
        if checksum is None
        else {"format": _FORMAT, "version": _VERSION, "checksum": f"{checksum:08x}"}
    }
    place = 0
    for name, (dtype, count) in shapes.items():
        size = dtype.itemsize * count
        described[name] = {"dtype": _NAMES[dtype], "shape": [count], "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 8)  # so that every array begins at a multiple of its item size
    return struct.pack("<Q", len(text)) + text


def _texts(names: Sequence[str]) -> Iterator[bytes]:
    for begin in range(0, len(names), _NAMES_AT_ONCE):
        yield b"".join(encode_name(name) for name in names[begin : begin + _NAMES_AT_ONCE])


def _check_rising(path: Path, name: str, ends: NDArray[np.uint64], most: int) -> None:
    """Raises DataError unless the entries never fall and the last is `most`, a block at a time."""
    for begin in range(0, len(ends), _NAMES_AT_ONCE):
        block = ends[begin : begin + _NAMES_AT_ONCE + 1]
        falls = np.flatnonzero(block[1:] < block[:-1])
        if len(falls):
            row = begin + int(falls[0]) + 1
            raise DataError(f"{path}: {name} falls to {int(ends[row]):,} at entry {row:,}; it is damaged")
    if (int(ends[-1]) if len(ends) else 0) != most:
        raise DataError(
            f"{path}: {name} must end at {most:,}, got {int(ends[-1]) if len(ends) else 0:,}; it is damaged"
        )


def _map_index(path: Path, *, compared: bool) -> dict[str, NDArray]:
    # the library of safetensors copies what it reads; here nothing is read before it is asked for
    blob = Blob.find(path)
    length = struct.unpack("<Q", blob.read(0, 8, what="the header"))[0]
    if length > min(2**20, blob.size):
        raise DataError(f"{path} is no index of a packed set: its header has {length:,} bytes")
    try:
        described = parse_json(blob.read(8, length, what="the header"))
        kind, version = (described["__metadata__"][name] for name in ("format", "version"))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no index of a packed set: {error!r}") from error
    if kind != _FORMAT or version not in _READ:
        raise DataError(
            f"{path} must be {_FORMAT} version {' or '.join(_READ)}, got {kind!r:.40} version {version!r:.40}; it was "
            "written by another release: update Angulus, or convert the data anew"
        )
    if compared and version != "1":
        _check_checksum(blob, 8 + length, described["__metadata__"].get("checksum"))
    return {name: _mapped(blob, 8 + length, described, name) for name in _SECTIONS}


def _check_checksum(blob: Blob, begin: int, stored: object) -> None:
    found = 0
    for place in range(begin, blob.size, 2**20):
        found = crc32(blob.read(place, min(2**20, blob.size - place), what="the index"), found)
    if stored != f"{found:08x}":
        raise DataError(
            f"{blob.path} has another checksum ({found:08x}) than when it was written ({stored!r:.20}); it is damaged: "
            "convert the data anew, or copy it again"
        )


def _mapped(blob: Blob, start: int, described: dict, name: str) -> NDArray:
    try:
        dtype, (count,), (begin, end) = (described[name][part] for part in ("dtype", "shape", "data_offsets"))
        kind = np.dtype(_TYPES[dtype])
        if kind != _KINDS[name] or not all(type(number) is int for number in (count, begin, end)):
            raise ValueError(f"{dtype}, {count!r:.20}, {begin!r:.20}, {end!r:.20}")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{blob.path}: {name} is missing in the index or damaged: {error!r:.200}") from error
    odd = min(begin, count) < 0 or begin % kind.itemsize
    if odd or end - begin != kind.itemsize * count or start + end > blob.size:
        raise DataError(
            f"{blob.path}: {name} must end at byte {start + end:,}, and the file has {blob.size:,}; it is cut short"
        )
    if not count:
        return np.empty(0, dtype=kind)
    return np.memmap(blob.path, dtype=kind, mode="r", offset=start + begin, shape=(count,)).view(np.ndarray)


class PackedWriter:
    """Writes a packed set."""

    def __init__(self, folder: Path, name: str, source: Source) -> None:
        self.listing = Listing.of(source)
        self.outputs = [name]
        self._folder = folder / name
        self._folder.mkdir(exist_ok=True)
        self._file = Appended(self._folder / IMAGES)

    def resume(self, done: int, end: int) -> int:
        self._file.cut(end)
        return done

    def write(self, first: int, images: Sequence[bytes]) -> list[int]:
        return self._file.append(images)

    def finish(self, ends: NDArray[np.uint64], checksums: NDArray[np.uint32]) -> None:
        with (self._folder / INDEX).open("wb") as file:
            write_index(
                file,
                offsets=np.concatenate([np.zeros(1, dtype=np.uint64), ends]),
                labels=np.asarray(self.listing.labels, dtype=np.int64),
                checksums=checksums,
                keys=self.listing.keys,
                identities=self.listing.identities,
            )
            file.flush()
            os.fsync(file.fileno())

    def opened(self) -> Source:
        return StoredSource(records=open_packed(self._folder))

    def close(self) -> None:
        self._file.close()
