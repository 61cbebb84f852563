"""All pairs on a device: large products, counted and searched where they are, one number read for each row of tiles.

What lies in the windows goes into a buffer of the device. Its fill is counted on beyond its end, so that what did not
fit is known (the certificate): those tiles are computed again and taken in parts that fit. The same product of the same
shape has the same digits, so that what is found the second time is what was counted the first time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.evaluation.scores.streaming.kept import PairScores, ascending
from angulus.evaluation.scores.streaming.screening import least_shown
from angulus.evaluation.scores.streaming.shares import Share, blocks_of
from angulus.evaluation.scores.streaming.steps import BINS, Windows
from angulus.evaluation.scores.streaming.tallies import Tally, tally_for

_RESCORED = 2**18


@dataclass(frozen=True, kw_only=True)
class TileSizes:
    """rows, columns: of one product.  capacity: scores that the buffer holds.  held: bytes of finds on the device."""

    rows: int = 4096
    columns: int = 65_536
    capacity: int = 2**24
    held: int = 2**32


ROWS, ROWS_SHARED = 4096, 1024
"""Rows of a tile, alone and where several processes share them (who must agree on it, whatever their memory)."""
_COLUMNS = (65_536, 2048)
_CAPACITY = (2**26, 2**18)
_ENTRY = 12  # bytes of a score with its two rows


def sizes_for(free: int, bytes_an_element: int, world: int, widest: int) -> TileSizes:
    """Tiles for so much free memory. widest: columns of the widest tile at the diagonal, which is never divided."""
    rows = ROWS if world == 1 else ROWS_SHARED
    columns = _COLUMNS[0]
    while columns > max(_COLUMNS[1], widest) and rows * columns * bytes_an_element > free // 2:
        columns //= 2
    capacity = _CAPACITY[0]
    while capacity > _CAPACITY[1] and capacity * _ENTRY > free // 16:
        capacity //= 2
    return TileSizes(rows=rows, columns=columns, capacity=capacity, held=free // 8)


def device_pairs(
    rows: Tensor,
    labels: NDArray[np.int64],
    order: NDArray[np.int64],
    windows: Windows,
    *,
    share: Share,
    screen: bool,
    with_rows: bool,
    sizes: TileSizes | None = None,
    tally: type[Tally] | None = None,
) -> PairScores:
    """The pass of `stream_pairs` over unit vectors [n, d] on a device, in the order of their labels [n]."""
    kind = tally_for(rows.device) if tally is None else tally
    ends = np.searchsorted(labels, labels, side="right")
    if sizes is None:
        free = torch.cuda.mem_get_info(rows.device)[0] if rows.is_cuda else 2**31
        tile_rows = ROWS if share[1] == 1 else ROWS_SHARED
        sizes = sizes_for(free, kind.element_bytes, share[1], widest_band(ends, tile_rows))
    work = DevicePairs(rows, ends, windows, sizes, kind, screen=screen)
    for top in blocks_of(share, len(labels), sizes.rows):
        work.take_rows(top, min(top + sizes.rows, len(labels)))
    return work.finished(order, with_rows=with_rows)


def widest_band(ends: NDArray[np.int64], rows: int) -> int:
    """Columns of the widest tile at the diagonal, which reaches from its first row to its last person's last image."""
    starts = np.arange(0, len(ends), rows)
    lasts = np.minimum(starts + rows, len(ends)) - 1
    return int((ends[lasts] - starts).max(initial=0))


@dataclass(frozen=True)
class Tile:
    """Columns left to right. band: at the diagonal, with one's own people.  coarse: in bfloat16, to be rescored."""

    left: int
    right: int
    band: bool = False
    coarse: bool = False


