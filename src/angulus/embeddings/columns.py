"""What is written beside each embedding: labels as numbers, names as text, and any further column."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError


def array_of(values: ArrayLike) -> NDArray:
    """As a numpy array; tensors too, from any device, with gradients or not, bfloat16 as float32.

    Raises EvaluationError for a tensor without values.
    """
    if not hasattr(values, "detach"):
        return np.asarray(values)
    tensor: Any = values
    if tensor.device.type == "meta":
        raise EvaluationError("a tensor on the device meta has no values; give one that has been computed")
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)


def texts(values: Iterable[str | bytes]) -> tuple[str, ...]:
    """Names as text, also where a file holds bytes."""
    return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values)


def numbered_labels(
    values: ArrayLike, identities: tuple[str, ...] | None
) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Labels int64 [n] and the names they stand for.

    Whole numbers stay as they are. Names become numbers: positions in `identities`, or in the sorted list of the names
    themselves where no identities are given. Raises EvaluationError for anything else.
    """
    labels = array_of(values)
    if labels.ndim == 1 and labels.size and labels.dtype.kind in "SUO" and _all_text(labels):
        return _numbered_names(texts(labels), identities)
    if labels.ndim != 1 or not (np.issubdtype(labels.dtype, np.integer) or labels.size == 0):
        raise EvaluationError(
            f"labels must be whole numbers or names of shape [images], got {labels.dtype} {list(labels.shape)}"
        )
    return labels.astype(np.int64, copy=False), identities


def checked_columns(columns: Mapping[str, ArrayLike], count: int, reserved: Iterable[str]) -> dict[str, NDArray]:
    """Columns of one entry for each of `count` images: numbers, truth values or text; NaN stands for a missing number.

    Raises EvaluationError naming the column for another length, another kind of value or a name that is taken.
    """
    taken = frozenset(reserved)
    checked = {}
    for name, values in columns.items():
        if not isinstance(name, str) or not name or name in taken:
            raise EvaluationError(f"a column needs a name of its own, got {name!r}; choose another name")
        array = array_of(values)
        if array.shape != (count,):
            raise EvaluationError(
                f"column {name!r} must have one entry for each of the {count} embeddings, got {list(array.shape)}"
            )
        checked[name] = _plain_column(name, array)
    return checked


def _plain_column(name: str, array: NDArray) -> NDArray:
    if array.dtype.kind in "SO" and _all_text(array):
        return np.array(texts(array), dtype=str)
    if array.dtype.kind not in "biufU":
        raise EvaluationError(f"column {name!r} must hold numbers, truth values or text, got {array.dtype}")
    return array


def _all_text(array: NDArray) -> bool:
    return array.dtype.kind in "SU" or all(isinstance(value, str | bytes) for value in array)


def _numbered_names(
    names: tuple[str, ...], identities: tuple[str, ...] | None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    listed = tuple(sorted(set(names))) if identities is None else identities
    numbers = {name: number for number, name in enumerate(listed)}
    unknown = next((row for row, name in enumerate(names) if name not in numbers), None)
    if unknown is not None:
        raise EvaluationError(
            f"labels must be among the {len(listed)} identities named, got {names[unknown]!r} in row {unknown}"
        )
    return np.array([numbers[name] for name in names], dtype=np.int64), listed
