"""Scores of a long list of pairs: many pairs share a row, so products of blocks replace pair-by-pair gathers."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.vectors import checked_unit, on_device

_PRODUCTS = 2**23  # entries of one block of products: 32 MB
_PARTS = 64
_GATHERED = 8192
_SLICE = 2**20
_DENSE = 1 / 20  # a gathered pair costs about as much as 20 entries of a product


def listed_scores(
    vectors: ArrayLike, left: ArrayLike, right: ArrayLike, *, device: str | torch.device = "cpu"
) -> NDArray[np.float32]:
    """Cosines [p] of the rows left[i] and right[i] of unit vectors [n, d], in the order of the list.

    left, right: whole numbers [p] (int32 halves the memory of int64). Pairs are taken by blocks of left rows: one
    product with every right row that the block meets, then a gather; a block that meets few pairs is gathered row by
    row. Memory beyond the arguments: the scores, one block of products and 1/64 of the list. Scores are float32
    products: pairs whose cosines differ by less than 1e-7 may come out in either order, as everywhere.
    """
    unit = checked_unit("templates", vectors)
    left, right = _checked_rows("left", left, len(unit)), _checked_rows("right", right, len(unit))
    if left.shape != right.shape:
        raise EvaluationError(f"left and right must have one entry for each pair, got {len(left)} and {len(right)}")
    scores = np.empty(len(left), dtype=np.float32)
    table = on_device(unit, device)
    keys, parts = _parts(left, right, len(unit))
    for part in range(parts):
        chosen = np.flatnonzero(keys == part) if parts > 1 else np.arange(len(left))
        scores[chosen] = _part_scores(table, left[chosen].astype(np.int64), right[chosen].astype(np.int64))
    return scores


def _parts(left: NDArray[np.integer], right: NDArray[np.integer], count: int) -> tuple[NDArray[np.uint8], int]:
    """The part [p] of each pair, by its left row, and how many parts: at most _PARTS, so that scans stay cheap."""
    rows, others = np.flatnonzero(_named(left, count)), int(_named(right, count).sum())
    parts = int(np.clip(-(-len(rows) * others // _PRODUCTS), 1, _PARTS))
    of_row = np.zeros(count, dtype=np.uint8)
    of_row[rows] = np.arange(len(rows)) * parts // max(len(rows), 1)
    keys = np.empty(len(left), dtype=np.uint8)
    for start in range(0, len(left), _SLICE):
        keys[start : start + _SLICE] = of_row[left[start : start + _SLICE]]
    return keys, parts if len(left) else 0


def _named(rows: NDArray[np.integer], count: int) -> NDArray[np.bool_]:
    """Which of the rows 0 to count - 1 occur; by slices, since numpy copies an int32 index to int64."""
    named = np.zeros(count, dtype=bool)
    for start in range(0, len(rows), _SLICE):
        named[rows[start : start + _SLICE]] = True
    return named


def _part_scores(table: torch.Tensor, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores of the pairs of some left rows, by blocks of these rows."""
    scores = np.empty(len(left), dtype=np.float32)
    order = np.argsort(left, kind="stable")
    rows, starts = np.unique(left[order], return_index=True)
    step = max(1, _PRODUCTS // max(1, int(_named(right, len(table)).sum())))
    for first in range(0, len(rows), step):
        end = starts[first + step] if first + step < len(rows) else len(left)
        pairs = order[starts[first] : end]
        scores[pairs] = _block_scores(table, rows[first : first + step], left[pairs], right[pairs])
    return scores


def _block_scores(
    table: torch.Tensor, rows: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float32]:
    met = _named(right, len(table))
    others = np.flatnonzero(met)
    if len(left) < _DENSE * len(rows) * len(others):
        return _gathered(table, left, right)
    device = table.device
    column = np.cumsum(met) - 1
    products = table[torch.from_numpy(rows).to(device)] @ table[torch.from_numpy(others).to(device)].T
    places = np.searchsorted(rows, left) * len(others) + column[right]
    return products.flatten()[torch.from_numpy(places).to(device)].cpu().numpy()


def _gathered(table: torch.Tensor, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    scores = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), _GATHERED):
        part = slice(start, start + _GATHERED)
        rows = [torch.from_numpy(side[part]).to(table.device) for side in (left, right)]
        scores[part] = (table[rows[0]] * table[rows[1]]).sum(1).cpu().numpy()
    return scores


def _checked_rows(name: str, rows: ArrayLike, count: int) -> NDArray[np.integer]:
    values = np.asarray(rows)
    if values.ndim != 1 or not (np.issubdtype(values.dtype, np.integer) or values.size == 0):
        raise EvaluationError(f"{name} must be whole numbers [pairs], got {values.dtype} {list(values.shape)}")
    if values.size and (values.min() < 0 or values.max() >= count):
        bad = int(np.flatnonzero((values < 0) | (values >= count))[0])
        raise EvaluationError(f"{name} must name rows 0 to {count - 1}, got {values[bad]} in pair {bad}")
    return values if values.size else values.astype(np.int64)
