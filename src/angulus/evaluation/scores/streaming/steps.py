"""The cosine in BINS equal steps, and the windows of steps whose scores are kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 2**17
# Rounding may carry a cosine a little past 1; the steps reach from -1.001 to 1.001.
_REACH = 1.001
SCALE = np.float32(BINS / (2 * _REACH))
OFFSET = np.float32(BINS / 2)


def bins_of(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The step of each score; a higher score never has a lower step, since every operation here rounds monotonely."""
    return (scores * SCALE + OFFSET).astype(np.int64)


def upper_ends(bins: NDArray[np.int64]) -> NDArray[np.float32]:
    """The largest score of each step (at least 0): a threshold there accepts exactly the steps above."""
    near = (np.maximum(bins, 0)[:, None] + np.array([-1.0, 2.0]) - float(OFFSET)) / float(SCALE)
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

    def table(self) -> NDArray[np.bool_]:
        """Which steps are kept [BINS]."""
        kept = np.arange(BINS) >= self.tail
        for low, high in self.middle:
            kept[low:high] = True
        return kept
