"""What a recording looks like: its log-mel spectrogram as a picture, time to the right, high frequencies above."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.speech.filter_bank import FilterBank

USUAL_RATE = 16_000
RANGE = 8.0  # natural logarithms of energy below the loudest that are shown, about 35 dB
MOST_FRAMES = 300
LEAST_HEIGHT = 80
_STEPS = np.array([[13, 8, 40], [70, 22, 100], [140, 41, 100], [215, 80, 60], [248, 160, 40], [252, 245, 180]], float)


def picture_of(example: NDArray[Any], *, rate: int = USUAL_RATE) -> NDArray[np.uint8]:
    """An example as a picture uint8 [h, w, 3]: an image as it is, a recording or its features as a spectrogram.

    example: pixels uint8 [h, w, 3], samples int16 [t], or features [frames, bands].  rate: of samples.
    """
    if example.ndim == 3:
        return example
    bands = banded(example, rate) if example.ndim == 1 else example.astype(np.float64)
    return coloured(bands)


def banded(samples: NDArray[Any], rate: int) -> NDArray[np.float64]:
    """Log-mel energies [frames, bands]; a recording without a whole frame is one of silence."""
    bank = FilterBank(rate=rate, bands=40, low_hz=60.0)
    whole = np.pad(samples, (0, max(0, bank.samples - len(samples))))
    return bank(torch.from_numpy(np.ascontiguousarray(whole))[None].float())[0].double().numpy()


def coloured(bands: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[frames, bands] as a picture [h, w, 3], from the beginning on as much as a page has room for."""
    shown = bands[:MOST_FRAMES].T[::-1]
    top = float(shown.max()) if shown.size else 0.0
    spread = RANGE if np.ptp(shown) > 0 else 1.0
    level = np.clip((shown - top) / spread + 1.0, 0.0, 1.0) * (len(_STEPS) - 1)
    below = np.minimum(level.astype(int), len(_STEPS) - 2)
    part = (level - below)[..., None]
    pixels = _STEPS[below] * (1 - part) + _STEPS[below + 1] * part
    repeat = max(1, -(-LEAST_HEIGHT // max(1, len(shown))))
    return np.repeat(pixels.round().astype(np.uint8), repeat, axis=0)
