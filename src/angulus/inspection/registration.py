"""Is one picture a copy of another, cut, scaled, moved, mirrored or darkened? They are laid over each other to see.

The middle of one (60 % of each side) is looked for in the other, mirrored too, at scales from 0.8 to 1.25, first
coarsely, then finely around the best, by the normalised cross-correlation of grey values: 1 where they are equal but
for brightness and contrast. What copies reach, and what two photos of one person, is in docs/know_your_data.md.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 56
MIDDLE = 34
COPY = 0.985
"""From this agreement on two pictures are called copies; photos taken seconds apart reach 0.984."""
COPY_BY_HASH, FEW_BITS = 0.95, 24
"""Enough where so few bits of the hashes differ: brightness that drives pixels into white costs agreement."""
_STEP = 0.07
_COARSE = tuple((1 + _STEP) ** step for step in range(-3, 4))
_FINE = 3

Grey = NDArray[np.float32]


def agreement(one: NDArray[np.uint8], other: NDArray[np.uint8], *, mirrored: bool = True) -> float:
    """The highest correlation, -1 to 1, of pictures uint8 [h, w, 3] or grey [h, w] over scales, places and mirroring.

    mirrored: try the mirror image as well.
    """
    first, second = (Image.fromarray(picture).convert("L") for picture in (one, other))
    scaled = {factor: _at(second, factor) for factor in _COARSE}
    middles = [_middle(first)]
    if mirrored:
        middles.append(_middle(first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    best, factor, middle = -1.0, 1.0, middles[0]
    for each in middles:
        for tried, picture in scaled.items():
            found = _correlation(each, picture)
            if found > best:
                best, factor, middle = found, tried, each
    step = _STEP
    for _ in range(_FINE):
        step /= 2
        centre = factor
        for tried in (centre * (1 - step), centre * (1 + step)):
            found = _correlation(middle, _at(second, tried))
            if found > best:
                best, factor = found, tried
    return best


def _correlation(middle: Grey, picture: Grey) -> float:
    """The highest correlation of the middle [m, m] with a part of the picture; -1 where the picture is smaller.

    Products of all places at once by Fourier transforms, sums of all windows as differences of running sums, in
    float64: a third of the time of laying the middle over every place.
    """
    if min(picture.shape) < MIDDLE:
        return -1.0
    values, around = picture.astype(np.float64), middle.astype(np.float64) - middle.mean(dtype=np.float64)
    rows, columns = (length - MIDDLE + 1 for length in values.shape)
    transformed = np.fft.rfft2(values) * np.conj(np.fft.rfft2(around, s=values.shape))
    products = np.fft.irfft2(transformed, s=values.shape)[:rows, :columns]
    variances = _window_sums(values**2) - _window_sums(values) ** 2 / middle.size
    spread = np.sqrt(np.maximum(variances, 0)) * np.linalg.norm(around)
    return float((products / np.maximum(spread, 1e-6)).max())


def _window_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of every window [MIDDLE, MIDDLE]."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    down = sums[MIDDLE:] - sums[:-MIDDLE]
    return down[:, MIDDLE:] - down[:, :-MIDDLE]


def _middle(picture: Image.Image) -> Grey:
    values = _at(picture, 1.0)
    values = np.pad(values, [(0, max(0, MIDDLE - length)) for length in values.shape], mode="edge")
    top, left = ((length - MIDDLE) // 2 for length in values.shape)
    return values[top : top + MIDDLE, left : left + MIDDLE]


def _at(picture: Image.Image, factor: float) -> Grey:
    """Grey values, 0 to 1, with the longer side brought to SIDE times the factor."""
    scale = SIDE * factor / max(picture.size)
    size = [max(1, round(length * scale)) for length in picture.size]
    return np.asarray(picture.resize((size[0], size[1]), Image.Resampling.BILINEAR), dtype=np.float32) / np.float32(255)
