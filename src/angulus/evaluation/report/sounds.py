"""The beginning of a recording as a WAV file, and as an address inside a page: no sound library is needed."""

import base64
import io
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECONDS = 3.0


def playable(example: NDArray[Any], *, rate: int) -> bytes | None:
    """The first seconds of samples int16 [t] as a WAV file; None for what makes no sound."""
    if example.ndim != 1:
        return None
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(example[: int(SECONDS * rate)], dtype="<i2").tobytes())
    return content.getvalue()


def sound_address(file: bytes) -> str:
    """A WAV file as a data address."""
    return "data:audio/wav;base64," + base64.b64encode(file).decode("ascii")
