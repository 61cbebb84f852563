"""How a set of embeddings is stored: `.npz`, `.safetensors`, or one bare matrix as `.npy`; nothing in a file is run.

.npz          arrays by name; `numpy.load` without pickle. Every further array of one value per image is a column.
.safetensors  tensors embeddings, flipped, labels and number columns; the metadata holds keys, identities and text
              columns as JSON. Tensors of float16 and bfloat16 are read as float32.
.npy          the matrix alone, mapped from the disk and not copied when it is float32; labels in `<name>.labels.npy` or
              in any `.npy` or text file (one label a line) that is named.

What is written here carries a checksum, which is compared on reading; files of other tools have none and are read as
they are.

Names that other tools use for the same things are understood (see STORED_NAMES). A file that is damaged, cut short or
holds pickled objects raises EvaluationError with its name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from angulus.array_files import read_array, read_arrays, write_array, write_arrays
from angulus.embeddings.shards.reading import is_sharded, read_folder
from angulus.embeddings.tensor_files import read_tensors, write_tensors
from angulus.errors import EvaluationError
from angulus.text_files import read_lines
from angulus.whole_files import reason_of, write_beside

Stored = Literal["float32", "float16"]

STORED_NAMES = {
    "embeddings": ("embeddings", "embedding", "emb", "embs", "features", "feature", "feats", "feat"),
    "flipped": ("flipped", "emb_flip", "embeddings_flip", "features_flip"),
    "labels": ("labels", "label", "ids", "pids"),
    "keys": ("keys", "names", "paths", "filenames"),
    "identities": ("identities", "identity"),
}
RESERVED = frozenset(name for names in STORED_NAMES.values() for name in names) | {"columns", "__metadata__"}
SUFFIXES = (".npz", ".safetensors", ".npy")

_COLUMN_NAMES = {"cameras": "camera", "camid": "camera", "camids": "camera"}
_BROKEN = (OSError, ValueError, TypeError, AttributeError, MemoryError, SafetensorError)
_MAPPED = 2**26  # bytes from which an array of a .npz stays in the file


def read(path: Path, labels: Path | None) -> dict[str, Any]:
    """The fields of a stored set by name, with `columns`; labels: a file of its own that holds the labels."""
    if is_sharded(path):
        fields = read_folder(path)
    elif check_suffix(path) == ".npy":
        fields = _read_npy(path)
    else:
        reader = _large_mapped if path.suffix == ".npz" else read_tensors
        fields = _fields(path, _guarded(path, reader))
    if labels is not None:
        fields["labels"] = _read_labels(labels)
    return fields


def check_suffix(path: Path) -> str:
    """The suffix of a file of embeddings. Raises EvaluationError for one that says no way to store them."""
    if path.suffix not in SUFFIXES:
        raise EvaluationError(f"embeddings are stored as {', '.join(SUFFIXES)}, got the file name {path.name!r}")
    return path.suffix


def write(path: Path, fields: Mapping[str, Any], columns: Mapping[str, NDArray], stored: Stored) -> Path:
    """Write the fields that are not None, whole or not at all; the suffix says how."""
    check_suffix(path)
    present = {name: value for name, value in fields.items() if value is not None}
    for name in ("embeddings", "flipped"):
        if name in present:
            present[name] = _narrowed(name, present[name], stored)
    if path.suffix == ".npy":
        return _write_npy(path, present, columns)
    if path.suffix == ".npz":
        arrays = {name: np.asarray(value) for name, value in present.items()} | dict(columns)
        return _whole(path, lambda partial: _save_npz(partial, arrays))
    return _whole(path, lambda partial: write_tensors(partial, present, columns))


def _large_mapped(path: Path) -> dict[str, Any]:
    return dict(read_arrays(path, mapped=_MAPPED))


def _guarded(path: Path, reader: Callable[[Path], Any]) -> Any:
    """What `reader` makes of a file; whatever is wrong with the file becomes one sentence."""
    try:
        return reader(path)
    except FileNotFoundError:
        raise EvaluationError(f"no embeddings at {path}: the file does not exist") from None
    except EvaluationError:
        raise
    except _BROKEN as problem:
        reason = str(problem).strip().splitlines() or [type(problem).__name__]
        raise EvaluationError(f"{path} is not a readable {path.suffix} file of embeddings: {reason[0]}") from problem


def _fields(path: Path, arrays: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        field: arrays[name] for field, names in STORED_NAMES.items() for name in reversed(names) if name in arrays
    }
    if "embeddings" not in fields:
        known = ", ".join(STORED_NAMES["embeddings"])
        raise EvaluationError(
            f"{path} holds no array named embeddings (or {known}), only {', '.join(arrays) or 'none'}"
        )
    shape = np.shape(fields["embeddings"])[:1]
    others = {name: values for name, values in arrays.items() if name not in RESERVED and np.shape(values) == shape}
    fields["columns"] = {_COLUMN_NAMES.get(name, name): values for name, values in others.items()}
    return fields


def _read_npy(path: Path) -> dict[str, Any]:
    fields = {"embeddings": _guarded(path, lambda file: read_array(file, mapped=True))}
    beside = _labels_beside(path)
    return fields | ({"labels": _read_labels(beside)} if beside.exists() else {})


def _read_labels(path: Path) -> NDArray:
    if path.suffix == ".npy":
        return _guarded(path, read_array)
    lines = read_lines(path, EvaluationError, "list of labels")
    try:
        return np.array([int(line) for line in lines])
    except ValueError:
        return np.array([line.strip() for line in lines], dtype=str)


def _labels_beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.labels.npy")


def _narrowed(name: str, matrix: NDArray[np.float32], stored: Stored) -> NDArray:
    if stored not in ("float32", "float16"):
        raise EvaluationError(f"embeddings are stored as float32 or float16, got {stored!r}")
    with np.errstate(over="ignore"):
        narrow = matrix.astype(stored, copy=False)
    if stored == "float16" and not np.isfinite(narrow).all():
        raise EvaluationError(f"{name} must be below 65,520 to be stored as float16; store them as float32")
    return narrow


def _write_npy(path: Path, fields: Mapping[str, Any], columns: Mapping[str, NDArray]) -> Path:
    lost = [name for name in fields if name not in ("embeddings", "labels")] + list(columns)
    if lost:
        raise EvaluationError(f"a .npy file holds embeddings and labels only, this set has {', '.join(lost)}; use .npz")
    beside = _labels_beside(path)
    if "labels" in fields:
        _whole(beside, lambda partial: _save_npy(partial, fields["labels"]))
    else:
        beside.unlink(missing_ok=True)  # labels of an older file of this name would be read with it
    return _whole(path, lambda partial: _save_npy(partial, fields["embeddings"]))


def _save_npy(partial: Path, array: NDArray) -> None:
    with partial.open("wb") as file:
        write_array(file, array)


def _save_npz(partial: Path, arrays: dict[str, NDArray]) -> None:
    with partial.open("wb") as file:
        write_arrays(file, arrays)


def _whole(path: Path, save: Callable[[Path], None]) -> Path:
    """Write beside the file and move there, so that a reader never sees half a file."""
    try:
        write_beside(path, save)
    except SafetensorError as error:
        raise EvaluationError(f"{path} could not be written: {error}. Nothing was put in its place") from error
    except OSError as error:
        raise EvaluationError(
            f"{path} could not be written: {reason_of(error)}. Nothing was put in its place; "
            "make room, or name another file"
        ) from error
    return path
