"""Waveforms at another rate, by soxr in high quality.

samples at the new rate = round(samples * new / old), at least 1
"""

from collections.abc import Iterable, Iterator
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

from angulus.speech.packages import soxr_package

REACH = 256
"""Beyond so many samples of the lower of two rates a sample changes a resampled one by less than a hundredth."""


def length_at(samples: int, rate: int, new_rate: int) -> int:
    """Samples of a waveform of so many samples at another rate; halves are rounded up."""
    return max(1, (2 * samples * new_rate + rate) // (2 * rate)) if samples > 0 else 0


def resample(waveform: NDArray, rate: int, new_rate: int) -> NDArray[np.float32]:
    """float32 [length_at(samples)] on the scale of the waveform [samples], which may be of any type of real numbers.

    Raises DataError where soxr is missing.
    """
    parts = list(resampled_parts([waveform], rate, new_rate))
    return fitted(np.concatenate(parts), length_at(len(waveform), rate, new_rate))


def resampled_parts(parts: Iterable[NDArray], rate: int, new_rate: int) -> Iterator[NDArray[np.float32]]:
    """The parts of a waveform [samples] at another rate, one after the other; the same as of the whole."""
    if rate == new_rate:
        yield from (part.astype(np.float32, copy=False) for part in parts)
        return
    stream = soxr_package().ResampleStream(rate, new_rate, 1, dtype="float32", quality="HQ")
    for part in parts:
        yield stream.resample_chunk(np.ascontiguousarray(part, dtype=np.float32))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def fitted(waveform: NDArray, samples: int) -> NDArray:
    """The waveform cut, or filled with zeros, to so many samples."""
    return waveform[:samples] if len(waveform) >= samples else np.pad(waveform, (0, samples - len(waveform)))


def whole_numbers(values: NDArray) -> NDArray[np.int16]:
    """Rounded, and cut to -32,768 .. 32,767."""
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def source_of(begin: int, end: int, rate: int, new_rate: int) -> tuple[int, int, int]:
    """What samples [begin, end) at the new rate are made of: (first sample, end, the place of `begin` in its result).

    The first sample lies where a sample of both rates falls on one instant, so that the part is resampled at the same
    phase as the whole.
    """
    if rate == new_rate:
        return begin, end, 0
    common = gcd(rate, new_rate)
    step, new_step = rate // common, new_rate // common
    lower = min(rate, new_rate)
    margin, new_margin = ceil(REACH * rate / lower), ceil(REACH * new_rate / lower)
    periods = max(0, (begin - new_margin) // new_step)
    return periods * step, -(-end * rate // new_rate) + margin, begin - periods * new_step
