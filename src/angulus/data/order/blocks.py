"""An order for slow disks and object stores: whole blocks of records in shuffled order, mixed over a few blocks.

Records are cut into blocks that are read together. The blocks come in a shuffled order; `window` of them after each
other are shuffled as one set of records. So what is read lies in few places, and neighbours of a batch come from many.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.data.index.permutation import Permutation, key_of, mixed, permuted
from angulus.data.order.sampling import batches_in, check_sizes, places_of
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockSampler:
    """Every example once an epoch, in blocks that lie together.

    Args:
        num_examples, batch_size, seed, drop_last: as in `EpochSampler`.
        block: records that are read together.
        window: blocks that are shuffled together.
    """

    num_examples: int
    batch_size: int
    seed: int = 0
    drop_last: bool = True
    block: int = 1024
    window: int = 64

    def __post_init__(self) -> None:
        check_sizes(self.num_examples, self.batch_size)
        for name in ("block", "window"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        return batches_in(self.num_examples, self.batch_size, drop_last=self.drop_last)

    @property
    def num_blocks(self) -> int:
        """The last one may be shorter."""
        return -(-self.num_examples // self.block)

    @property
    def num_windows(self) -> int:
        """The last one may have fewer blocks."""
        return -(-self.num_blocks // self.window)

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions of the examples in batch `index` (from 0) of `epoch`."""
        places = places_of(self, epoch, index)
        order = Permutation(self.num_blocks, key_of(self.seed, epoch, 1))
        windows, starts, sizes = self._windows(order, places)
        keys = mixed(mixed(windows) ^ np.uint64(key_of(self.seed, epoch, 2)))
        places = starts + permuted(places - starts, sizes, keys)
        gap, short = self._gap(order)
        places = np.where(places >= short, places + gap, places)  # as if all blocks were of one length
        return order(places // self.block) * self.block + places % self.block

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        return divmod(step, self.batches_per_epoch)

    def upcoming(self, epoch: int, index: int) -> list[tuple[int, int]]:
        """Ranges of the blocks of the window after this one, when a batch begins a window; with the first, of both."""
        order = Permutation(self.num_blocks, key_of(self.seed, epoch, 1))
        places = places_of(self, epoch, index)
        last = int(self._windows(order, places[-1:])[0][0])
        before = int(self._windows(order, places[:1] - 1)[0][0]) if index else -1
        first = 0 if before < 0 else before + 2
        wanted = range(first * self.window, min((last + 2) * self.window, self.num_blocks))
        blocks = np.sort(order(np.array(wanted, dtype=np.int64))).tolist()
        return [(block * self.block, min((block + 1) * self.block, self.num_examples)) for block in blocks]

    def _gap(self, order: Permutation) -> tuple[int, int]:
        # how much shorter the last block is, and the place in the order of an epoch at which it ends
        gap = self.num_blocks * self.block - self.num_examples
        return gap, (int(order.inverse([self.num_blocks - 1])[0]) + 1) * self.block - gap

    def _windows(
        self, order: Permutation, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        # the windows in which places lie, where these begin, and their sizes
        gap, short = self._gap(order)
        length = self.window * self.block
        windows = np.where(places >= short, places + gap, places) // length

        def start(window: NDArray[np.int64]) -> NDArray[np.int64]:
            full = np.minimum(window * length, self.num_blocks * self.block)
            return np.where(full > short, full - gap, full)

        starts = start(windows)
        return windows, starts, start(windows + 1) - starts
