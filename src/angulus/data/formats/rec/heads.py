"""The head of a payload in insightface's RecordIO: the labels of an image or of an identity.

flag uint32 | label float32 | id uint64 | id2 uint64 | `flag` more labels float32 | image
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.data.formats.byte_ranges import Blob
from angulus.data.formats.rec.recordio import MAGIC, read_record
from angulus.errors import DataError

HEADER = struct.Struct("<IfQQ")
EXACT = 2**24
"""Whole numbers above this are not exact in float32, as which labels are stored."""

_ROW = 40  # bytes from the magic word to the second of several labels
_ROWS_AT_ONCE = 2**16


def pack(labels: Sequence[float], number: int, image: bytes) -> bytes:
    """A payload: one label goes into the header (flag 0), several follow it."""
    if len(labels) == 1:
        return HEADER.pack(0, labels[0], number, 0) + image
    return HEADER.pack(len(labels), 0.0, number, 0) + np.array(labels, dtype="<f4").tobytes() + image


def unpack(payload: bytes, name: str) -> tuple[tuple[float, ...], bytes]:
    """The labels and the image of a payload. Raises DataError beginning with `name` when it is too short."""
    if len(payload) < HEADER.size:
        raise DataError(f"{name} has {len(payload)} bytes, fewer than the {HEADER.size} of its header")
    flag, label, _, _ = HEADER.unpack_from(payload)
    begin = HEADER.size + 4 * flag
    if len(payload) < begin:
        raise DataError(f"{name} has the flag {flag}, that many labels, but only {len(payload)} bytes; it is damaged")
    labels = struct.unpack_from(f"<{flag}f", payload, HEADER.size) if flag else (label,)
    return labels, payload[begin:]


@dataclass(frozen=True, kw_only=True, eq=False)
class Heads:
    """Of some records, [n] each."""

    label: NDArray[np.float64]  # the first
    second: NDArray[np.float64]  # NaN where there is one label alone
    empty: NDArray[np.bool_]  # no image follows


def read_heads(blob: Blob, numbers: NDArray[np.int64], offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> Heads:
    """Headers of the records at `rows`, a block at a time straight from the file."""
    heads = Heads(
        label=np.empty(len(rows)), second=np.full(len(rows), np.nan), empty=np.zeros(len(rows), dtype=np.bool_)
    )
    view = np.memmap(blob.path, dtype=np.uint8, mode="r")
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        block = slice(begin, min(begin + _ROWS_AT_ONCE, len(rows)))
        places = offsets[rows[block]]
        words = view[np.minimum(places[:, None] + np.arange(_ROW), len(view) - 1)].view("<u4")
        floats = words.view("<f4").astype(np.float64)
        length, flag = words[:, 1].astype(np.int64), words[:, 2].astype(np.int64)
        heads.label[block] = np.where(flag > 0, floats[:, 8], floats[:, 3])
        heads.second[block] = np.where(flag > 1, floats[:, 9], np.nan)
        heads.empty[block] = length == HEADER.size + 4 * flag
        # whatever is not one whole record with all its labels is read and judged alone
        odd = words[:, 0] != int.from_bytes(MAGIC, "little")
        odd |= (length < HEADER.size + 4 * flag) | (places + 8 + length > len(view)) | (length >> 29 > 0)
        for row in np.flatnonzero(odd) + begin:
            _read_head(blob, int(numbers[rows[row]]), int(offsets[rows[row]]), heads, int(row))
    return heads


def _read_head(blob: Blob, number: int, offset: int, heads: Heads, row: int) -> None:
    name = f"record {number}"
    labels, image = unpack(read_record(blob, offset, name=name)[0], f"{blob.path}: {name} at byte {offset:,}")
    heads.label[row] = labels[0]
    heads.second[row] = labels[1] if len(labels) > 1 else np.nan
    heads.empty[row] = not image
