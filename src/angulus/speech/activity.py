"""Where is speech, by energy alone? The rule of Kaldi's compute-vad, on waveforms that are levelled first.

    L_t = ln of the energy of frame t, 0 Hz left out, as if the loud frames were `LOUD`
    loud enough = L_t > threshold + mean_scale * mean of L over the frames that are not digital silence
    speech      = at least `proportion` of the frames from t - context to t + context are loud enough

Levelled, so that a recording ten times as quiet has the same speech. Digital silence, where the samples of a hop
lie within two steps, is none whatever lies around it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOUD = math.log(400 * 3000.0**2)
"""The level to which the loud frames are brought: a window of 25 ms at 16 kHz with a root mean square of 3,000."""
_LOUD_PART = 0.95  # of the frames are quieter than the loud ones
_AT_ONCE = 2**13  # frames


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Voice activity by energy.

    window_ms, hop_ms: milliseconds of what the energy of a frame is taken from, and between frames.
    threshold: natural logarithm, Kaldi's --vad-energy-threshold.  mean_scale: --vad-energy-mean-scale.
    context: frames to each side.  proportion: of them that must be loud.
    Raises ValueError for numbers out of range.
    """

    window_ms: float = 25.0
    hop_ms: float = 10.0
    threshold: float = 5.5
    mean_scale: float = 0.5
    context: int = 2
    proportion: float = 0.12

    def __post_init__(self) -> None:
        if not (0.0 < self.hop_ms <= self.window_ms <= 10_000.0):
            raise ValueError(
                f"hop_ms and window_ms must be rising times up to 10,000 ms, got {self.hop_ms} and {self.window_ms}"
            )
        if not (math.isfinite(self.threshold) and math.isfinite(self.mean_scale)):
            raise ValueError(f"threshold and mean_scale must be finite, got {self.threshold} and {self.mean_scale}")
        if isinstance(self.context, bool) or not isinstance(self.context, int) or not 0 <= self.context <= 1000:
            raise ValueError(f"context must be a whole number from 0 to 1,000, got {self.context!r}")
        if not 0.0 <= self.proportion <= 1.0:
            raise ValueError(f"proportion must be in [0, 1], got {self.proportion}")

    def frames(self, waveform: NDArray, rate: int) -> NDArray[np.bool_]:
        """Which frames are speech: bool [frames] of a waveform [samples]; frame t is samples t hop to (t + 1) hop."""
        energies, silent = self._energies(waveform, rate)
        if silent.all():
            return np.zeros(len(energies), dtype=np.bool_)
        logs = np.log(np.maximum(energies, 1e-10))
        logs += LOUD - np.quantile(logs[~silent], _LOUD_PART)
        loud = (logs > self.threshold + self.mean_scale * logs[~silent].mean()) & ~silent
        window = np.ones(2 * self.context + 1, dtype=np.int64)
        # of the full sums, so that a waveform shorter than the window keeps its length
        counted = np.convolve(loud, window)[self.context : self.context + len(loud)]
        there = np.convolve(np.ones(len(loud), dtype=np.int64), window)[self.context : self.context + len(loud)]
        return (counted >= self.proportion * there) & ~silent

    def spans(self, waveform: NDArray, rate: int) -> list[tuple[int, int]]:
        """Samples [begin, end) of each stretch of speech, in order."""
        padded = np.concatenate([[False], self.frames(waveform, rate), [False]])
        edges = np.flatnonzero(padded[1:] != padded[:-1]) * self._hop(rate)
        return [(int(a), min(int(b), len(waveform))) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def speech(self, waveform: NDArray, rate: int) -> NDArray:
        """The samples that are speech, one stretch after the other; none where all is silence."""
        parts = [waveform[begin:end] for begin, end in self.spans(waveform, rate)]
        return np.concatenate(parts) if parts else waveform[:0]

    def _hop(self, rate: int) -> int:
        return max(1, int(rate * self.hop_ms / 1000.0))

    def _energies(self, waveform: NDArray, rate: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Energy of each frame about its mean, and whether it is digital silence."""
        hop = self._hop(rate)
        around = max(0, int(rate * self.window_ms / 1000.0) - hop) // 2
        begins = np.arange(0, len(waveform), hop)
        if not len(begins):
            return np.zeros(0), np.zeros(0, dtype=np.bool_)
        highest, lowest = (found.reduceat(waveform, begins) for found in (np.maximum, np.minimum))
        silent = highest.astype(np.float64) - lowest <= 2.0
        energies = np.zeros(len(begins))
        for first in range(0, len(begins), _AT_ONCE):
            chunk = slice(first, first + _AT_ONCE)
            low = np.maximum(begins[chunk] - around, 0)
            high = np.minimum(begins[chunk] + hop + around, len(waveform))
            part = waveform[low[0] : high[-1]].astype(np.float64)
            sums, squares = (np.concatenate([[0.0], np.cumsum(part**power)]) for power in (1, 2))
            low, high = low - low[0], high - low[0]
            energies[chunk] = squares[high] - squares[low] - (sums[high] - sums[low]) ** 2 / (high - low)
        return np.maximum(energies, 0.0), silent
