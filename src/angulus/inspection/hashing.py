"""Do two files show one picture? Hashes that survive another JPEG quality, another size, brightness and mirroring.

    grey  = the picture in grey, scaled to 32 x 32 (Pillow's bilinear, which averages; its box filter is not symmetric)
    D     = C grey C^T,   C[k, x] = cos(pi (2 x + 1) k / 64)      two-dimensional DCT-II, k = 0..15
    bit   = sign(D[k, l]) for the 255 frequencies k, l < 16 beside the mean, after the typical face is subtracted from D

A hash is these signs, packed into 32 bytes (the bit of the mean is 0). Brightness moves the mean alone, contrast scales
all of D, and JPEG and scaling blur high frequencies that are not in it. A mirror image has D[k, l] (-1)^l, so that its
hash costs no second picture. Aligned faces are much alike: with their mean (of the set at hand) left in, the signs of
the low frequencies would be those of "a face"; the mean is taken out first.
Reference: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010 (the DCT hash).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
FREQUENCIES = 16
BITS = FREQUENCIES * FREQUENCIES
_BASIS = np.cos(np.pi * np.outer(np.arange(FREQUENCIES), 2 * np.arange(SIDE) + 1) / (2 * SIDE)).astype(np.float32)
_ODD = np.tile((-1.0) ** np.arange(FREQUENCIES), FREQUENCIES).astype(np.float32)


def spectrum(grey: Image.Image) -> NDArray[np.float32]:
    """The low frequencies of a grey picture of any size: float32 [256], row by row, the mean set to 0."""
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
    found = (_BASIS @ small @ _BASIS.T).ravel().astype(np.float32, copy=False)
    found[0] = 0.0
    return found


def mirrored(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """The spectra [n, 256] of the mirror images."""
    return spectra * _ODD


def signs(spectra: NDArray[np.float32], typical: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Hashes: packed bits uint8 [n, 32] of spectra [n, 256]; typical: the mean spectrum of the set [256]."""
    return np.packbits(spectra > typical, axis=1)


def distances(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number of bits in which hashes [n, 32] and [n, 32] differ, row by row."""
    return np.bitwise_count(one ^ other).sum(axis=1, dtype=np.int64)
