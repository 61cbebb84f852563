"""What speech is disturbed with in training: noises, other voices and room responses, drawn or read from folders.

Noises and voices are pieces of equal length; one that is longer than a piece goes around in it.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.errors import DataError
from angulus.plain_numbers import counted
from angulus.speech.background.folders import Sounds, response_files
from angulus.speech.draws import MATERIAL, NOISES, between, uniform
from angulus.speech.recordings import probe, read_channel, read_waveform
from angulus.speech.rooms import aligned, drawn_responses
from angulus.speech.synthetic import drawn_utterance

logger = logging.getLogger(__name__)

_LEVEL = 2000.0  # root mean square of drawn noise
_DIRECT_WITHIN = 2.0  # seconds after which the direct sound of a stored response is not looked for


@dataclass(frozen=True, eq=False)
class Bank:
    """Noises and voices, int16 [pieces, samples], and room responses, float32 [rooms, taps], on any device.

    A kind may have no pieces. rate: samples a second of them all. music: how many of the noises, the last ones, are
    music. told: what was read, a line each. Responses are as `angulus.speech.rooms.aligned` gives
    them. Raises ValueError for other types and shapes.
    """

    rate: int
    noises: Tensor
    voices: Tensor
    responses: Tensor
    music: int = 0
    told: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("noises", torch.int16), ("voices", torch.int16), ("responses", torch.float32)):
            found = getattr(self, name)
            if found.ndim != 2 or found.dtype != kind or (len(found) and not found.shape[1]):
                raise ValueError(f"{name} must be {kind} [n, samples], got {found.dtype} {list(found.shape)}")
        if not 0 <= self.music <= len(self.noises):
            raise ValueError(f"music must be 0 to {len(self.noises)}, the number of noises, got {self.music}")

    @staticmethod
    def drawn(
        seed: int,
        rate: int,
        *,
        noises: int = 32,
        voices: int | Tensor = 32,
        responses: int = 32,
        seconds: float = 4.0,
        response_seconds: float = 0.5,
    ) -> "Bank":
        """A bank that needs no files: hiss from white to brown with hum in some, drawn voices, drawn rooms.

        voices: a number of pieces of drawn speakers, or pieces of real ones, int16 [n, samples].
        """
        samples = max(1, round(rate * seconds))
        if isinstance(voices, int):
            voices = _stacked([drawn_utterance(seed, n, 0, rate=rate, seconds=seconds) for n in range(voices)], samples)
        return Bank(
            rate=rate,
            noises=_stacked([drawn_noise(seed, number, rate, samples) for number in range(noises)], samples),
            voices=voices,
            responses=torch.from_numpy(drawn_responses(seed, rate, responses, seconds=response_seconds)),
        )

    @staticmethod
    def read(
        noise_folder: str | Path | None,
        response_folder: str | Path | None,
        rate: int,
        *,
        voices: Tensor | None = None,
        seconds: float = 4.0,
        response_seconds: float = 0.5,
        most_pieces: int = 1000,
        most_responses: int = 1000,
        seed: int = 0,
    ) -> "Bank":
        """A bank of the sound files below two folders, as MUSAN and RIRS_NOISES have them; None leaves a kind empty.

        Of more files than `most_pieces` so many are drawn; of fewer, several pieces each, so that memory is bounded:
        1,000 pieces of 4 s at 16 kHz take 128 MB. Files below a folder called speech, as MUSAN's, become voices where
        none are given, those below one called music are music; what RIRS_NOISES has of noises is none of its responses.
        Of a response the first channel is taken, up to `response_seconds` after its direct sound.
        Raises DataError where a folder has nothing of the kind, or a file cannot be read.
        """
        samples, taps = max(1, round(rate * seconds)), max(1, round(rate * response_seconds))
        sounds = Sounds() if noise_folder is None else Sounds.below(Path(noise_folder))
        rooms = [] if response_folder is None else response_files(Path(response_folder))
        most_music = most_pieces * len(sounds.music) // max(1, len(sounds.music) + len(sounds.noises))
        parts = ((sounds.noises, most_pieces - most_music), (sounds.music, most_music))
        noises, music = (_pieces(paths, rate, samples, most, seed) for paths, most in parts)
        spoken = _pieces(sounds.voices, rate, samples, most_pieces, seed) if voices is None else []
        chosen = _some(rooms, most_responses, seed)
        responses = [_response(path, rate, taps) for path in chosen]
        told = [
            _told(len(noises), "noise", sounds.noises, noise_folder),
            _told(len(music), "music", sounds.music, noise_folder),
            _told(len(spoken), "speech", sounds.voices, noise_folder),
        ]
        if rooms:
            read = counted(len(responses), "room response")
            told.append(f"{read} of {counted(len(rooms), 'file')} below {response_folder}")
        return Bank(
            rate=rate,
            noises=_stacked([*noises, *music], samples),
            voices=_stacked(spoken, samples) if voices is None else voices,
            responses=torch.from_numpy(np.stack(responses)) if responses else torch.zeros(0, taps),
            music=len(music),
            told=tuple(line for line in told if line),
        )

    def to(self, device: torch.device | str) -> "Bank":
        """The same on a device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in ("noises", "voices", "responses")})


