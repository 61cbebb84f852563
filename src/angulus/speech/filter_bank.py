"""Log-mel filter bank energies of waveforms, the features that speaker networks see, in torch on any device.

For every window of `window_ms` each `hop_ms`, as Kaldi's compute-fbank-feats defines it:

    1. x - mean(x)                                       remove_dc
    2. x_t - preemphasis x_(t-1), x_0 - preemphasis x_0
    3. times the window function, zeros behind to a power of two
    4. |DFT|^2                                           the magnitude where power is false
    5. sums under triangles that are equally wide on the scale mel(f) = 1127 ln(1 + f / 700)
    6. ln(max(energy, 2^-23))

Samples are on the scale of 16-bit integers, as Kaldi has them. Without dither, so that one waveform has one set of
features. Held against kaldi-native-fbank in tests/speech/test_filter_bank.py.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Window = Literal["povey", "hamming", "hanning", "rectangular", "blackman"]
FLOOR = 2.0**-23
"""Energies below this are taken as this, the smallest relative step of float32."""

MOST_RATE, MOST_BANDS = 384_000, 512


@dataclass(frozen=True, kw_only=True)
class FilterBank:
    """Log-mel energies of a waveform.

    rate: samples a second.  bands: triangles.  window_ms, hop_ms: milliseconds of a frame, and between frames.
    window: "povey" is Kaldi's default, "hamming" what most speaker networks were trained with.
    low_hz, high_hz: where the first triangle begins and the last one ends; high_hz of 0 or below counts down from half
        the rate.
    snip_edges: only frames that lie wholly in the waveform; otherwise one for each hop, mirrored at the ends.
    power: squares of the spectrum, otherwise its magnitude.
    Raises ValueError for numbers that make no filter bank.
    """

    rate: int = 16_000
    bands: int = 80
    window_ms: float = 25.0
    hop_ms: float = 10.0
    window: Window = "hamming"
    preemphasis: float = 0.97
    remove_dc: bool = True
    low_hz: float = 20.0
    high_hz: float = 0.0
    snip_edges: bool = True
    power: bool = True

    def __post_init__(self) -> None:
        for name, most in (("rate", MOST_RATE), ("bands", MOST_BANDS)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name} must be a whole number from 1 to {most:,}, got {value!r}")
        if self.window not in get_args(Window):
            raise ValueError(f"window must be one of {', '.join(get_args(Window))}, got {self.window!r}")
        for name in ("window_ms", "hop_ms"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 2 <= self.rate * value / 1000 <= 2**16):
                raise ValueError(f"{name} must be a time of 2 to 65,536 samples at {self.rate} Hz, got {value} ms")
        if not 0.0 <= self.preemphasis < 1.0:
            raise ValueError(f"preemphasis must be at least 0 and below 1, got {self.preemphasis}")
        if not 0.0 <= self.low_hz < self.highest_hz <= self.rate / 2:
            raise ValueError(
                f"low_hz and high_hz must lie in this order between 0 and half the rate ({self.rate / 2:g} Hz), got "
                f"{self.low_hz:g} and {self.highest_hz:g}"
            )
        if not all(bool((row > 0).any()) for row in triangles(self)):
            raise ValueError(
                f"bands must be few enough that each has a frequency of the {self.padded}-point spectrum, got "
                f"{self.bands} between {self.low_hz:g} and {self.highest_hz:g} Hz"
            )

    @property
    def highest_hz(self) -> float:
        """Where the last triangle ends."""
        return self.high_hz if self.high_hz > 0 else self.rate / 2 + self.high_hz

    @property
    def samples(self) -> int:
        """Of a frame."""
        return int(self.rate * 0.001 * self.window_ms)

    @property
    def hop(self) -> int:
        """Samples from the beginning of one frame to that of the next."""
        return int(self.rate * 0.001 * self.hop_ms)

    @property
    def padded(self) -> int:
        """Points of the Fourier transform: the power of two that holds a frame."""
        return 1 << (self.samples - 1).bit_length()

    def frames_of(self, samples: int) -> int:
        """Frames of a waveform of so many samples."""
        if self.snip_edges:
            return 1 + (samples - self.samples) // self.hop if samples >= self.samples else 0
        return (samples + self.hop // 2) // self.hop

    def samples_of(self, frames: int) -> int:
        """Samples of the shortest waveform with so many frames, at least one."""
        if self.snip_edges:
            return self.samples + (frames - 1) * self.hop
        return max(1, frames * self.hop - self.hop // 2)

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Waveforms [n, samples] on the scale of 16-bit integers, any type -> float32 [n, frames, bands].

        float64 waveforms are computed, and given back, in float64. Raises ValueError for another shape, and for
        waveforms without a single frame.
        """
        if waveforms.ndim != 2:
            raise ValueError(f"waveforms must have the shape [n, samples], got {list(waveforms.shape)}")
        count = self.frames_of(waveforms.shape[1])
        if count < 1:
            raise ValueError(
                f"waveforms must have at least {self.samples_of(1)} samples (one window of {self.window_ms:g} ms), got "
                f"{waveforms.shape[1]}"
            )
        kind = torch.float64 if waveforms.dtype == torch.float64 else torch.float32
        with torch.autocast(waveforms.device.type, enabled=False):
            frames = self._frames(waveforms.to(kind), count)
            if self.remove_dc:
                frames = frames - frames.mean(dim=-1, keepdim=True)
            if self.preemphasis:
                before = F.pad(frames[..., :-1], (1, 0)) + F.pad(frames[..., :1], (0, self.samples - 1))
                frames = frames - self.preemphasis * before
            spectrum = torch.fft.rfft(frames * _tensor(self, "window", frames), n=self.padded)
            energies = spectrum.real.square() + spectrum.imag.square()
            energies = energies if self.power else energies.sqrt()
            banded = energies[..., : self.padded // 2] @ _tensor(self, "triangles", frames).T
            return banded.clamp(min=FLOOR).log()

    def _frames(self, waveforms: Tensor, count: int) -> Tensor:
        """[n, samples] -> [n, count, samples of a frame]."""
        if self.snip_edges:
            return waveforms.unfold(1, self.samples, self.hop)
        begin = self.hop // 2 - self.samples // 2
        end = begin + (count - 1) * self.hop + self.samples
        places = torch.arange(begin, end, device=waveforms.device)
        return waveforms[:, _mirrored(places, waveforms.shape[1])].unfold(1, self.samples, self.hop)


def mel(hertz: Tensor) -> Tensor:
    """The mel scale of Kaldi: 1127 ln(1 + f / 700)."""
    return 1127.0 * torch.log1p(hertz / 700.0)


def _mirrored(places: Tensor, samples: int) -> Tensor:
    """Places outside of a waveform at their mirror image in it: ... 1 0 | 0 1 2 ... and back from the end."""
    around = places % (2 * samples)
    return torch.where(around < samples, around, 2 * samples - 1 - around)


@lru_cache(maxsize=32)
def window_function(bank: FilterBank) -> Tensor:
    """What a frame is multiplied with, float64 [samples]."""
    steps = torch.arange(bank.samples, dtype=torch.float64) * (2 * math.pi / (bank.samples - 1))
    if bank.window == "rectangular":
        return torch.ones_like(steps)
    if bank.window == "blackman":
        return 0.42 - 0.5 * torch.cos(steps) + 0.08 * torch.cos(2 * steps)
    if bank.window == "hamming":
        return 0.54 - 0.46 * torch.cos(steps)
    raised = 0.5 - 0.5 * torch.cos(steps)
    return raised.pow(0.85) if bank.window == "povey" else raised


@lru_cache(maxsize=32)
def triangles(bank: FilterBank) -> Tensor:
    """float64 [bands, padded / 2]: how much each frequency below half the rate counts in each band."""
    low, high = mel(torch.tensor([bank.low_hz, bank.highest_hz], dtype=torch.float64)).tolist()
    corners = low + torch.arange(bank.bands + 2, dtype=torch.float64) * ((high - low) / (bank.bands + 1))
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    places = mel(torch.arange(bank.padded // 2, dtype=torch.float64) * (bank.rate / bank.padded))[None]
    rising, falling = (places - left) / (middle - left), (right - places) / (right - middle)
    return torch.minimum(rising, falling).clamp(min=0.0)


@lru_cache(maxsize=64)
def _constant(bank: FilterBank, name: str, device: torch.device, kind: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # it is kept, and may be asked for again where gradients are wanted
        made = window_function(bank) if name == "window" else triangles(bank)
        return made.to(device=device, dtype=kind).clone()


def _tensor(bank: FilterBank, name: str, like: Tensor) -> Tensor:
    return _constant(bank, name, like.device, like.dtype)
