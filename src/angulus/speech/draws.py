"""Numbers for drawn voices, noises and rooms: raw words of Philox, which numpy promises not to change."""

import numpy as np
from numpy.typing import NDArray

SPEAKERS, UTTERANCES, UTTERANCE_NOISE, NOISES, ROOMS, MATERIAL = range(6)
"""Streams: what is drawn from one does not move where another takes more."""


def uniform(seed: int, stream: int, first: int, second: int, count: int) -> NDArray[np.float64]:
    """The first `count` numbers in [0, 1) that belong to two numbers in a stream."""
    key = np.array([seed % 2**64, stream], dtype=np.uint64)
    counter = np.array([0, second, first, 0], dtype=np.uint64)
    words = np.random.Philox(key=key, counter=counter).random_raw(count) >> np.uint64(11)
    return words.astype(np.float64) * 2.0**-53


def between(value: float | np.floating, low: float, high: float) -> float:
    """A number in [0, 1) laid between two others."""
    return float(low + (high - low) * value)
