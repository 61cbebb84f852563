"""What speech must be before the network of a bundle may hear it, with numpy alone.

The file of such a bundle takes waveforms, float32 [n, samples] on the scale of 16-bit integers, or stored features,
float32 [n, frames, bands]. The filter bank and the normalisation are inside it. The same numbers as
`angulus.models.SpeechInput` (tests hold the two together).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError
from angulus.runtime.fields import Fields

KIND = "speech"
CONTENTS = ("waveform", "features")
WINDOWS = ("povey", "hamming", "hanning", "rectangular", "blackman")
MOST_RATE, MOST_BANDS, MOST_FRAMES = 384_000, 512, 100_000
MOST_WINDOW, MOST_NUMBERS = 2**16, 2**26
_NUMBERS = ("preemphasis", "low_hz", "high_hz", "offset", "scale")
Examples = NDArray[Any]
"""Waveforms [n, samples], int16 or floats on its scale; or features [n, frames, bands]; all of one length."""


@dataclass(frozen=True, kw_only=True)
class SpeechPreparation:
    """What is inside a network file for speech, and what it takes.

    content: "waveform" or "features".  rate ... scale: as `angulus.models.SpeechInput` has them; those of the filter
    bank count for nothing where features are taken.  speech_only: what is no speech by its energy is to be left out
    before the file sees a recording; this alone it does not do itself.  frames: of the examples of the test vector.
    """

    content: str
    rate: int
    bands: int
    window_ms: float
    hop_ms: float
    window: str
    preemphasis: float
    low_hz: float
    high_hz: float
    snip_edges: bool
    speech_only: bool
    normalise: bool
    offset: float
    scale: float
    frames: int

    def __post_init__(self) -> None:
        for name, known in (("content", CONTENTS), ("window", WINDOWS)):
            if getattr(self, name) not in known:
                raise BundleError(
                    f"preprocessing.{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        for name, most in (("rate", MOST_RATE), ("bands", MOST_BANDS), ("frames", MOST_FRAMES)):
            if not 1 <= getattr(self, name) <= most:
                raise BundleError(f"preprocessing.{name} must be 1 to {most:,}, got {getattr(self, name)}")
        for name in ("window_ms", "hop_ms"):
            if not 2 <= self.rate * getattr(self, name) / 1000 <= MOST_WINDOW:
                raise BundleError(
                    f"preprocessing.{name} must be a time of 2 to {MOST_WINDOW:,} samples at {self.rate} Hz, got"
                    f" {getattr(self, name)} ms"
                )
        if self.length_of(self.frames) * (self.bands if self.content == "features" else 1) > MOST_NUMBERS:
            raise BundleError(f"preprocessing.frames must make at most {MOST_NUMBERS:,} numbers, got {self.frames}")
        numbers = [getattr(self, name) for name in _NUMBERS]
        if not all(map(math.isfinite, numbers)) or self.scale == 0:
            raise BundleError(f"preprocessing must have finite numbers and a scale that is not 0, got {numbers}")

    @property
    def inside(self) -> bool:
        """The network file does all of it."""
        return True

    def length_of(self, frames: int) -> int:
        """Samples of the shortest waveform with so many frames, or so many frames of stored features."""
        if self.content == "features":
            return frames
        window, hop = (int(self.rate * 0.001 * time) for time in (self.window_ms, self.hop_ms))
        return window + (frames - 1) * hop if self.snip_edges else max(1, frames * hop - hop // 2)

    def check(self, examples: Examples) -> None:
        """Raise BundleError for another shape or type, and for recordings shorter than one frame."""
        is_wave = self.content == "waveform"
        wanted = "numbers [n, samples]" if is_wave else f"numbers [n, frames, {self.bands}]"
        fits = examples.ndim == 2 if is_wave else examples.ndim == 3 and examples.shape[2] == self.bands
        if not fits or examples.dtype.kind not in "uif":
            what = "waveforms" if is_wave else "features"
            raise BundleError(f"{what} must be {wanted}, got {examples.dtype} {list(examples.shape)}")
        if examples.shape[1] < self.length_of(1):
            unit = "samples" if is_wave else "frames"
            raise BundleError(
                f"recordings must have at least {self.length_of(1)} {unit}, one frame, got {examples.shape[1]}"
            )

    def ready(self, examples: Examples) -> NDArray[np.float32]:
        """What the file takes: the same in float32."""
        self.check(examples)
        return np.ascontiguousarray(examples, dtype=np.float32)

    def formula(self, count: int) -> Examples:
        """Examples [count, ...] of the usual length from whole-number arithmetic alone, the same everywhere for ever.

        value i at place t of example e = ((t^2 (e + 1) + 31 e + 7 t) // 16 mod 256 - 128) * 64, band b as t + 29 b
        """
        example, place = np.meshgrid(np.arange(count), np.arange(self.length_of(self.frames)), indexing="ij")
        if self.content == "waveform":
            return _mixed(example, place).astype(np.int16)
        example, place = example[..., None], place[..., None] + 29 * np.arange(self.bands)
        mixed = _mixed(example, place).astype(np.float32)
        return (mixed / np.float32(2048.0) / np.float32(self.scale) + np.float32(self.offset)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"kind": KIND, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "SpeechPreparation":
        """The inverse of `to_dict`; BundleError for anything else."""
        given = Fields(values, where)
        found: dict[str, Any] = {name: given.text(name) for name in ("content", "window")}
        found |= {name: given.whole(name) for name in ("rate", "bands", "frames")}
        found |= {name: given.truth(name) for name in ("snip_edges", "speech_only", "normalise")}
        found |= {name: given.number(name) for name in ("window_ms", "hop_ms", *_NUMBERS)}
        return cls(**found)


def _mixed(example: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    return ((place**2 * (example + 1) + 31 * example + 7 * place) // 16 % 256 - 128) * 64