class DevicePairs:
    """Where a pass stands. Finds are held as (scores, first rows, second rows), rows in the order of the labels."""

    def __init__(
        self,
        rows: Tensor,
        ends: NDArray[np.int64],
        windows: Windows,
        sizes: TileSizes,
        tally: type[Tally],
        *,
        screen: bool,
    ) -> None:
        self.rows, self.ends, self.windows, self.sizes = rows, ends, windows, sizes
        self.coarse = rows.bfloat16() if screen else None
        self.shown = least_shown(windows.tail) if screen else 0.0
        self.device_ends = torch.from_numpy(ends.astype(np.int32)).to(rows.device)
        self.tally = tally(rows.device, windows, sizes.capacity)
        self.room = rows.new_empty(0)
        self.genuine: list[tuple[Tensor, Tensor, Tensor]] = []
        self.tail: list[tuple[Tensor, Tensor, Tensor]] = []
        self.middle: list[Tensor] = []
        self.filled = self.below = self.held = 0

    def take_rows(self, top: int, stop: int) -> None:
        """All pairs of the rows top to stop with themselves and later ones."""
        mixed = int(self.ends[stop - 1])  # from here on all columns are other people
        band = Tile(top, mixed, band=True)
        others = [
            Tile(left, min(left + self.sizes.columns, len(self.ends)), coarse=self.coarse is not None)
            for left in range(mixed, len(self.ends), self.sizes.columns)
        ]
        if self.coarse is None:
            self.take(top, stop, [band, *others])
            return
        self.take(top, stop, [band])
        self.flush(self.filled, rescore=False)
        self.take(top, stop, others)
        self.flush(self.filled, rescore=True)

    def take(self, top: int, stop: int, tiles: list[Tile]) -> None:
        """Count and search tiles of some rows; waits for the device once."""
        for tile in tiles:
            scores = self.product(top, stop, tile)
            if tile.band:
                self.keep_genuine(scores, top, stop)
            if tile.coarse:
                self.below += scores.numel()
            self.search(scores, top, tile, count=True)
        filled = int(self.tally.fill)
        if filled <= self.sizes.capacity:
            self.filled = filled
            if filled > self.sizes.capacity // 2:
                self.flush(filled, rescore=tiles[0].coarse)
            return
        self.flush(self.filled, rescore=tiles[0].coarse)
        for tile in tiles:
            self.take_in_parts(top, stop, tile)

    def take_in_parts(self, top: int, stop: int, tile: Tile) -> None:
        """Search a tile that was counted already, few enough rows at once for the buffer."""
        scores = self.product(top, stop, tile)
        step = max(1, self.sizes.capacity // scores.shape[1])
        for row in range(0, len(scores), step):
            self.search(scores[row : row + step], top + row, tile, count=False)
            self.flush(int(self.tally.fill), rescore=tile.coarse)

    def product(self, top: int, stop: int, tile: Tile) -> Tensor:
        """Cosines [rows, columns] of a tile, in memory that the next tile takes again."""
        source = self.coarse if tile.coarse and self.coarse is not None else self.rows
        size = (stop - top) * (tile.right - tile.left)
        if self.room.numel() < size or self.room.dtype != source.dtype:
            self.room = source.new_empty(max(size, self.sizes.rows * min(self.sizes.columns, len(self.ends))))
        out = self.room[:size].view(stop - top, tile.right - tile.left)
        return torch.mm(source[top:stop], source[tile.left : tile.right].T, out=out)

    def search(self, scores: Tensor, top: int, tile: Tile, *, count: bool) -> None:
        if tile.coarse:
            self.tally.take_above(scores, top, tile.left, self.shown)
        else:
            self.tally.take(scores, top, tile.left, self.device_ends if tile.band else None, count=count)

    def keep_genuine(self, scores: Tensor, top: int, stop: int) -> None:
        """The pairs of one person among a tile at the diagonal; how many is known from the labels."""
        first = torch.arange(top, stop, device=scores.device)
        own = self.device_ends[top:stop] - first - 1
        total = int((self.ends[top:stop] - np.arange(top, stop) - 1).sum())
        rows = torch.repeat_interleave(first, own, output_size=total)
        begins = torch.repeat_interleave(own.cumsum(0) - own, own, output_size=total)
        columns = rows + 1 + torch.arange(total, device=scores.device) - begins
        found = scores.reshape(-1)[(rows - top) * scores.shape[1] + columns - top]
        self.hold(self.genuine, (found, rows.int(), columns.int()))

    def flush(self, filled: int, *, rescore: bool) -> None:
        """Take the first `filled` finds out of the buffer, which is empty afterwards."""
        scores, rows, columns = (part[:filled].clone() for part in self.tally.buffers)
        self.tally.fill.zero_()
        self.filled = 0
        if not filled:
            return
        if rescore:
            scores = torch.cat([self.exact(a, b) for a, b in zip(*map(_pieces, (rows, columns)), strict=True)])
        bins = self.tally.bins_of(scores)
        high = bins >= self.windows.tail
        if rescore:
            self.tally.count(bins[high])
            self.below -= int(high.sum())
        elif self.windows.middle:
            self.middle.append(scores[~high])
            self.held += self.middle[-1].nbytes
        self.hold(self.tail, (scores[high], rows[high], columns[high]))

    def exact(self, rows: Tensor, columns: Tensor) -> Tensor:
        return (self.rows[rows.long()] * self.rows[columns.long()]).sum(dim=1)

    def hold(self, parts: list[tuple[Tensor, Tensor, Tensor]], found: tuple[Tensor, Tensor, Tensor]) -> None:
        """Keep finds, on the device while there is room."""
        parts.append(found)
        self.held += sum(part.nbytes for part in found)
        if self.held > self.sizes.held:
            for several in (self.genuine, self.tail):
                several[:] = [(a.cpu(), b.cpu(), c.cpu()) for a, b, c in several]
            self.middle[:] = [part.cpu() for part in self.middle]
            self.held = 0

    def finished(self, order: NDArray[np.int64], *, with_rows: bool) -> PairScores:
        self.flush(self.filled, rescore=False)  # of screened tiles nothing is left
        counts = self.tally.counts.cpu().numpy()[:BINS].copy()
        counts[0] += self.below
        genuine, tail = (sorted_pairs(parts, order, with_rows=with_rows) for parts in (self.genuine, self.tail))
        middle = torch.cat(_together(self.middle)).sort().values if self.middle else torch.empty(0)
        return PairScores(
            genuine=genuine[0],
            genuine_left=genuine[1],
            genuine_right=genuine[2],
            counts=counts,
            tail=tail[0],
            tail_left=tail[1],
            tail_right=tail[2],
            middle=middle.cpu().numpy(),
            windows=self.windows,
        )


def _pieces(values: Tensor) -> Iterator[Tensor]:
    return iter(values.split(_RESCORED))


def _together(parts: list[Tensor]) -> list[Tensor]:
    """The parts in one place: where they are, or on the CPU once some have gone there."""
    return parts if len({part.device for part in parts}) == 1 else [part.cpu() for part in parts]


def sorted_pairs(
    parts: list[tuple[Tensor, Tensor, Tensor]], order: NDArray[np.int64], *, with_rows: bool
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Finds in rising order of their scores, then of the images in the set; sorted where they are. Empties the list."""
    if not parts:
        nothing = np.empty(0, np.int32)
        return np.empty(0, np.float32), nothing, nothing
    scores, rows, columns = (torch.cat(_together([part[k] for part in parts])) for k in range(3))
    parts.clear()
    if not with_rows:
        nothing = np.empty(0, np.int32)
        return scores.sort().values.cpu().numpy(), nothing, nothing
    places = torch.from_numpy(order.astype(np.int32)).to(scores.device)
    left, right = places[rows.long()], places[columns.long()]
    if scores.device.type == "cpu":
        return ascending([(scores.numpy(), left.numpy(), right.numpy())])
    by_image = (left.long() * len(order) + right).argsort()
    by_score = by_image[scores[by_image].argsort(stable=True)]
    return tuple(values[by_score].cpu().numpy() for values in (scores, left, right))  # type: ignore[return-value]
