"""Samples as a WAV file of 16-bit integers, which needs no sound library."""

import io
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray


def wave_file(samples: NDArray[Any], *, rate: int) -> bytes:
    """Samples int16 [t] of one channel as a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, dtype="<i2").tobytes())
    return content.getvalue()
