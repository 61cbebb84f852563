"""What speech must look like before a network may see it: the rate, the filter bank and the normalisation.

    network input = bands - mean of each band over the frames of the example        [frames, bands]

where the bands are log-mel energies of a waveform (`angulus.speech.FilterBank`), or features that somebody stored:

    bands = (stored - offset) * scale

The spec travels with the weights, as that of images does (`angulus.models.spec`).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from angulus.errors import ModelError
from angulus.speech.filter_bank import FilterBank, Window

Content = Literal["waveform", "features"]
KIND = "speech"
_OF_THE_BANK = ("rate", "bands", "window_ms", "hop_ms", "window", "preemphasis", "low_hz", "high_hz", "snip_edges")


@dataclass(frozen=True, kw_only=True)
class SpeechInput:
    """Filter bank and normalisation of a network for speech.

    content: "waveform" takes samples and computes the bands; "features" takes stored bands.
    rate ... snip_edges: of the filter bank, see `angulus.speech.FilterBank`; for features rate counts for nothing and
        hop_ms says how long a frame is.
    speech_only: leave out of a recording what is no speech by its energy, before all else.
    normalise: subtract the mean of each band over the frames of the example.
    offset, scale: of stored features.
    frames: of an example on which cost, memory and test vectors are computed; any number may be embedded.
    Raises ValueError for numbers that make no sense.
    """

    content: Content = "waveform"
    rate: int = 16_000
    bands: int = 80
    window_ms: float = 25.0
    hop_ms: float = 10.0
    window: Window = "hamming"
    preemphasis: float = 0.97
    low_hz: float = 20.0
    high_hz: float = 0.0
    snip_edges: bool = True
    speech_only: bool = False
    normalise: bool = True
    offset: float = 0.0
    scale: float = 1.0
    frames: int = 200

    def __post_init__(self) -> None:
        if self.content not in get_args(Content):
            raise ValueError(f"input.content must be one of {', '.join(get_args(Content))}, got {self.content!r}")
        if isinstance(self.frames, bool) or not isinstance(self.frames, int) or not 1 <= self.frames <= 100_000:
            raise ValueError(f"input.frames must be a whole number from 1 to 100,000, got {self.frames!r}")
        for name in ("offset", "scale"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"input.{name} must be finite, got {getattr(self, name)}")
        if self.scale == 0:
            raise ValueError("input.scale must not be 0: all features would be one number")
        try:
            _ = self.bank
        except ValueError as error:
            raise ValueError(f"input.{error}") from error

    @cached_property
    def bank(self) -> FilterBank:
        """What makes bands of a waveform."""
        values = {name: getattr(self, name) for name in _OF_THE_BANK}
        if self.content == "features":  # any number of stored bands
            return FilterBank(bands=1, hop_ms=self.hop_ms)
        return FilterBank(**values)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of one prepared example of the usual length: (frames, bands)."""
        return self.frames, self.bands

    @property
    def frames_a_second(self) -> float:
        """Frames of a second of speech."""
        return 1000.0 / self.hop_ms

    def length_of(self, frames: int) -> int:
        """What so many frames are made of: samples of a waveform, or frames of stored features."""
        return frames if self.content == "features" else self.bank.samples_of(frames)

    def prepare(self, examples: Tensor) -> Tensor:
        """Waveforms [n, samples] or features [n, frames, bands] -> network input, float32 [n, frames, bands].

        Waveforms: int16, or floats on the same scale of -32,768 to 32,767. All examples have one length.
        Raises ModelError for another shape, and for a waveform that is shorter than a window.
        """
        bands = self._stored(examples) if self.content == "features" else self._banded(examples)
        return bands - bands.mean(dim=1, keepdim=True) if self.normalise else bands

    def _banded(self, waveforms: Tensor) -> Tensor:
        if waveforms.ndim != 2:
            raise ModelError(f"waveforms must have the shape [n, samples], got {list(waveforms.shape)}")
        if waveforms.dtype not in (torch.int16, torch.int32) and not waveforms.is_floating_point():
            raise ModelError(f"waveforms must be int16, or floats on its scale, got {waveforms.dtype}")
        try:
            return self.bank(waveforms.to(torch.float32))
        except ValueError as error:
            raise ModelError(str(error)) from error

    def _stored(self, features: Tensor) -> Tensor:
        if features.ndim != 3 or features.shape[2] != self.bands or not features.shape[1]:
            raise ModelError(f"features must have the shape [n, frames, {self.bands}], got {list(features.shape)}")
        return (features.to(torch.float32) - self.offset) * self.scale

    def blank(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Examples of silence, of the usual length, as they come before `prepare`."""
        if self.content == "features":
            return torch.full((count, self.frames, self.bands), self.offset, device=device)
        return torch.zeros(count, self.length_of(self.frames), dtype=torch.int16, device=device)

    def vectors(self, count: int) -> Tensor:
        """Examples [count, ...] from whole-number arithmetic alone: the same everywhere for ever.

        value i at place t of example e = ((t^2 (e + 1) + 31 e + 7 t) // 16 mod 256 - 128) * 64, band b as t + 29 b
        """
        length = self.length_of(self.frames)
        example, place = torch.meshgrid(torch.arange(count), torch.arange(length), indexing="ij")
        if self.content == "waveform":
            return _mixed(example, place).to(torch.int16)
        example, place, band = (part[..., None] for part in (example, place, torch.zeros_like(place)))
        band = band + torch.arange(self.bands)
        return _mixed(example, place + 29 * band).to(torch.float32) / 2048.0 / self.scale + self.offset

    def mismatch(self, prepared: Tensor) -> str | None:
        """What is wrong with the shape of prepared examples; None where nothing is."""
        if prepared.ndim == 3 and prepared.shape[2] == self.bands and prepared.shape[1]:
            return None
        return (
            f"the model takes prepared speech of shape [n, frames, {self.bands}], got {list(prepared.shape)}: "
            "prepare it with model.input.prepare(waveforms)"
        )

    def describe(self) -> str:
        """For example: speech at 16,000 Hz in 80 bands."""
        if self.content == "features":
            return f"features of {self.bands} bands, {self.hop_ms:g} ms a frame"
        return f"speech at {self.rate:,} Hz in {self.bands} bands"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON or YAML."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"kind": KIND, **fields}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SpeechInput":
        """The inverse of `to_dict`. Raises ValueError for unknown keys and bad values."""
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {name: value for name, value in values.items() if name != "kind"}
        if unknown := sorted(set(fields) - known):
            raise ValueError(f"input has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**fields)


def check_speech(given: object, least: int = 1) -> None:
    """Raise ValueError unless `given` is a SpeechInput whose usual example has at least so many frames."""
    if not isinstance(given, SpeechInput):
        raise ValueError(f"input must be a SpeechInput, got {type(given).__name__}: this is a network for speech")
    if given.frames < least:
        raise ValueError(f"input.frames must be at least {least} for this network, got {given.frames}")


def _mixed(example: Tensor, place: Tensor) -> Tensor:
    return ((place**2 * (example + 1) + 31 * example + 7 * place) // 16 % 256 - 128) * 64