def drawn_noise(seed: int, number: int, rate: int, samples: int) -> NDArray[np.int16]:
    """Noise number `number` of those that `seed` gives: power falling as 1 / f^0 to 1 / f^2, hum in a third of them."""
    values = uniform(seed, NOISES, number, 0, 8)
    spectrum = np.fft.rfft(2.0 * uniform(seed, NOISES, number, 1, samples) - 1.0)
    frequencies = np.fft.rfftfreq(samples, 1.0 / rate)
    noise = np.fft.irfft(spectrum * np.maximum(frequencies, 20.0) ** -between(values[0], 0.0, 1.0), samples)
    noise = noise / (np.sqrt(np.mean(noise**2)) + 1e-12)
    if values[1] < 1.0 / 3.0:
        mains = 50.0 if values[2] < 0.5 else 60.0
        turns = 2.0 * np.pi * mains * np.arange(samples) / rate
        noise = noise + between(values[3], 0.3, 2.0) * sum(np.sin(k * turns + k * values[4]) / k for k in (1, 2, 3, 5))
    return np.clip(np.rint(_LEVEL * noise), -32768, 32767).astype(np.int16)


def _told(pieces: int, what: str, paths: list[Path], folder: str | Path | None) -> str:
    return f"{counted(pieces, 'piece')} of {what} of {counted(len(paths), 'file')} below {folder}" if pieces else ""


def _some(paths: list[Path], most: int, seed: int) -> list[Path]:
    """At most so many, drawn without repetition, in their order."""
    if len(paths) <= most:
        return paths
    order = np.argsort(uniform(seed, MATERIAL, 0, len(paths), len(paths)), kind="stable")
    return [paths[place] for place in sorted(order[:most].tolist())]


def _pieces(paths: list[Path], rate: int, samples: int, most: int, seed: int) -> list[NDArray[np.int16]]:
    """Pieces of files, as many of each as fit into it without overlap while there is room, at drawn places."""
    chosen = _some(paths, most, seed)
    each = most // len(chosen) if chosen else 0
    pieces = []
    for number, path in enumerate(chosen):
        length = probe(path).samples_at(rate)
        count = max(1, min(each, length // samples))
        for part, value in enumerate(uniform(seed, MATERIAL, 1, number, count).tolist()):
            room = max(0, length // count - samples)
            begin = part * (length // count) + int(value * (room + 1))
            read = read_waveform(path, rate, begin=begin, samples=min(samples, length))
            pieces.append(np.resize(read, samples))
    return pieces


def _response(path: Path, rate: int, taps: int) -> NDArray[np.float32]:
    try:
        return aligned(read_channel(path, rate, seconds=_DIRECT_WITHIN + taps / rate), rate, taps)
    except ValueError as error:
        raise error if isinstance(error, DataError) else DataError(f"cannot use {path}: {error}") from None


def _stacked(pieces: list[NDArray[np.int16]], samples: int) -> Tensor:
    return torch.from_numpy(np.stack(pieces)) if pieces else torch.zeros(0, samples, dtype=torch.int16)
