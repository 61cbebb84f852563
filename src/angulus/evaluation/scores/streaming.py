"""All pairs of a labelled set without holding them: exact counts, and exact scores where a figure needs them.

Scores are computed in blocks. Each is counted in one of BINS equal steps of the cosine, so that the number of impostors
above any step is exact; the scores themselves are kept in *windows* of steps: those in which a wanted threshold lies,
and everything above the strictest of them. Where the windows are is guessed from a sample of the images; the counts
then say whether each wanted rank fell into a window (the certificate), and a second pass looks where it did not.

Memory is that of the vectors, one block, the counts, the genuine scores and the windows. Cosines are float32 sums whose
last digit depends on the order of the addition, so scores closer than about 1e-7 have no order in any implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

BINS = 2**17
# Rounding may carry a cosine a little past 1; the steps reach from -1.001 to 1.001.
_REACH = 1.001
_SCALE = np.float32(BINS / (2 * _REACH))
_OFFSET = np.float32(BINS / 2)
_ROWS, _COLUMNS = 256, 2048


def bins_of(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The step of each score; a higher score never has a lower step, since every operation here rounds monotonely."""
    return (scores * _SCALE + _OFFSET).astype(np.int64)


def upper_ends(bins: NDArray[np.int64]) -> NDArray[np.float32]:
    """The largest score of each step (at least 0): a threshold there accepts exactly the steps above."""
    near = (np.maximum(bins, 0)[:, None] + np.array([-1.0, 2.0]) - float(_OFFSET)) / float(_SCALE)
    low, high = _places(near.astype(np.float32)).T
    while (high - low > 1).any():  # low is in the step or below it, high above it
        middle = (low + high) // 2
        inside = bins_of(_floats(middle)) <= np.maximum(bins, 0)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return _floats(low)


