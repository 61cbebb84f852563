"""Random changes to a batch of waveforms: noise, babble or a room; telephone, clipping, mu-law, gain; and masks.

    noise, babble:  x + n * sqrt(energy(x) / energy(n)) * 10^(-SNR / 20)
    reverberation:  x * h, cut to the length of x

Everything random is drawn for the global batch from (seed, step) and then cut to the rows of this process, so that two
processes with half a batch each make the waveforms that one process makes, and a resumed run makes those of an
uninterrupted one. Rows are changed one by one, and energies are sums of whole numbers, so that the bits do not depend
on who else is in the batch. The order is fixed: one of noise, babble and reverberation; band, clipping, mu-law, gain.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from angulus.devices.copies import sent
from angulus.speech.background.material import Bank
from angulus.speech.changes import banded, mask, mixed, mu_law, piece, reverberated

Range = tuple[float, float]

_MOST_VOICES = 8
# One row of uniform numbers for each decision. A new decision goes at the end, so that the old ones keep their draws.
_DECISIONS = (
    "disturbance",
    "snr",
    "piece",
    "place",
    "voices",
    *(f"voice_{number}" for number in range(_MOST_VOICES)),
    *(f"voice_place_{number}" for number in range(_MOST_VOICES)),
    "room",
    "band",
    "band_low",
    "band_high",
    "clip",
    "clip_level",
    "mu_law",
    "gain",
    "gain_level",
)
_MASKS = ("mask", *(f"{axis}_{what}_{n}" for axis in ("time", "band") for what in ("width", "place") for n in range(4)))
_PROBABILITIES = ("noise", "babble", "reverberation", "band", "clip", "mu_law", "gain", "masking")


@dataclass(frozen=True, kw_only=True)
class SpeechAugment:
    """How likely and how strong each change is; the defaults are the published recipe of wespeaker for VoxCeleb.

    noise, babble, reverberation: probabilities of one or the other; no row gets two of them, their sum is at most 1.
    band, clip, mu_law, gain, masking: probabilities in [0, 1]. 0 turns a change off.

    Args:
        noise_snr, music_snr, babble_snr: decibels by which the speech is louder; music is noise that is read from a
            folder of that name, as MUSAN's.
        babble_voices: how many other voices, 1 to 8.
        band_low, band_high: limits in Hz of what passes, as a telephone has them.
        clip_level: what waveforms are cut at, as a part of their peak.
        gain_db: decibels.
        time_masks, band_masks: how many stretches of frames and of bands are masked, 0 to 4 each.
        time_width, band_width: the most frames and bands of one, SpecAugment's T and F; the mean of the example is put
            in their place (Park et al., 2019), which is 0 for normalised features.
        noises: folder of sound files that noise takes, such as MUSAN; what lies below its folder speech is what babble
            takes. None draws noises, and takes voices of those who are trained on.
        rooms: folder of responses that reverberation takes, such as RIRS_NOISES; None draws rooms.
    Raises ValueError for settings out of range.
    """

    noise: float = 0.2
    noise_snr: Range = (0.0, 15.0)
    music_snr: Range = (5.0, 15.0)
    babble: float = 0.1
    babble_snr: Range = (10.0, 30.0)
    babble_voices: tuple[int, int] = (3, 8)
    reverberation: float = 0.3
    band: float = 0.0
    band_low: Range = (0.0, 300.0)
    band_high: Range = (3400.0, 7000.0)
    clip: float = 0.0
    clip_level: Range = (0.2, 0.8)
    mu_law: float = 0.0
    gain: float = 0.0
    gain_db: Range = (-12.0, 6.0)
    masking: float = 0.0
    time_masks: int = 1
    time_width: int = 10
    band_masks: int = 1
    band_width: int = 8
    noises: Path | None = None
    rooms: Path | None = None

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.noise + self.babble + self.reverberation > 1.0 + 1e-9:
            total = self.noise + self.babble + self.reverberation
            raise ValueError(
                f"noise + babble + reverberation must be at most 1, for a row has one of them: got {total:g}"
            )
        for name, low, high in (
            ("noise_snr", -60.0, 100.0),
            ("music_snr", -60.0, 100.0),
            ("babble_snr", -60.0, 100.0),
            ("babble_voices", 1, _MOST_VOICES),
            ("band_low", 0.0, 200_000.0),
            ("band_high", 1.0, 200_000.0),
            ("clip_level", 0.001, 1.0),
            ("gain_db", -100.0, 60.0),
        ):
            value = getattr(self, name)
            if not low <= value[0] <= value[1] <= high:
                raise ValueError(f"{name} must be two rising numbers in [{low:g}, {high:g}], got {tuple(value)}")
        if self.band_low[1] >= self.band_high[0]:
            raise ValueError(f"band_low must end below band_high, got {self.band_low} and {self.band_high}")
        for name, uses in (("noises", ("noise", "babble")), ("rooms", ("reverberation",))):
            if getattr(self, name) is not None and not any(getattr(self, use) > 0 for use in uses):
                raise ValueError(
                    f"{name} is for {' or '.join(uses)} above 0, otherwise leave it out: got {getattr(self, name)}"
                )
        for name, most in (("time_masks", 4), ("band_masks", 4), ("time_width", 100_000), ("band_width", 10_000)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise ValueError(f"{name} must be a whole number from 0 to {most:,}, got {value!r}")

    @staticmethod
    def off() -> "SpeechAugment":
        """No change at all."""
        return SpeechAugment(noise=0.0, babble=0.0, reverberation=0.0)

    @property
    def needs_bank(self) -> bool:
        """Whether `apply` needs noises, voices or responses for waveforms."""
        return self.noise + self.babble + self.reverberation > 0

    def apply(
        self,
        examples: Tensor,
        *,
        seed: int,
        step: int,
        start: int = 0,
        total: int | None = None,
        bank: Bank | None = None,
        rate: int | None = None,
    ) -> Tensor:
        """The changed waveforms, float32 [n, samples] on the scale of int16, on the device of `examples`.

        They are not cut at the ends of that scale. Stored features [n, frames, bands] come back as they are, in
        float32: only masks are for them.

        Args:
            examples: [n, samples], int16 or floats on its scale; not changed.
            seed: of the run.
            step: of the run; another step draws other changes.
            start: row of the global batch at which these examples start.
            total: rows of the global batch; None means that these examples are all of it.
            bank: what noise, babble and reverberation take; needed where one of them has a probability.
            rate: samples a second; needed for `band`; None means that of the bank.
        Raises ValueError for other shapes, and for a bank without what a change needs.
        """
        if examples.ndim == 3:
            return examples.to(torch.float32, copy=True)
        if examples.ndim != 2:
            raise ValueError(f"examples must be [n, samples] or [n, frames, bands], got {list(examples.shape)}")
        drawn = _draw("speech", _DECISIONS, seed, step, start, len(examples), total)
        self._check(bank, rate)
        changed = examples.detach().to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if examples.shape[1]:
            for row, values in enumerate(_rows(drawn)):
                if (now := self._changed(changed[row], values, bank, rate)) is not None:
                    changed[row] = now
        return changed

    def mask(self, features: Tensor, *, seed: int, step: int, start: int = 0, total: int | None = None) -> Tensor:
        """Prepared features [n, frames, bands] with stretches of frames and of bands at the mean of their example.

        float32 on the device of `features`, which are not changed; seed, step, start and total as of `apply`.
        """
        if features.ndim != 3:
            raise ValueError(f"features must be [n, frames, bands], got {list(features.shape)}")
        drawn = _draw("masks", _MASKS, seed, step, start, len(features), total)
        masked = features.detach().to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        for row, values in enumerate(_rows(drawn)):
            if values["mask"] < self.masking and masked[row].numel():
                mask(masked[row], self._stretches(values, *features.shape[1:]))
        return masked

    def _stretches(self, values: dict[str, float], frames: int, bands: int) -> list[tuple[int, int, int]]:
        """(axis, begin, end) of each stretch."""
        found = []
        for axis, name, length in ((0, "time", frames), (1, "band", bands)):
            most = min(getattr(self, f"{name}_width"), length)
            for number in range(getattr(self, f"{name}_masks")):
                width = int(values[f"{name}_width_{number}"] * (most + 1))
                begin = int(values[f"{name}_place_{number}"] * (length - width + 1))
                found.append((axis, begin, begin + width))
        return found

    def _check(self, bank: Bank | None, rate: int | None) -> None:
        for name, kind in (("noise", "noises"), ("babble", "voices"), ("reverberation", "responses")):
            if getattr(self, name) > 0 and (bank is None or not len(getattr(bank, kind))):
                raise ValueError(f"{name}={getattr(self, name):g} needs a bank with {kind}; give one, or {name}=0")
        if self.band > 0 and bank is None and rate is None:
            raise ValueError(f"band={self.band:g} needs the rate of the waveforms; give it, or band=0")
        if bank is not None and rate is not None and bank.rate != rate:
            raise ValueError(f"bank must have the rate of the waveforms, {rate:,} Hz, got {bank.rate:,} Hz")

    def _changed(self, row: Tensor, values: dict[str, float], bank: Bank | None, rate: int | None) -> Tensor | None:
        """The changed waveform [samples], or None for one that nothing was drawn for."""
        changed = None if bank is None else self._disturbed(row, values, bank)
        if values["band"] < self.band:
            low, high = _between(values["band_low"], self.band_low), _between(values["band_high"], self.band_high)
            given = bank.rate if rate is None and bank is not None else rate
            assert given is not None, "_check"
            changed = banded(row if changed is None else changed, given, low, high)
        if values["clip"] < self.clip:
            now = row if changed is None else changed
            peak = now.abs().amax() * _between(values["clip_level"], self.clip_level)
            changed = torch.minimum(torch.maximum(now, -peak), peak)
        if values["mu_law"] < self.mu_law:
            changed = mu_law(row if changed is None else changed)
        if values["gain"] < self.gain:
            factor = 10.0 ** (_between(values["gain_level"], self.gain_db) / 20.0)
            changed = (row if changed is None else changed) * factor
        return changed

    def _disturbed(self, row: Tensor, values: dict[str, float], bank: Bank) -> Tensor | None:
        """One of noise, babble and reverberation, or None."""
        which = values["disturbance"]
        if which < self.noise:
            sound = piece(bank.noises, values["piece"], values["place"], len(row), row.device)
            is_music = int(values["piece"] * len(bank.noises)) >= len(bank.noises) - bank.music
            return mixed(row, sound, _between(values["snr"], self.music_snr if is_music else self.noise_snr))
        if which < self.noise + self.babble:
            low, high = self.babble_voices
            count = low + int(values["voices"] * (high - low + 1))
            voices = [
                piece(bank.voices, values[f"voice_{n}"], values[f"voice_place_{n}"], len(row), row.device)
                for n in range(count)
            ]
            return mixed(row, torch.stack(voices).sum(dim=0), _between(values["snr"], self.babble_snr))
        if which < self.noise + self.babble + self.reverberation:
            response = bank.responses[int(values["room"] * len(bank.responses))]
            return reverberated(row, sent(response, row.device))
        return None


def _draw(
    what: str, names: tuple[str, ...], seed: int, step: int, start: int, count: int, total: int | None
) -> dict[str, Tensor]:
    rows = count if total is None else total
    if not 0 <= start <= start + count <= rows:
        raise ValueError(f"rows {start} to {start + count} are not in a global batch of {rows}")
    digest = hashlib.sha256(f"{what}:{seed}:{step}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    uniform = torch.rand(len(names), rows, generator=generator, dtype=torch.float64)
    return dict(zip(names, uniform[:, start : start + count], strict=True))


def _rows(drawn: dict[str, Tensor]) -> list[dict[str, float]]:
    columns = [values.tolist() for values in drawn.values()]
    return [dict(zip(drawn, values, strict=True)) for values in zip(*columns, strict=True)]


def _between(uniform: float, limits: Range) -> float:
    return limits[0] + (limits[1] - limits[0]) * uniform
