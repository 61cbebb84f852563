"""RecordIO, the container of MXNet: records one after the other in a file, each found again by its offset.

    record   magic word | length word | payload | zeros up to a multiple of 4 bytes
    length   top 3 bits: the flag, 29 bits: bytes of payload in this part

A payload that holds the magic word at a multiple of 4 bytes is cut there: the word is left out, and the parts follow
one another with the flags first (1), middle (2) and last (3); a whole record has the flag 0. So the magic word at a
multiple of 4 always begins a part, and a damaged file can be searched for the next record.

The index is a text file of lines "key<tab>offset".
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.data.formats.byte_ranges import Blob
from angulus.errors import DataError
from angulus.files import read_regular

MAGIC = struct.pack("<I", 0xCED7230A)
MOST_BYTES = 2**29 - 1
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_HEAD = struct.Struct("<4sI")
_GUESS, _MOST_AT_ONCE = 2**14, 2**20  # bytes to read at once where the length is not known, and at most


def encode_record(payload: bytes) -> bytes:
    """One record as it stands in the file. Raises DataError for a payload of 512 MiB or more."""
    if len(payload) > MOST_BYTES:
        raise DataError(f"a record of RecordIO holds at most {MOST_BYTES:,} bytes, got {len(payload):,}")
    cuts = [found.start() for found in re.finditer(re.escape(MAGIC), payload) if found.start() % 4 == 0]
    starts = [0, *(cut + 4 for cut in cuts)]
    ends = [*cuts, len(payload)]
    last = len(starts) - 1
    pieces: list[bytes] = []
    for part, (start, end) in enumerate(zip(starts, ends, strict=True)):
        flag = _WHOLE if not last else _FIRST if part == 0 else _LAST if part == last else _MIDDLE
        pieces += [_HEAD.pack(MAGIC, flag << 29 | (end - start)), payload[start:end]]
    return b"".join([*pieces, bytes(-len(payload) % 4)])


def read_record(blob: Blob, offset: int, *, name: str, extent: int = _GUESS) -> tuple[bytes, int]:
    """The payload of the record at `offset`, and the offset of what follows it.

    name: what to call the record in messages. extent: about how many bytes it takes in the file, so that one read is
    enough. Raises DataError with file and offset for anything that is no whole record.
    """
    ahead = blob.read(offset, max(0, min(extent, _MOST_AT_ONCE, blob.size - offset)), what=name)
    parts: list[bytes] = []
    place = offset
    while True:
        flag, start, length = _part(blob, place, ahead, place - offset, name)
        if (flag in (_WHOLE, _FIRST)) == bool(parts) or flag > _LAST:
            raise _out_of_turn(blob, name, place, flag, bool(parts))
        begin = start - offset
        whole = begin + length <= len(ahead)
        parts.append(ahead[begin : begin + length] if whole else blob.read(start, length, what=name))
        place = start + length + -length % 4
        if flag in (_WHOLE, _LAST):
            return MAGIC.join(parts), place


def _part(blob: Blob, place: int, ahead: bytes, begin: int, name: str) -> tuple[int, int, int]:
    """Flag, offset of the payload and its length, of the part at `place`."""
    head = ahead[begin : begin + 8]
    if len(head) < 8:
        head = blob.read(place, 8, what=name)
    magic, word = _HEAD.unpack(head)
    if magic != MAGIC:
        raise DataError(
            f"{blob.path}: {name} at byte {place:,} begins with {magic.hex()} and not with the magic word "
            f"{MAGIC.hex()}; the file is damaged or no RecordIO, or its index belongs to another file"
        )
    return word >> 29, place + 8, word & MOST_BYTES


def scan(blob: Blob) -> Iterator[int]:
    """Offsets of all records, in order, found without an index. Raises DataError at the first that is damaged."""
    place, begun = 0, False
    while place < blob.size:
        if not begun:
            yield place
        flag, start, length = _part(blob, place, b"", 0, "a record")
        if (flag in (_WHOLE, _FIRST)) == begun or flag > _LAST:
            raise _out_of_turn(blob, "a record", place, flag, begun)
        if start + length > blob.size:
            raise DataError(
                f"{blob.path}: the record at byte {place:,} needs {length:,} bytes, and the file ends after "
                f"{blob.size - start:,} of them; the file is cut short"
            )
        place, begun = start + length + -length % 4, flag in (_FIRST, _MIDDLE)
    if begun:
        raise DataError(
            f"{blob.path}: the file ends at byte {place:,} within a record of several parts; it is cut short"
        )


def _out_of_turn(blob: Blob, name: str, place: int, flag: int, begun: bool) -> DataError:
    expected = "the record goes on (2 or 3)" if begun else "a record begins (0 or 1)"
    return DataError(
        f"{blob.path}: {name} has the flag {flag} at byte {place:,}, where {expected}; the file is damaged, or its "
        "index belongs to another file"
    )


def read_index(path: Path, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys and offsets [n] of an index, in the order of its lines.

    size: bytes of the file of records. Raises DataError naming the line that is no pair of numbers, or points past the
    end of the file, or repeats a key.
    """
    try:
        text = read_regular(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        table = np.array(text.split(), dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError):
        raise _bad_line(path, text) from None
    if len(table) != sum(1 for line in text.splitlines() if line.strip()):
        raise _bad_line(path, text)
    keys, offsets = table[:, 0].copy(), table[:, 1].copy()
    beyond = np.flatnonzero((offsets < 0) | (offsets >= size))
    if len(beyond):
        key, offset = table[beyond[0]]
        raise DataError(
            f"{path}: record {key} is said to be at byte {offset:,}, and its file has {size:,} bytes; the file is cut "
            "short, or this index belongs to another; remove the index to have it made anew"
        )
    if len(np.unique(keys)) < len(keys):
        known, counts = np.unique(keys, return_counts=True)
        raise DataError(f"{path}: the key {known[counts > 1][0]} stands there twice; remove the index to make it anew")
    places, counts = np.unique(offsets, return_counts=True)
    if len(places) < len(offsets):
        place = places[counts > 1][0]
        both = " and ".join(str(key) for key in keys[offsets == place][:2])
        raise DataError(f"{path}: the records {both} are both said to be at byte {place:,}; remove it to make it anew")
    return keys, offsets


def _bad_line(path: Path, text: bytes) -> DataError:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not re.fullmatch(rb"\s*\d{1,18}\s+\d{1,18}\s*", line):
            shown = line[:40].decode("utf-8", "replace")
            return DataError(f"{path}, line {number}: must be a key and an offset, got {shown!r}")
    return DataError(f"{path}: must be lines of a key and an offset")
