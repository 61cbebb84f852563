"""Scores of a long list of pairs: many pairs share a row, so products of blocks replace pair-by-pair gathers."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.scores.vectors import checked_unit, on_device

_PRODUCTS = 2**23  # entries of one block of products: 32 MB
_PART_PAIRS = 2**19  # a part of the list, whose row numbers are int64
_MOST_PARTS = 64
_GATHERED = 8192
_SLICE = 2**20
_DENSE = 1 / 20  # a gathered pair costs about as much as 20 entries of a product


def listed_scores(
    vectors: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    *,
    find: Callable[[NDArray[np.integer]], NDArray[np.integer]] | None = None,
    device: str | torch.device = "cpu",
) -> NDArray[np.float32]:
    """Cosines [p] of the rows left[i] and right[i] of unit vectors [n, d], in the order of the list.

    left, right: whole numbers [p] (int32 halves the memory of int64). find: turns these into row numbers, a part of the
    list at a time (`Templates.rows`, for ids); left out, they are row numbers. Pairs are taken by blocks of left rows:
    one product with every right row that the block meets, then a gather; a block that meets few pairs is gathered row
    by row. Memory beyond the arguments: the scores, one byte a pair and about 100 MB. Scores are float32 products:
    pairs whose cosines differ by less than 1e-7 may come out in either order, as everywhere.
    """
    unit = checked_unit("templates", vectors)
    sides = [_checked_list(name, rows) for name, rows in (("left", left), ("right", right))]
    if sides[0].shape != sides[1].shape:
        raise EvaluationError(
            f"left and right must have one entry for each pair, got {len(sides[0])} and {len(sides[1])}"
        )
    lists = [_Rows(name, rows, find, len(unit)) for name, rows in zip(("left", "right"), sides, strict=True)]
    scores = np.empty(len(sides[0]), dtype=np.float32)
    table = on_device(unit, device)
    keys, parts = _parts(*lists)
    for part in range(parts):
        chosen = np.flatnonzero(keys == part)
        scores[chosen] = _part_scores(table, lists[0].of(chosen), lists[1].of(chosen))
    return scores


class _Rows:
    """One side of the list, turned into row numbers as it is needed."""

    def __init__(
        self,
        name: str,
        values: NDArray[np.integer],
        find: Callable[[NDArray[np.integer]], NDArray[np.integer]] | None,
        count: int,
    ) -> None:
        self.name, self.values, self.find, self.count = name, values, find, count

    def of(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row numbers of some pairs, which `slices` has checked."""
        chosen = self.values[pairs]
        return (chosen if self.find is None else self.find(chosen)).astype(np.int64)

    def slices(self) -> Iterator[tuple[slice, NDArray[np.integer]]]:
        """Row numbers of the whole list, by slices: numpy copies an int32 index to int64."""
        for start in range(0, len(self.values), _SLICE):
            part = slice(start, start + _SLICE)
            rows = self.values[part]
            if self.find is not None:
                rows = self.find(rows)
            elif rows.min() < 0 or rows.max() >= self.count:
                bad = int(np.flatnonzero((rows < 0) | (rows >= self.count))[0])
                raise EvaluationError(
                    f"{self.name} must name rows 0 to {self.count - 1}, got {rows[bad]} in pair {start + bad}"
                )
            yield part, rows

    def named(self) -> NDArray[np.bool_]:
        """Which rows occur [n]."""
        named = np.zeros(self.count, dtype=bool)
        for _, rows in self.slices():
            named[rows] = True
        return named


def _parts(left: _Rows, right: _Rows) -> tuple[NDArray[np.uint8], int]:
    """The part [p] of each pair, by its left row, and how many parts there are: few, so that scans stay cheap."""
    rows, others = np.flatnonzero(left.named()), int(right.named().sum())
    blocks = max(-(-len(rows) * others // _PRODUCTS), -(-len(left.values) // _PART_PAIRS))
    parts = int(np.clip(blocks, 1, _MOST_PARTS))
    of_row = np.zeros(left.count, dtype=np.uint8)
    of_row[rows] = np.arange(len(rows)) * parts // max(len(rows), 1)
    keys = np.empty(len(left.values), dtype=np.uint8)
    for part, found in left.slices():
        keys[part] = of_row[found]
    return keys, parts if len(keys) else 0


def _part_scores(table: torch.Tensor, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores of the pairs of some left rows, by blocks of these rows."""
    scores = np.empty(len(left), dtype=np.float32)
    order = np.argsort(left, kind="stable")
    rows, starts = np.unique(left[order], return_index=True)
    step = max(1, _PRODUCTS // max(1, len(np.flatnonzero(_met(right, len(table))))))
    for first in range(0, len(rows), step):
        end = starts[first + step] if first + step < len(rows) else len(left)
        pairs = order[starts[first] : end]
        scores[pairs] = _block_scores(table, rows[first : first + step], left[pairs], right[pairs])
    return scores


def _block_scores(
    table: torch.Tensor, rows: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float32]:
    met = _met(right, len(table))
    others = np.flatnonzero(met)
    if len(left) < _DENSE * len(rows) * len(others):
        return _gathered(table, left, right)
    low, high = int(others[0]), int(others[-1]) + 1
    if high - low < 2 * len(others):  # a slice needs no copy
        columns, right_rows = right - low, table[low:high]
    else:
        columns, right_rows = (np.cumsum(met) - 1)[right], table[torch.from_numpy(others).to(table.device)]
    products = table[torch.from_numpy(rows).to(table.device)] @ right_rows.T
    places = np.searchsorted(rows, left) * len(right_rows) + columns
    return products.flatten()[torch.from_numpy(places).to(table.device)].cpu().numpy()


def _gathered(table: torch.Tensor, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    scores = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), _GATHERED):
        part = slice(start, start + _GATHERED)
        rows = [torch.from_numpy(side[part]).to(table.device) for side in (left, right)]
        scores[part] = (table[rows[0]] * table[rows[1]]).sum(1).cpu().numpy()
    return scores


def _met(rows: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    met = np.zeros(count, dtype=bool)
    met[rows] = True
    return met


def _checked_list(name: str, rows: ArrayLike) -> NDArray[np.integer]:
    values = np.asarray(rows)
    if values.ndim != 1 or not (np.issubdtype(values.dtype, np.integer) or values.size == 0):
        raise EvaluationError(f"{name} must be whole numbers [pairs], got {values.dtype} {list(values.shape)}")
    return values if values.size else values.astype(np.int64)
