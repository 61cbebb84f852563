"""The beginning of a recording as a WAV file, and as an address inside a page: no sound library is needed."""

import base64
from typing import Any

from numpy.typing import NDArray

from angulus.speech.wave_files import wave_file

SECONDS = 3.0


def playable(example: NDArray[Any], *, rate: int) -> bytes | None:
    """The first seconds of samples int16 [t] as a WAV file; None for what makes no sound."""
    if example.ndim != 1:
        return None
    return wave_file(example[: int(SECONDS * rate)], rate=rate)


def sound_address(file: bytes) -> str:
    """A WAV file as a data address."""
    return "data:audio/wav;base64," + base64.b64encode(file).decode("ascii")