def _places(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers in the order of the floats, one for each."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))


def _floats(places: NDArray[np.int64]) -> NDArray[np.float32]:
    bits = np.where(places >= 0, places, -places | 0x80000000)
    return bits.astype(np.uint32).view(np.float32)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Steps whose scores are kept: from `tail` on with the rows of both images, and the ranges `middle` without."""

    tail: int
    middle: tuple[tuple[int, int], ...] = ()

    @property
    def lowest(self) -> int:
        return min([self.tail, *(low for low, _ in self.middle)])

    def holds(self, low: int, high: int) -> bool:
        """Whether the steps low to high (included) are all kept."""
        return low >= self.tail or any(start <= low and high < stop for start, stop in self.middle)


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


def stream_pairs(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    windows: Windows,
    *,
    device: str = "cpu",
    share: tuple[int, int] = (0, 1),
    screen: bool = False,
    with_rows: bool = True,
) -> PairScores:
    """One pass over all pairs. vectors: unit vectors float32 [n, d] with labels int64 [n].

    share: (rank, world) takes every world-th block of rows, for several processes; `join` puts the parts together.
    screen: bfloat16 products find the pairs that may lie in the tail, float32 products decide. Impostors below the tail
    are then all counted in the lowest step.  with_rows: False leaves the rows of genuine and tail scores empty, which
    halves the memory where many are kept.
    """
    order = np.argsort(labels, kind="stable")
    sorted_labels = labels[order]
    ends = np.searchsorted(sorted_labels, sorted_labels, side="right")
    in_order = bool((np.diff(labels) >= 0).all()) and vectors.flags.writeable  # then no copy is needed
    rows = torch.from_numpy(vectors if in_order else vectors[order]).to(device)
    sink = _Sink(order, windows, cuda=rows.is_cuda, with_rows=with_rows)
    coarse = rows.bfloat16() if screen else rows
    starts = range(0, len(order), _ROWS)
    for number, start in enumerate(starts):
        if number % share[1] != share[0]:
            continue
        stop = min(start + _ROWS, len(order))
        mixed = int(ends[stop - 1])  # from here on all columns are other people
        band = rows[start:stop] @ rows[start:mixed].T
        sink.add_band(band.cpu().numpy(), start, sorted_labels[start:stop], sorted_labels[start:mixed])
        for left in range(mixed, len(order), _COLUMNS):
            block = coarse[start:stop] @ coarse[left : left + _COLUMNS].T
            if screen:
                sink.add_screened(block, rows, start, left)
            else:
                sink.add(block, start, left)
    return sink.finished()


def largest_error(score: float) -> float:
    """How far the bfloat16 product of two unit vectors may be from their cosine, where the product is `score`.

    Rounding to 8 bits moves each factor by at most 2^-8 of itself, the sum of the moduli of the terms is at most 1
    (Cauchy-Schwarz), so operands cost at most 2^-7 + 2^-16; the rounded result costs 2^-8 of itself; the float32
    sum in between and vectors that are a little longer than 1 stay below 5e-5 for up to 4096 dimensions.
    """
    return 1.01 * 2**-7 + 2**-8 * abs(score) + 5e-5


class _Sink:
    """Where the blocks go."""

    def __init__(self, order: NDArray[np.int64], windows: Windows, *, cuda: bool, with_rows: bool) -> None:
        self.with_rows = with_rows
        self.order, self.windows, self.cuda = order.astype(np.int32), windows, cuda
        self.counts = np.zeros(BINS, dtype=np.int64)
        self.device_counts = torch.zeros(BINS, dtype=torch.int64, device="cuda") if cuda else None
        self.genuine: list[tuple[NDArray, NDArray, NDArray]] = []
        self.kept: list[tuple[NDArray, NDArray, NDArray]] = []
        self.middle: list[NDArray[np.float32]] = []
        self.scaled = np.empty(_ROWS * _COLUMNS, dtype=np.float32)
        self.bins = np.empty(_ROWS * _COLUMNS, dtype=np.int64)

    def add(self, block: torch.Tensor, top: int, left: int) -> None:
        """A block [r, c] of impostors only."""
        width = block.shape[1]
        if self.device_counts is not None:
            scores, places = self.select_on_device(block)
        else:
            scores, places = self.select(block.numpy().reshape(-1))
        self.keep(scores, places // width + top, places % width + left)

    def add_screened(self, coarse: torch.Tensor, rows: torch.Tensor, top: int, left: int) -> None:
        """A bfloat16 block of impostors only: those that may reach the tail are scored again."""
        bound = float(upper_ends(np.array([self.windows.tail - 1]))[0])
        # whoever is above the bound shows at least this much; |score| is at most 1 + its error
        shown = (bound - largest_error(0.0)) / (1 + 2**-8) if bound > 0 else bound - largest_error(1.02)
        places = (coarse.reshape(-1) > shown).nonzero().squeeze(1)
        width = coarse.shape[1]
        across, down = places // width + top, places % width + left
        scores = torch.cat(
            [(rows[a] * rows[d]).sum(dim=1) for a, d in zip(across.split(_ROWS), down.split(_ROWS), strict=True)]
            or [rows.new_empty(0)]
        )
        found = scores.cpu().numpy()
        bins = bins_of(found)
        tail = bins >= self.windows.tail
        self.counts += np.bincount(bins[tail], minlength=BINS)
        self.counts[0] += coarse.numel() - int(tail.sum())
        self.keep(found[tail], across.cpu().numpy()[tail], down.cpu().numpy()[tail])

    def select(self, scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Count scores [s]; return those in windows and where they stand."""
        scaled, bins = self.scaled[: len(scores)], self.bins[: len(scores)]
        np.multiply(scores, _SCALE, out=scaled)
        np.add(scaled, _OFFSET, out=scaled)
        np.copyto(bins, scaled, casting="unsafe")
        self.counts += np.bincount(bins, minlength=BINS)
        places = np.flatnonzero(bins >= self.windows.lowest)
        return scores[places], places

    def select_on_device(self, block: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        assert self.device_counts is not None
        scores = block.reshape(-1)
        bins = (scores * float(_SCALE) + float(_OFFSET)).long()
        self.device_counts += torch.bincount(bins, minlength=BINS)
        places = (bins >= self.windows.lowest).nonzero().squeeze(1)
        return scores[places].cpu().numpy(), places.cpu().numpy()

    def add_band(
        self,
        scores: NDArray[np.float32],
        top: int,
        own: NDArray[np.int64],
        other: NDArray[np.int64],
    ) -> None:
        """A block [r, c] at the diagonal, where columns begin at the first row: both kinds, each pair once."""
        later = np.arange(len(other)) > np.arange(len(own))[:, None]
        same = own[:, None] == other
        rows, columns = np.nonzero(same & later)
        self.genuine.append((scores[rows, columns], *self.rows_of(rows + top, columns + top)))
        rows, columns = np.nonzero(~same & later)
        for part in range(0, len(rows), len(self.bins)):
            some = slice(part, part + len(self.bins))
            found, places = self.select(scores[rows[some], columns[some]])
            self.keep(found, rows[some][places] + top, columns[some][places] + top)

    def keep(self, scores: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        bins = bins_of(scores)
        tail = bins >= self.windows.tail
        self.kept.append((scores[tail], *self.rows_of(rows[tail], columns[tail])))
        if self.windows.middle:
            inside = np.zeros(len(bins), dtype=bool)
            for low, high in self.windows.middle:
                inside |= (bins >= low) & (bins < high)
            self.middle.append(scores[inside & ~tail])

    def rows_of(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Where the images of pairs stand in the set, or nothing."""
        some = slice(None) if self.with_rows else slice(0)
        return self.order[rows[some]], self.order[columns[some]]

    def finished(self) -> PairScores:
        if self.device_counts is not None:
            self.counts += self.device_counts.cpu().numpy()
        genuine, tail = _ascending(self.genuine), _ascending(self.kept)
        middle = np.concatenate([np.empty(0, np.float32), *self.middle])
        self.middle.clear()
        middle.sort()
        return PairScores(
            genuine=genuine[0],
            genuine_left=genuine[1],
            genuine_right=genuine[2],
            counts=self.counts,
            tail=tail[0],
            tail_left=tail[1],
            tail_right=tail[2],
            middle=middle,
            windows=self.windows,
        )


def _ascending(
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
    genuine = _ascending([(part.genuine, part.genuine_left, part.genuine_right) for part in parts])
    tail = _ascending([(part.tail, part.tail_left, part.tail_right) for part in parts])
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
