"""What one change of training does to one waveform [samples], or to the features of one example, on any device.

The bits depend on the waveform alone: energies and means are sums of whole numbers, which have one value in any order.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.devices.copies import sent

_EDGE = 0.1  # of a limit's frequency: how far from it a band has faded, to either side
_FINE = 2.0**20  # parts of 1 in which features are summed


def piece(pieces: Tensor, which: float, place: float, samples: int, device: torch.device) -> Tensor:
    """int64 [samples] of one of the pieces from a drawn place on; a short piece goes around."""
    piece = pieces[int(which * len(pieces))]
    begin = int(place * max(1, len(piece) - samples + 1)) if len(piece) >= samples else int(place * len(piece))
    around = sent(torch.cat([piece[begin:], piece[:begin]]) if begin + samples > len(piece) else piece[begin:], device)
    return around.repeat(-(-samples // len(around)))[:samples].long()


def mixed(row: Tensor, sound: Tensor, snr: float) -> Tensor:
    """float32 [samples]: the row, and so many decibels below it a sound of whole numbers; silence stays silent."""
    energy = row.round().long().square().sum().double()
    ratio = (energy / sound.square().sum().clamp(min=1).double()).sqrt() * 10.0 ** (-snr / 20.0)
    return row + sound.float() * ratio.float()


def reverberated(row: Tensor, response: Tensor) -> Tensor:
    """float32 [samples]: the row convolved with a response [taps], as long as it was."""
    points = 1 << (len(row) + len(response) - 2).bit_length()
    if row.device.type == "cpu":
        return _filtered(row, np.fft.rfft(response.numpy(), points), points)
    return torch.fft.irfft(torch.fft.rfft(row, points) * torch.fft.rfft(response, points), points)[: len(row)]


def banded(row: Tensor, rate: int, low: float, high: float) -> Tensor:
    """What lies between two frequencies in Hz, with smooth edges; a limit of 0 is none."""
    points = 1 << (2 * len(row) - 1).bit_length()
    passed = _passed(points, rate, low, high)
    if row.device.type == "cpu":
        return _filtered(row, passed, points)
    gains = sent(torch.from_numpy(passed), row.device)
    return torch.fft.irfft(torch.fft.rfft(row, points) * gains, points)[: len(row)]


def _filtered(row: Tensor, spectrum: NDArray, points: int) -> Tensor:
    """On a CPU, by numpy: one thread, and so the same bits however many threads torch may use."""
    return torch.from_numpy(np.fft.irfft(np.fft.rfft(row.numpy(), points) * spectrum, points)[: len(row)])


def _passed(points: int, rate: int, low: float, high: float) -> NDArray[np.float32]:
    """Gains [points / 2 + 1]: half at both limits, cosines around them."""
    frequencies = np.arange(points // 2 + 1) * (rate / points)
    gains = np.ones(len(frequencies))
    for limit, way in ((low, 1.0), (high, -1.0)):
        if limit > 0:
            part = ((frequencies / limit - 1.0) / _EDGE).clip(-1.0, 1.0) * way
            gains = gains * (0.5 + 0.5 * np.sin(part * (np.pi / 2)))
    return gains.astype(np.float32)


def mu_law(row: Tensor) -> Tensor:
    """What 8 bits of G.711 leave of samples that are cut to int16."""
    places = row.round().clamp(-32768, 32767).long() + 32768
    return _mu_law_table(row.device)[places]


@lru_cache(maxsize=16)
def _mu_law_table(device: torch.device) -> Tensor:
    """float32 [65536]: of each int16 what it becomes, ITU-T G.711: eight segments of 16 steps on 14 bits."""
    values = np.arange(-32768, 32768)
    size = np.minimum(np.abs(values) // 4, 8158) + 33
    segment = np.floor(np.log2(size)).astype(np.int64) - 5
    step = size >> (segment + 1)
    middle = ((2 * step + 1) << segment) - 33
    return torch.from_numpy((np.sign(values) * middle * 4).astype(np.float32)).to(device)


def mask(features: Tensor, stretches: list[tuple[int, int, int]]) -> None:
    """Writes the mean of the features [frames, bands] into stretches of them: (axis, begin, end)."""
    whole = (features.double() * _FINE).round().long().sum()
    mean = (whole.double() / (_FINE * features.numel())).float()
    for axis, begin, end in stretches:
        features.narrow(axis, begin, end - begin).copy_(mean.expand(1, 1))
