"""A recording played faster or slower, pitch and all: what training takes for another speaker (Ko et al., 2015).

samples afterwards = round(samples / factor)
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from angulus.speech.resampling import length_at, resample, whole_numbers


def perturbed(waveform: NDArray[np.int16], factor: float) -> NDArray[np.int16]:
    """int16 [length_after(samples, factor)] of int16 [samples]; a factor above 1 is faster and higher.

    Raises ValueError for a factor that is not from 0.25 to 4, and DataError where soxr is missing.
    """
    steps = _steps(factor)
    if steps.numerator == steps.denominator:
        return waveform.copy()
    return whole_numbers(resample(waveform, steps.numerator, steps.denominator))


def length_after(samples: int, factor: float) -> int:
    """Samples of a waveform of so many samples at another speed."""
    steps = _steps(factor)
    return length_at(samples, steps.numerator, steps.denominator)


def length_before(samples: int, factor: float) -> int:
    """Samples of the shortest waveform that has at least so many at another speed."""
    steps = _steps(factor)
    found = max(1, samples * steps.numerator // steps.denominator - 1) if samples > 0 else 0
    while length_after(found, factor) < samples:
        found += 1
    return found


def _steps(factor: float) -> Fraction:
    """The factor as a ratio of small whole numbers, 0.9 as 9 / 10."""
    if not 0.25 <= factor <= 4.0:
        raise ValueError(f"a speed must be a factor from 0.25 to 4, got {factor}")
    return Fraction(factor).limit_denominator(1000)
