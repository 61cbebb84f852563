"""One part of a sharded set: a `.safetensors` for any reader, whose embeddings begin where a page of memory does.

Its metadata says of which whole it is (`of`, the digest of the manifest) and which shard (`shard`). A part without
rows, all of whose examples were unreadable, has no tensors.
"""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from angulus.embeddings.shards import storage
from angulus.embeddings.tensor_files import CHECKSUM, checksum_of, divided, texts_of
from angulus.errors import EvaluationError
from angulus.files import BoundedReader
from angulus.json_files import parse_json

MATRICES = ("embeddings", "flipped")
_PAGE = 2**16  # of the largest pages that are usual
_TYPES = {
    np.dtype(kind): name
    for name, kind in {
        **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?", "U8": "u1", "I8": "i1"},
        **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "U64": "<u8", "U32": "<u4", "U16": "<u2"},
    }.items()
}
_BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, MemoryError, struct.error, SafetensorError)


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """Where a matrix float32 [n, d] lies in a file."""

    path: Path
    offset: int
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        return 4 * self.shape[0] * self.shape[1]

    def array(self) -> NDArray[np.float32]:
        """The matrix, which stays in the file."""
        return np.memmap(self.path, dtype=np.float32, mode="r", offset=self.offset, shape=self.shape)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a file holds. matrices: where embeddings and flipped lie; arrays: labels and columns; keys: texts."""

    rows: int
    matrices: Mapping[str, Mapped]
    arrays: Mapping[str, NDArray[Any]]
    keys: list[str] | None


def write_part(
    path: Path, fields: Mapping[str, Any], columns: Mapping[str, NDArray], *, whole: str, number: int
) -> None:
    """Publish a part; the fields that are None are left out. Raises EvaluationError."""
    present = {name: value for name, value in fields.items() if value is not None}
    tensors, metadata = divided(present, columns)
    odd = next((name for name, values in tensors.items() if values.dtype not in _TYPES), None)
    if odd is not None:
        raise EvaluationError(
            f"column {odd!r} of {tensors[odd].dtype} cannot be stored; leave it out, or make it float64"
        )
    metadata |= {"of": whole, "shard": str(number)}
    metadata[CHECKSUM] = checksum_of(tensors, metadata)
    storage.publish(path, lambda partial: _write(partial, tensors, metadata))


def check_part(path: Path, *, whole: str, number: int) -> None:
    """Raise EvaluationError where a file is not part `number` of a whole, or cut short; its values are not read."""
    _guarded(path, whole, number)


def read_part(path: Path, *, whole: str, number: int, checked: bool = False) -> Part:
    """A part, held against its checksum unless that was done (`checked`).

    Raises EvaluationError as `check_part`, and for damage.
    """
    file, metadata, heads = _guarded(path, whole, number)
    try:
        return _read(path, file, metadata, heads, checked=checked)
    except EvaluationError:
        raise
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _read(path: Path, file: Path, metadata: Mapping[str, str], heads: Mapping[str, Any], *, checked: bool) -> Part:
    matrices = {name: heads[name] for name in MATRICES if name in heads}
    with safe_open(file, framework="np") as stored:
        names = list(stored.keys())
        arrays: dict[str, Any] = {name: stored.get_tensor(name) for name in names if name not in matrices}
    mapped = {} if checked else {name: place.array() for name, place in matrices.items()}
    if not checked and metadata[CHECKSUM] != checksum_of({**arrays, **mapped}, metadata):
        raise ValueError("it has another checksum than when it was written")
    texts = texts_of(path, metadata)
    keys = texts.pop("keys", None)
    rows = next((place.shape[0] for place in matrices.values()), 0)
    lengths = {len(values) for values in (*arrays.values(), *texts.values(), *([] if keys is None else [keys]))}
    if lengths - {rows} or len({place.shape for place in matrices.values()}) > 1:
        raise ValueError("its columns must have one entry for each embedding")
    return Part(rows=rows, matrices=matrices, arrays={**arrays, **texts}, keys=keys)


def _guarded(path: Path, whole: str, number: int) -> tuple[Path, dict[str, str], dict[str, Any]]:
    """The file here, its metadata, and where its matrices lie."""
    try:
        file = storage.local_file(path)
        metadata, heads = _head(file)
    except FileNotFoundError:
        raise EvaluationError(f"{path} is not there: it was removed meanwhile") from None
    except _BROKEN as error:
        raise _damaged(path, error) from error
    if metadata.get("of") != whole or metadata.get("shard") != str(number):
        raise EvaluationError(
            f"{path} is part of another set of embeddings than {path.parent} says; remove the file, and its shard is "
            "made again"
        )
    return file, metadata, heads


def _head(file: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Metadata, and where each matrix lies. safetensors holds the head against the file."""
    with BoundedReader(file) as opened, safe_open(file, framework="np") as stored:
        metadata = dict(stored.metadata() or {})
        (length,) = struct.unpack("<Q", opened.read(8))
        head = parse_json(opened.read(length))
        places = {}
        for name in MATRICES:
            if name in head:
                if head[name]["dtype"] != "F32" or len(head[name]["shape"]) != 2:
                    raise ValueError(f"{name} must be float32 of the shape [images, dimensions]")
                offset, shape = 8 + length + head[name]["data_offsets"][0], head[name]["shape"]
                places[name] = Mapped(path=file, offset=offset, shape=(shape[0], shape[1]))
    if CHECKSUM not in metadata:
        raise ValueError("it carries no checksum")
    return metadata, places


def _damaged(path: Path, error: BaseException) -> EvaluationError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return EvaluationError(
        f"{path} is not a readable part of a set of embeddings: {lines[0]}; it is cut short or damaged: remove it, and "
        "its shard is made again"
    )


def _write(partial: Path, tensors: Mapping[str, NDArray], metadata: Mapping[str, str]) -> None:
    ordered = sorted(tensors, key=lambda name: (MATRICES.index(name) if name in MATRICES else len(MATRICES), name))
    head: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    for name, begin in zip(ordered, _places(tensors, ordered), strict=True):
        values = tensors[name]
        ends = [begin, begin + values.nbytes]
        head[name] = {"dtype": _TYPES[values.dtype], "shape": list(values.shape), "data_offsets": ends}
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 8) % _PAGE)
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in ordered:
            file.write(tensors[name].reshape(-1).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())


def _places(tensors: Mapping[str, NDArray], ordered: list[str]) -> Iterator[int]:
    place = 0
    for name in ordered:
        yield place
        place += tensors[name].nbytes
