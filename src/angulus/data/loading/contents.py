"""What the bytes of an example are and how they are decoded: a picture, or a recording.

A source of any layout holds encoded examples; its content says what `read` gives:

    Pictures      pixels uint8 [height, width, 3]
    Recordings    samples int16 [t], one channel, at one rate

Stored features are decoded already (`angulus.data.formats.features`): numbers [frames, bands].
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Fit, Size, check_size, fit_image
from angulus.data.loading.decoding import decode_image
from angulus.data.parts import part_of, place_of
from angulus.errors import DataError
from angulus.plain_numbers import counted
from angulus.speech.activity import Activity
from angulus.speech.pictures import USUAL_RATE
from angulus.speech.recordings import EXTENSIONS as SOUND_EXTENSIONS
from angulus.speech.recordings import REMEDY, probe, read_waveform

Name = str | Callable[[], str]

PICTURE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".bmp", ".webp"})
EXAMPLE_EXTENSIONS = PICTURE_EXTENSIONS | SOUND_EXTENSIONS


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Images at a size (height, width); None leaves them as they are.  fit: how others are brought there."""

    size: Size | None = None
    fit: Fit = "resize"

    noun = "image"
    extensions = PICTURE_EXTENSIONS

    def __post_init__(self) -> None:
        check_size(self.size)

    def decode(self, content: bytes | Path, *, name: Name, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Pixels uint8 [height, width, 3]; see `decode_image`. Raises DataError naming what cannot be read."""
        image = decode_image(content, name=name, out=out)
        if self.size is None or image.shape[:2] == self.size:
            return image
        return fit_image(image, self.size, self.fit, name=_said(name))

    def stamp(self) -> str:
        """Changes when `decode` would give something else of the same bytes."""
        return f"{self.size}:{self.fit}"


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Sound, one channel, at a rate of samples a second.

    speech_only: leave out what is no speech by its energy (`angulus.speech.activity`); all of a recording without any
        stays.
    least: samples below which a recording is refused as a damaged one is: those of one frame of the model.
    """

    rate: int = USUAL_RATE
    speech_only: bool = False
    least: int = 1

    noun = "recording"
    extensions = SOUND_EXTENSIONS

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise DataError(f"rate must be at least 1 sample a second, got {self.rate}")

    def decode(self, content: bytes | Path, *, name: Name, out: NDArray[np.uint8] | None = None) -> NDArray[np.int16]:
        """Samples int16 [t] of the whole recording. Raises DataError naming what cannot be read."""
        whole = read_waveform(content, self.rate, name=_said(name))
        self._check(len(whole), name)
        spoken = Activity().speech(whole, self.rate) if self.speech_only else whole
        return spoken if len(spoken) >= self.least else whole

    def decode_part(self, content: bytes | Path, share: float, length: int, *, name: Name) -> NDArray[np.int16]:
        """So many samples of a recording, from the part that `share` [0, 1) names; less where it is shorter."""
        said = _said(name)
        if self.speech_only:  # which parts are speech is known of the whole alone
            return part_of(self.decode(content, name=name), share, length)
        found = probe(content, name=said)
        total = found.samples_at(self.rate)
        self._check(total, name)
        if total <= length:
            return read_waveform(content, self.rate, name=said)
        return read_waveform(content, self.rate, name=said, begin=place_of(share, total, length), samples=length)

    def stamp(self) -> str:
        """Changes when `decode` would give something else of the same bytes."""
        return f"{self.rate} Hz{' speech' if self.speech_only else ''}"

    def _check(self, samples: int, name: Name) -> None:
        if samples < self.least:
            held = counted(samples, "sample")
            raise DataError(
                f"cannot read {_said(name)}: it is too short, {held} at {self.rate:,} Hz where one frame of the model "
                f"takes {self.least:,}; {REMEDY}"
            )


Content = Pictures | Recordings
SOUND_SIGNATURES = (b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")


def content_of(example: bytes, pictures: Pictures | None = None) -> Content:
    """What an encoded example is, by its first bytes: a recording, or else `pictures`."""
    is_wave = example[:4] in (b"RIFF", b"RF64") and example[8:12] == b"WAVE"
    return Recordings() if is_wave or example.startswith(SOUND_SIGNATURES) else pictures or Pictures()


def _said(name: Any) -> str:
    return name() if callable(name) else str(name)
