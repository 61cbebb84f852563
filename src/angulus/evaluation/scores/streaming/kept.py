"""What a pass over all pairs keeps, and how the parts of several processes become one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from angulus.evaluation.scores.streaming.steps import Windows, bins_of


@dataclass(frozen=True, kw_only=True, eq=False)
class PairScores:
    """The scores of all pairs of a set, as far as they are kept.

    genuine: float32 [g] ascending, with their rows genuine_left, genuine_right [g].
    counts: int64 [BINS], impostor pairs by step.
    tail: float32 [t] ascending, every impostor score in the steps of the tail, with tail_left, tail_right [t].
    middle: float32 [m] ascending, the impostor scores in the other windows.
    """

    genuine: NDArray[np.float32]
    genuine_left: NDArray[np.int32]
    genuine_right: NDArray[np.int32]
    counts: NDArray[np.int64]
    tail: NDArray[np.float32]
    tail_left: NDArray[np.int32]
    tail_right: NDArray[np.int32]
    middle: NDArray[np.float32]
    windows: Windows


def ascending(
    parts: list[tuple[NDArray, NDArray, NDArray]],
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """The parts as one, in rising order of the scores; the list is emptied, so that they are not in memory twice."""
    scores = np.concatenate([np.empty(0, np.float32), *(part[0] for part in parts)])
    left = np.concatenate([np.empty(0, np.int32), *(part[1] for part in parts)])
    right = np.concatenate([np.empty(0, np.int32), *(part[2] for part in parts)])
    parts.clear()
    if not len(left):
        scores.sort()
        return scores, left, right
    order = np.lexsort((right, left, scores))
    return scores[order], left[order], right[order]


def join(parts: Sequence[PairScores]) -> PairScores:
    """The parts of several processes as one; all must have looked at the same windows."""
    if len(parts) == 1:
        return parts[0]
    genuine = ascending([(part.genuine, part.genuine_left, part.genuine_right) for part in parts])
    tail = ascending([(part.tail, part.tail_left, part.tail_right) for part in parts])
    return replace(
        parts[0],
        genuine=genuine[0],
        genuine_left=genuine[1],
        genuine_right=genuine[2],
        counts=np.sum([part.counts for part in parts], axis=0),
        tail=tail[0],
        tail_left=tail[1],
        tail_right=tail[2],
        middle=np.sort(np.concatenate([part.middle for part in parts])),
    )


def common_windows(windows: Sequence[Windows]) -> Windows:
    """The steps that are kept in all of these."""
    tail = max(each.tail for each in windows)
    kept = np.logical_and.reduce([each.table() for each in windows])[:tail]
    edges = np.flatnonzero(np.diff(kept.astype(np.int8), prepend=0, append=0)).reshape(-1, 2).tolist()
    return Windows(tail=tail, middle=tuple((low, high) for low, high in edges))


def narrowed(part: PairScores, windows: Windows) -> PairScores:
    """A part with the scores of these windows alone, all of which it must have kept."""
    if part.windows == windows:
        return part
    high = bins_of(part.tail) >= windows.tail
    rows = high[: len(part.tail_left)]
    lower = np.concatenate([part.middle, part.tail[~high]])
    return replace(
        part,
        tail=part.tail[high],
        tail_left=part.tail_left[rows],
        tail_right=part.tail_right[rows],
        middle=np.sort(lower[windows.table()[bins_of(lower)]]),
        windows=windows,
    )
