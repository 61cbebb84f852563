"""What a device does with a tile of scores: count them by steps, and put those in windows into a buffer; no waiting."""

import importlib.util
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from angulus.evaluation.scores.streaming.steps import BINS, OFFSET, SCALE, Windows


class Tally(Protocol):
    """fill: int64 [1], finds so far, those beyond the buffers' end included.  buffers: scores, rows, columns.

    counts: int64 [at least BINS].  element_bytes: memory for each score of a tile, that of the score included.
    """

    element_bytes: ClassVar[int]
    fill: Tensor
    counts: Tensor
    buffers: tuple[Tensor, Tensor, Tensor]

    def __init__(self, device: torch.device, windows: Windows, capacity: int) -> None: ...

    def take(self, scores: Tensor, top: int, left: int, ends: Tensor | None, *, count: bool) -> None:
        """Search scores [r, c] whose first stands at (top, left), and count them where wanted.

        ends: int32 [n]; of row i only columns from ends[i] on belong; None for all.
        """
        ...

    def take_above(self, scores: Tensor, top: int, left: int, bound: float) -> None:
        """Put the places of scores above a bound into the buffer; nothing is counted."""
        ...

    def count(self, bins: Tensor) -> None: ...

    def bins_of(self, scores: Tensor) -> Tensor: ...


def tally_for(device: torch.device) -> type[Tally]:
    """Kernels on CUDA where Triton is installed, else operations of torch."""
    has_kernels = device.type == "cuda" and importlib.util.find_spec("triton") is not None
    return KernelTally if has_kernels else TorchTally


def table_of(windows: Windows) -> Tensor:
    """Which steps are kept, uint8 [BINS + 1]; the last is of what does not belong."""
    return torch.from_numpy(np.append(windows.table(), False).astype(np.uint8))


class _Buffered:
    """Buffers with one place more, where everything goes that has none."""

    def __init__(self, device: torch.device, windows: Windows, capacity: int) -> None:
        self.capacity = capacity
        self.lowest = windows.lowest
        self.table = table_of(windows).to(device)
        self.fill = torch.zeros(1, dtype=torch.int64, device=device)
        self.counts = torch.zeros(BINS + 1, dtype=torch.int64, device=device)
        rows, columns = (torch.empty(capacity + 1, dtype=torch.int32, device=device) for _ in range(2))
        self.buffers = (torch.empty(capacity + 1, device=device), rows, columns)

    def bins_of(self, scores: Tensor) -> Tensor:
        """As `steps.bins_of`: product and sum are rounded one after the other."""
        return (scores * float(SCALE)).add_(float(OFFSET)).long()

    def count(self, bins: Tensor) -> None:
        self.counts.scatter_add_(0, bins, torch.ones_like(bins))


class TorchTally(_Buffered):
    """The same by operations of torch, each of which passes over the tile."""

    element_bytes: ClassVar[int] = 48

    def take(self, scores: Tensor, top: int, left: int, ends: Tensor | None, *, count: bool) -> None:
        bins = self.bins_of(scores)
        if ends is not None:
            columns = torch.arange(left, left + scores.shape[1], device=scores.device)
            bins.masked_fill_(columns < ends[top : top + len(scores), None], BINS)
        flat = bins.view(-1)
        if count:
            self.count(flat)
        self._put(self.table[flat] != 0, scores, top, left)

    def take_above(self, scores: Tensor, top: int, left: int, bound: float) -> None:
        self._put(scores.reshape(-1).float() > bound, scores, top, left)

    def _put(self, kept: Tensor, scores: Tensor, top: int, left: int) -> None:
        targets = kept.cumsum(0).add_(self.fill - 1)
        targets = torch.where(kept & (targets < self.capacity), targets, self.capacity)
        places = torch.arange(scores.numel(), device=scores.device)
        width = scores.shape[1]
        for buffer, values in zip(
            self.buffers, (scores.reshape(-1).float(), places // width + top, places % width + left), strict=True
        ):
            buffer.scatter_(0, targets, values.to(buffer.dtype))
        self.fill += kept.sum()


class KernelTally(_Buffered):
    """One Triton kernel that reads each score once; counts are spread over copies, so that fewer meet at one place."""

    element_bytes: ClassVar[int] = 4
    COPIES = 8
    BLOCK = 2048

    def __init__(self, device: torch.device, windows: Windows, capacity: int) -> None:
        super().__init__(device, windows, capacity)
        self.copies = torch.zeros(self.COPIES, BINS, dtype=torch.int32, device=device)

    def take(self, scores: Tensor, top: int, left: int, ends: Tensor | None, *, count: bool) -> None:
        self._launch(scores, top, left, ends, bound=0.0, counting=count, screening=False)
        if count:  # a tile has fewer than 2^31 scores: copies cannot overflow
            self.counts[:BINS] += self.copies.sum(0)
            self.copies.zero_()

    def take_above(self, scores: Tensor, top: int, left: int, bound: float) -> None:
        self._launch(scores, top, left, None, bound=bound, counting=False, screening=True)

    def _launch(
        self,
        scores: Tensor,
        top: int,
        left: int,
        ends: Tensor | None,
        *,
        bound: float,
        counting: bool,
        screening: bool,
    ) -> None:
        from angulus.evaluation.scores.streaming.pair_kernels import take_tile

        kernel: Any = take_tile
        sizes = {"elements": scores.numel(), "width": scores.shape[1], "top": top, "left": left}
        grid = (-(-scores.numel() // self.BLOCK),)
        with torch.cuda.device_of(scores):
            kernel[grid](
                *(scores, self.table if ends is None else ends, self.copies, self.table, *self.buffers, self.fill),
                **sizes,
                capacity=self.capacity,
                lowest=self.lowest,
                bound=bound,
                SCALE=float(SCALE),
                OFFSET=float(OFFSET),
                BINS=BINS,
                COPIES=self.COPIES,
                MASKED=ends is not None,
                SCREENING=screening,
                COUNTING=counting,
                BLOCK=self.BLOCK,
                enable_fp_fusion=False,  # a fused product and sum would round once, and steps would not be the same
            )
