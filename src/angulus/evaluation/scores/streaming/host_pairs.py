"""All pairs on a CPU: blocks that stay in its caches, counted and searched by numpy."""

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.evaluation.scores.streaming.kept import PairScores, ascending
from angulus.evaluation.scores.streaming.screening import least_shown
from angulus.evaluation.scores.streaming.shares import Share, blocks_of
from angulus.evaluation.scores.streaming.steps import BINS, OFFSET, SCALE, Windows, bins_of

_ROWS, _COLUMNS = 256, 2048


def host_pairs(
    rows: torch.Tensor,
    labels: NDArray[np.int64],
    order: NDArray[np.int64],
    windows: Windows,
    *,
    share: Share,
    screen: bool,
    with_rows: bool,
) -> PairScores:
    """The pass of `stream_pairs` over unit vectors [n, d] in the order of their labels [n]."""
    ends = np.searchsorted(labels, labels, side="right")
    sink = HostPairs(order, windows, with_rows=with_rows)
    coarse = rows.bfloat16() if screen else rows
    for start in blocks_of(share, len(order), _ROWS):
        stop = min(start + _ROWS, len(order))
        mixed = int(ends[stop - 1])  # from here on all columns are other people
        band = rows[start:stop] @ rows[start:mixed].T
        sink.add_band(band.numpy(), start, labels[start:stop], labels[start:mixed])
        for left in range(mixed, len(order), _COLUMNS):
            block = coarse[start:stop] @ coarse[left : left + _COLUMNS].T
            if screen:
                sink.add_screened(block, rows, start, left)
            else:
                sink.add(block, start, left)
    return sink.finished()


class HostPairs:
    """Where the blocks go."""

    def __init__(self, order: NDArray[np.int64], windows: Windows, *, with_rows: bool) -> None:
        self.with_rows = with_rows
        self.order, self.windows = order.astype(np.int32), windows
        self.counts = np.zeros(BINS, dtype=np.int64)
        self.genuine: list[tuple[NDArray, NDArray, NDArray]] = []
        self.kept: list[tuple[NDArray, NDArray, NDArray]] = []
        self.middle: list[NDArray[np.float32]] = []
        self.scaled = np.empty(_ROWS * _COLUMNS, dtype=np.float32)
        self.bins = np.empty(_ROWS * _COLUMNS, dtype=np.int64)

    def add(self, block: torch.Tensor, top: int, left: int) -> None:
        """A block [r, c] of impostors only."""
        width = block.shape[1]
        scores, places = self.select(block.numpy().reshape(-1))
        self.keep(scores, places // width + top, places % width + left)

    def add_screened(self, coarse: torch.Tensor, rows: torch.Tensor, top: int, left: int) -> None:
        """A bfloat16 block of impostors only: those that may reach the tail are scored again."""
        places = (coarse.reshape(-1) > least_shown(self.windows.tail)).nonzero().squeeze(1)
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
        np.multiply(scores, SCALE, out=scaled)
        np.add(scaled, OFFSET, out=scaled)
        np.copyto(bins, scaled, casting="unsafe")
        self.counts += np.bincount(bins, minlength=BINS)
        places = np.flatnonzero(bins >= self.windows.lowest)
        return scores[places], places

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
        genuine, tail = ascending(self.genuine), ascending(self.kept)
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
