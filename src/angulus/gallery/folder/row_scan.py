"""Which rows of a stored matrix are nearest to some queries, in float32 arithmetic over chunks of it.

    score = scale (values . q)      values are widened to float32 a chunk at a time, so that they stay in the cache

Rows whose scale is 0 are nobody's. Only scores above the worst that is kept so far are looked at.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.devices.processors import halves_of, seconds_of, usable_cores
from angulus.errors import GalleryError

_SIGN_AND_REST = np.int32(-0x70000001)  # bits 0 to 27, and 31
_BIAS = np.float32(2.0**112)  # of the exponents: 127 - 15
_CHUNKS = (1024, 4096, 16384)
_WORTH = 0.9


@dataclass(frozen=True, kw_only=True)
class ScanPlan:
    """chunk: rows at a time.  threads: that share the rows.  reason: why, in words."""

    chunk: int = 4096
    threads: int = 1
    reason: str = "as given"

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.threads < 1:
            raise GalleryError(f"chunk and threads must be at least 1, got {self.chunk} and {self.threads}")


def best_rows(rows: NDArray, queries: NDArray[np.float32], count: int, plan: ScanPlan) -> NDArray[np.int64]:
    """Numbers of the rows with the highest scores: int64 [q, count], in any order, -1 where there are fewer.

    rows: structured [n], scale and values [d].  queries: float32 [q, d].
    """
    share = -(-len(rows) // plan.threads)
    bounds = [(start, min(start + share, len(rows))) for start in range(0, len(rows), max(share, 1))]

    def part(bound: tuple[int, int]) -> tuple[NDArray, NDArray]:
        return _best_between(rows, queries, count, plan.chunk, bound)

    if len(bounds) > 1:
        with ThreadPoolExecutor(len(bounds)) as pool:
            parts = list(pool.map(part, bounds))
    else:
        parts = [part(bound) for bound in bounds] or [_nothing(len(queries), count)]
    scores, found = (np.concatenate(sides, axis=1) for sides in zip(*parts, strict=True))
    return _kept(scores, found, count)[1]


def chosen_plan(rows: NDArray) -> ScanPlan:
    """The chunk and the threads that some rows are gone through the fastest with; a moment's trial."""
    query = np.full((1, rows.dtype["values"].shape[0]), 0.1, dtype=np.float32)

    def seconds(plan: ScanPlan) -> float:
        run: Callable[[], object] = lambda: best_rows(rows, query, 32, plan)  # noqa: E731
        run()
        return min(seconds_of(run) for _ in range(2))

    tried = {(chunk, 1): seconds(ScanPlan(chunk=chunk)) for chunk in _CHUNKS}
    chunk = min(tried, key=lambda each: tried[each])[0]
    best = (chunk, 1)
    for threads in halves_of(usable_cores())[:-1]:
        tried[chunk, threads] = seconds(ScanPlan(chunk=chunk, threads=threads))
        if tried[chunk, threads] < _WORTH * tried[best]:
            best = (chunk, threads)
    told = ", ".join(f"{1000 * took:.1f} ms with {c} x {t}" for (c, t), took in tried.items())
    return ScanPlan(chunk=best[0], threads=best[1], reason=f"rows at a time x threads: {told}")


def widened(values: NDArray) -> NDArray[np.float32]:
    """Finite float16 or int8 [n, d] as float32; numpy's own way takes five times as long for float16."""
    if values.dtype != np.float16:
        return values.astype(np.float32)
    bits = values.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _SIGN_AND_REST
    wide = bits.view(np.float32)
    wide *= _BIAS
    return wide


def _best_between(
    rows: NDArray, queries: NDArray[np.float32], count: int, chunk: int, bound: tuple[int, int]
) -> tuple[NDArray, NDArray]:
    scores, found = _nothing(len(queries), count)
    for start in range(bound[0], bound[1], chunk):
        part = rows[start : min(start + chunk, bound[1])]
        new = queries @ widened(part["values"]).T
        new *= part["scale"]
        new[:, part["scale"] == 0] = -np.inf
        columns = np.flatnonzero((new > scores.min(axis=1, keepdims=True)).any(axis=0))
        if len(columns):
            numbers = np.broadcast_to(columns + start, (len(queries), len(columns)))
            scores, found = _kept(
                np.concatenate([scores, new[:, columns]], axis=1), np.concatenate([found, numbers], axis=1), count
            )
    found[scores == -np.inf] = -1
    return scores, found


def _nothing(queries: int, count: int) -> tuple[NDArray, NDArray]:
    return np.full((queries, count), -np.inf, dtype=np.float32), np.full((queries, count), -1, dtype=np.int64)


def _kept(scores: NDArray, found: NDArray, count: int) -> tuple[NDArray, NDArray]:
    """The columns with the highest scores, for each query."""
    if scores.shape[1] <= count:
        return scores, found
    places = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return np.take_along_axis(scores, places, axis=1), np.take_along_axis(found, places, axis=1)
