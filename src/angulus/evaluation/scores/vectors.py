"""Are these unit vectors: the check that every search makes on every block it reads, with the row in the message."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from angulus.embeddings.columns import array_of
from angulus.errors import EvaluationError

# One array [rows, d], memory-mapped ones included, or several that are searched one after the other.
VectorBlocks: TypeAlias = NDArray[np.floating] | Iterable[NDArray[np.floating]]

NORM_TOLERANCE = 1e-3
_EXACT_VALUES = 2**21


def checked_unit(name: str, values: ArrayLike, *, width: int | None = None, first_row: int = 0) -> NDArray[np.float32]:
    """The vectors [n, d] as float32; EvaluationError for another shape, NaN, infinity or a norm that is not 1.

    first_row: the number of the first row in messages, for a block out of a larger array.
    """
    vectors = array_of(values)
    if vectors.ndim != 2 or vectors.shape[1] == 0 or (width is not None and vectors.shape[1] != width):
        wanted = "dimensions" if width is None else width
        raise EvaluationError(f"{name} must have the shape [rows, {wanted}], got {list(vectors.shape)}")
    vectors = vectors.astype(np.float32, copy=False)
    squares = np.einsum("nd,nd->n", vectors, vectors)
    bad = np.flatnonzero(~(np.abs(squares - 1) <= 2 * NORM_TOLERANCE))
    if len(bad):
        row, square = int(bad[0]), float(squares[bad[0]])
        got = f"the norm {square**0.5:.4g}" if np.isfinite(square) else "NaN or infinity"
        raise EvaluationError(
            f"{name} must be unit vectors, got {got} in row {first_row + row} ({len(bad)} such rows in its block);"
            " divide each embedding by its norm and remove what has none"
        )
    return vectors


def unit_blocks(
    name: str, arrays: VectorBlocks, rows: int, *, width: int, first_row: int = 0
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(number of the first row, at most `rows` checked vectors) of one array or of several, one after the other.

    The arrays may be memory-mapped: only the rows of one block are read at a time.
    """
    for array in [arrays] if isinstance(arrays, np.ndarray) else arrays:
        if not isinstance(array, np.ndarray) or array.ndim != 2:
            raise EvaluationError(
                f"{name} must be an array [rows, {width}] or an iterable of such arrays, got {type(array).__name__}"
                f" of {getattr(array, 'ndim', 0)} dimensions"
            )
        for start in range(0, len(array), rows):
            block = checked_unit(name, array[start : start + rows], width=width, first_row=first_row)
            yield first_row, block
            first_row += len(block)


def on_device(vectors: NDArray[np.float32], device: str | torch.device) -> Tensor:
    """A contiguous tensor to read from; a copy where the array is read-only, memory-mapped or in another order."""
    usable = vectors.flags.writeable and vectors.flags.c_contiguous and not isinstance(vectors, np.memmap)
    return torch.from_numpy(vectors if usable else np.array(vectors, order="C")).to(device)


def exact_cosines(left: Tensor, left_rows: Tensor, right: Tensor, right_rows: Tensor) -> Tensor:
    """Cosine [p] of left[left_rows] and right[right_rows], summed in float64 and rounded once to float32.

    Unlike entries of a float32 product these do not depend on the shape of a block or on the device, so that equal
    pairs have equal scores.
    """
    step = max(1, _EXACT_VALUES // left.shape[1])
    parts = [
        (left[left_rows[i : i + step]].double() * right[right_rows[i : i + step]].double()).sum(1).float()
        for i in range(0, len(left_rows), step)
    ]
    return torch.cat(parts) if parts else left.new_empty(0)


def product_slack(width: int) -> float:
    """How far a float32 product of two unit vectors of this width can be from their cosine.

    |fl(x.y) - x.y| <= d u / (1 - d u) |x| |y| with u = 2^-24 in whatever order it is summed (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1); eight more u for the roundings around it. Raises EvaluationError
    where torch was told to make float32 products from fewer bits.
    """
    precision = torch.get_float32_matmul_precision()
    if precision != "highest":
        raise EvaluationError(
            f"a search needs float32 products of full precision, got torch.get_float32_matmul_precision() ="
            f" {precision!r}; call torch.set_float32_matmul_precision('highest') first"
        )
    return (width + 8) * 2.0**-24 * (1 + NORM_TOLERANCE) ** 2 * 1.01
