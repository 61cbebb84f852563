"""Embeddings as `.safetensors`: numbers as tensors, texts as JSON in the metadata, a checksum over all of it.

Tensors of float16 and bfloat16 are read as float32 later on; a file without a checksum is of another tool and read as
it is. Raises what safetensors, JSON and the system raise, and EvaluationError for what they cannot know.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize, safe_open
from safetensors.numpy import save_file

from angulus.errors import EvaluationError
from angulus.files import BoundedReader
from angulus.json_files import parse_json

CHECKSUM = "checksum"
_LONGEST_TEXT = 4096


def read_tensors(path: Path) -> dict[str, Any]:
    """Everything in a file by name: arrays, and lists of texts."""
    with BoundedReader(path), safe_open(path, framework="np") as stored:
        metadata = stored.metadata() or {}
        names = list(stored.keys())
        wide = {name for name in names if stored.get_slice(name).get_dtype() == "BF16"}
        arrays: dict[str, Any] = {name: stored.get_tensor(name) for name in names if name not in wide}
    if wide:
        arrays |= {name: _of_bfloat16(tensor) for name, tensor in deserialize(path.read_bytes()) if name in wide}
    if CHECKSUM in metadata and metadata[CHECKSUM] != checksum_of(arrays, metadata):
        raise EvaluationError(f"{path} has another checksum than when it was written; it is damaged")
    return arrays | texts_of(path, metadata)


def texts_of(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Keys and identities as lists, and text columns as arrays, of the metadata of a file."""
    found: dict[str, Any] = {}
    for name in ("keys", "identities"):
        if name in metadata:
            found[name] = parse_json(metadata[name])
            if not isinstance(found[name], list) or not all(isinstance(value, str) for value in found[name]):
                raise EvaluationError(f"{path}: the metadata entry {name} must be a JSON list of texts")
    columns = parse_json(metadata.get("columns", "{}"))
    if not isinstance(columns, dict):
        raise EvaluationError(f"{path}: the metadata entry columns must be a JSON object, got {type(columns).__name__}")
    return found | {name: _text_column(path, name, values) for name, values in columns.items()}


def divided(fields: Mapping[str, Any], columns: Mapping[str, NDArray]) -> tuple[dict[str, NDArray], dict[str, str]]:
    """The tensors of a file, and its metadata without the checksum."""
    named = {name: list(fields[name]) for name in ("keys", "identities") if name in fields}
    written = {name: values.tolist() for name, values in columns.items() if values.dtype.kind == "U"}
    tensors = {name: fields[name] for name in ("embeddings", "flipped", "labels") if name in fields}
    tensors |= {name: values for name, values in columns.items() if name not in written}
    metadata = {name: json.dumps(value) for name, value in {**named, "columns": written}.items() if value}
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}, metadata


def _text_column(path: Path, name: str, values: Any) -> NDArray[np.str_]:
    """A column of text, in which every entry takes the room of the longest."""
    if not isinstance(values, list) or not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in values):
        raise EvaluationError(f"{path}: column {name} must be a list of texts of at most {_LONGEST_TEXT:,} characters")
    return np.array(values, dtype=str)


def checksum_of(tensors: Mapping[str, NDArray], metadata: Mapping[str, str]) -> str:
    """crc32 of all tensors and of the metadata, by name."""
    found = 0
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name])
        found = crc32(f"{name} {values.dtype.str} {list(values.shape)}\n".encode(), found)
        found = crc32(values.reshape(-1).view(np.uint8).data, found)
    for name in sorted(set(metadata) - {CHECKSUM}):
        found = crc32(f"{name} {metadata[name]}\n".encode("utf-8", "surrogatepass"), found)
    return f"{found:08x}"


def _of_bfloat16(tensor: Mapping[str, Any]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of a float32."""
    halves = np.frombuffer(tensor["data"], dtype="<u2").astype(np.uint32)
    return (halves << 16).view(np.float32).reshape(tensor["shape"])


def write_tensors(partial: Path, fields: Mapping[str, Any], columns: Mapping[str, NDArray]) -> None:
    """Write the fields that are there, and the columns."""
    whole, metadata = divided(fields, columns)
    save_file(whole, partial, metadata={**metadata, CHECKSUM: checksum_of(whole, metadata)})
