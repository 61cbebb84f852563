"""Two grey pictures of a recording, which are hashed and laid over each other as photos are.

    level    log-mel energies of 32 bands between 60 and 3,600 Hz, so that a copy at 8 kHz has them all; the loudest is
             1, and 8 (natural logarithm, 35 dB) below it is 0: another gain changes nothing
    whole    from the first to the last moment that is half as high as the highest: silence that was cut or added at the
             ends is not in it
    loudest  1.28 s around the loudest third of a second: what was cut off elsewhere is not in it

Of stored features, whose unit and bands are their own, 0 and 1 are the quantiles 0.05 and 0.995. Time runs to the
right, low frequencies are below. What copies and other recordings reach: docs/know_your_data.md and
benchmarks/speech_copies.py.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from angulus.inspection.hashing import spectrum
from angulus.inspection.looks.look import CopyBounds
from angulus.inspection.registration import agreement
from angulus.speech.filter_bank import FilterBank
from angulus.speech.pictures import RANGE

BOUNDS = CopyBounds(copy=0.985, by_hash=0.9, few_bits=24)
"""Of 719,400 pairs of different recordings of words, the 200 nearest by each hash agree to at most 0.982 (one word said
twice, by one speaker or by two), and none differs in 24 bits or fewer (the least is 33). Planted copies (another gain,
MP3, 8 kHz, shifts, cuts of 5 % at both ends) agree to 0.98 and more (benchmarks/speech_copies.py)."""
BANDS, LOW_HZ, HIGH_HZ = 32, 60.0, 3600.0
WINDOW = 128
_AROUND = 31
_SIDE = 64


def levels_of_samples(samples: NDArray[Any], rate: int) -> NDArray[np.float32]:
    """[frames, 32] of samples int16 [t], 0 to 1; a recording without a whole frame is one of silence."""
    bank = FilterBank(rate=rate, bands=BANDS, low_hz=LOW_HZ, high_hz=min(HIGH_HZ, rate / 2))
    whole = np.pad(samples, (0, max(0, bank.samples - len(samples))))
    energies = bank(torch.from_numpy(np.ascontiguousarray(whole))[None].float())[0].numpy()
    return np.clip((energies - energies.max()) / np.float32(RANGE) + 1, 0, 1)


def levels_of_features(features: NDArray[Any]) -> NDArray[np.float32]:
    """[frames, bands], 0 to 1, of stored features in any unit."""
    values = features.astype(np.float32)
    low, high = np.quantile(values, [0.05, 0.995])
    return np.clip((values - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)


def views(levels: NDArray[np.float32]) -> list[Image.Image]:
    """The whole, and the loudest part: two square grey pictures."""
    return [_picture(_whole(levels)), _picture(_loudest(levels))]


def spectra(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of both pictures: [2, 256]."""
    return np.stack([spectrum(view) for view in views(levels)])


def agreement_of(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The better agreement of both pictures; sound is never mirrored, and scaled only as a cut would do it."""
    pairs = zip(views(one), views(other), strict=True)
    return max(agreement(np.asarray(left), np.asarray(right), mirrored=False) for left, right in pairs)


def _whole(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    highest = np.convolve(np.pad(levels.max(axis=1), 2, mode="edge"), np.full(5, 0.2), "valid")
    places = np.flatnonzero(highest >= highest.max() / 2)
    return levels[places[0] : places[-1] + 1]


def _loudest(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    around = np.convolve(np.pad(levels.sum(axis=1), _AROUND // 2), np.ones(_AROUND), "valid")
    centre = int(around.argmax())
    return np.pad(levels, ((WINDOW // 2, WINDOW // 2), (0, 0)))[centre : centre + WINDOW]


def _picture(levels: NDArray[np.float32]) -> Image.Image:
    grey = Image.fromarray(np.ascontiguousarray((levels.T[::-1] * 255).round().astype(np.uint8)))
    return grey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
