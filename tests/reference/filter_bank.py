"""Kaldi's log-mel filter bank as loops in float64, from its description in `angulus.speech.filter_bank`."""

import math

import numpy as np
from numpy.typing import NDArray

from angulus.speech import FilterBank


def naive_filter_bank(bank: FilterBank, waveform: NDArray[np.float64]) -> NDArray[np.float64]:
    """[samples] -> [frames, bands]."""
    size, hop = int(bank.rate * bank.window_ms * 0.001), int(bank.rate * bank.hop_ms * 0.001)
    padded = 1
    while padded < size:
        padded *= 2
    if bank.snip_edges:
        starts = list(range(0, len(waveform) - size + 1, hop))
    else:
        starts = [hop * frame + hop // 2 - size // 2 for frame in range((len(waveform) + hop // 2) // hop)]
    return np.array([_bands(bank, _frame(waveform, start, size), padded) for start in starts])


def _frame(waveform: NDArray[np.float64], start: int, size: int) -> list[float]:
    frame: list[float] = []
    for place in range(start, start + size):
        while not 0 <= place < len(waveform):
            place = -place - 1 if place < 0 else 2 * len(waveform) - 1 - place
        frame.append(float(waveform[place]))
    return frame


def _bands(bank: FilterBank, frame: list[float], padded: int) -> list[float]:
    size = len(frame)
    if bank.remove_dc:
        mean = math.fsum(frame) / size
        frame = [value - mean for value in frame]
    before = [frame[0], *frame[:-1]]
    frame = [value - bank.preemphasis * last for value, last in zip(frame, before, strict=True)]
    shaped = [value * _weight(bank.window, place, size) for place, value in enumerate(frame)]
    spectrum = np.abs(np.fft.rfft(np.array(shaped), padded))
    energies = spectrum**2 if bank.power else spectrum
    high = bank.high_hz if bank.high_hz > 0 else bank.rate / 2 + bank.high_hz
    first, last = _mel(bank.low_hz), _mel(high)
    step = (last - first) / (bank.bands + 1)
    found: list[float] = []
    for band in range(bank.bands):
        left, middle, right = (first + (band + corner) * step for corner in range(3))
        total = 0.0
        for place in range(padded // 2):
            where = _mel(place * bank.rate / padded)
            if left < where < right:
                share = (where - left) / (middle - left) if where <= middle else (right - where) / (right - middle)
                total += share * energies[place]
        found.append(math.log(max(total, 2.0**-23)))
    return found


def _mel(hertz: float) -> float:
    return 1127.0 * math.log(1.0 + hertz / 700.0)


def _weight(window: str, place: int, size: int) -> float:
    angle = 2 * math.pi * place / (size - 1)
    raised = 0.5 - 0.5 * math.cos(angle)
    return {
        "rectangular": 1.0,
        "hamming": 0.54 - 0.46 * math.cos(angle),
        "hanning": raised,
        "povey": raised**0.85,
        "blackman": 0.42 - 0.5 * math.cos(angle) + 0.08 * math.cos(2 * angle),
    }[window]
