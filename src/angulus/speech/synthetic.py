"""Drawn speakers: speech-like recordings out of numbers, to train small networks on where there is no data.

A source-filter model (Fant, 1960): a pulse train with the pitch of the speaker, and breath, through formants that move
from vowel to vowel, with hissed consonants and pauses between them.

    sound = (pulses + breath) * tilt of the voice * prod_k F_k^2 / (F_k^2 - f^2 + j f B_k)

What belongs to a speaker (pitch, length of the vocal tract, each formant, tilt, breath, hiss, pace) is drawn from
(seed, speaker), what belongs to a recording (what is said, loudness, microphone, noise, mood) from (seed, speaker,
utterance). Accuracy on these voices says nothing about people. Nothing in them can be understood.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.speech.draws import SPEAKERS, UTTERANCE_NOISE, UTTERANCES, between, uniform

# F1, F2, F3 in Hz of nine English vowels said by men: Peterson and Barney (1952), table II.
_VOWELS = np.array(
    [
        [270, 2290, 3010],
        [390, 1990, 2550],
        [530, 1840, 2480],
        [660, 1720, 2410],
        [730, 1090, 2440],
        [570, 840, 2410],
        [440, 1020, 2240],
        [300, 870, 2240],
        [490, 1350, 1690],
    ],
    dtype=np.float64,
)
_HIGHER = (3500.0, 4500.0)
_BANDWIDTHS = np.array([60.0, 90.0, 130.0, 200.0, 280.0])
_REACH = 6  # halves of a frame that a filtered frame takes
MOST_SECONDS = 3600.0


@dataclass(frozen=True)
class DrawnSpeaker:
    """A voice.

    pitch: Hz.  melody: how far the pitch moves, in parts of it.  formants: factor of each of five formants.
    vowels: factor of each formant of each vowel, [9, 3].  tilt: dB an octave of the voice above 300 Hz.
    breath: noise beside the pulses, 0 to 1.  hiss: Hz about which consonants lie.  pace: syllables a second.
    """

    pitch: float
    melody: float
    formants: NDArray
    vowels: NDArray
    tilt: float
    breath: float
    hiss: float
    pace: float

    @staticmethod
    def drawn(seed: int, speaker: int) -> "DrawnSpeaker":
        """Speaker number `speaker` of those that `seed` gives; the same everywhere."""
        values = uniform(seed, SPEAKERS, speaker, 0, 48)
        tract = between(values[0], -0.15, 0.15)
        # a short tract mostly has a high voice
        octaves = 2.8 * tract + between(values[1], -0.35, 0.35)
        return DrawnSpeaker(
            pitch=150.0 * 2.0**octaves,
            melody=between(values[2], 0.08, 0.25),
            formants=np.exp(tract + 0.09 * (2.0 * values[3:8] - 1.0)),
            vowels=np.exp(0.06 * (2.0 * values[8:35].reshape(9, 3) - 1.0)),
            tilt=between(values[35], -9.0, -4.0),
            breath=between(values[36], 0.03, 0.3),
            hiss=between(values[37], 2800.0, 5200.0),
            pace=between(values[38], 3.0, 6.0),
        )


def drawn_utterance(
    seed: int, speaker: int, utterance: int, *, rate: int = 16_000, seconds: float = 2.0
) -> NDArray[np.int16]:
    """Recording number `utterance` of a drawn speaker: int16 [rate * seconds], rounded.

    A longer one is another one, not a continuation. Raises ValueError for a rate or a length that is none.
    """
    if not 2_000 <= rate <= 384_000:
        raise ValueError(f"rate must be from 2,000 to 384,000 Hz, got {rate}")
    if not 1.0 <= rate * seconds <= rate * MOST_SECONDS:
        raise ValueError(f"seconds must be those of one sample to {MOST_SECONDS:g}, got {seconds}")
    voice, samples = DrawnSpeaker.drawn(seed, speaker), round(rate * seconds)
    draws = uniform(seed, UTTERANCES, speaker, utterance, 16)
    half = rate // 100  # 10 ms
    frames = samples // half + 2
    said = _said(voice, uniform(seed, UTTERANCES, speaker, utterance, 16 + 8 * (frames // 8 + 8))[16:], frames, draws)
    noise = 2.0 * uniform(seed, UTTERANCE_NOISE, speaker, utterance, (frames + 1) * half) - 1.0
    pulses = _pulses(np.interp(np.arange(len(noise)), half * np.arange(frames), said.pitch), rate)
    frequencies = np.fft.rfftfreq(_points(half), 1.0 / rate)
    spoken, hissed = _responses(voice, said, frequencies, draws)
    microphone = _slope(frequencies, between(draws[1], -0.8, 0.8))
    sound = _filtered(pulses + voice.breath * noise, spoken * microphone, half)
    sound = (sound + _filtered(noise, hissed * microphone, half))[half : half + samples]
    level = np.sqrt(np.mean(sound**2)) + 1e-12
    around = 10.0 ** (-between(draws[2], 28.0, 40.0) / 20.0)
    spectrum = np.fft.rfft(noise[::-1]) * _slope(np.fft.rfftfreq(len(noise), 1.0 / rate), -3.0)
    coloured = np.fft.irfft(spectrum, len(noise))[half : half + samples]
    sound = sound / level + around * coloured / (np.sqrt(np.mean(coloured**2)) + 1e-12)
    loudness = 10.0 ** (between(draws[3], -28.0, -20.0) / 20.0)
    return np.clip(np.rint(32768.0 * loudness * sound), -32768, 32767).astype(np.int16)


@dataclass(frozen=True)
class _Said:
    """Of each frame: pitch [frames] in Hz, formants [frames, 5] in Hz, loudness of voice and hiss [frames]."""

    pitch: NDArray
    formants: NDArray
    voiced: NDArray
    hissed: NDArray


def _said(voice: DrawnSpeaker, values: NDArray, frames: int, draws: NDArray) -> _Said:
    """Syllables: a hissed beginning, a vowel whose formants are reached in its middle; some are pauses."""
    values = values.reshape(8, -1)
    lengths = (100.0 / voice.pace) * (0.6 + 0.8 * values[0])
    ends = np.cumsum(lengths)
    syllable = np.searchsorted(ends, np.arange(frames), side="right").clip(max=len(ends) - 1)
    within = ((np.arange(frames) - (ends - lengths)[syllable]) / lengths[syllable]).clip(0.0, 1.0)
    chosen = (values[1] * len(_VOWELS)).astype(int)
    reached = np.concatenate(
        [_VOWELS[chosen] * voice.vowels[chosen], np.broadcast_to(_HIGHER, (len(chosen), len(_HIGHER)))], axis=1
    )
    middles = ends - 0.4 * lengths
    formants = [np.interp(np.arange(frames), middles, column) for column in reached.T]
    begin = (0.1 + 0.35 * values[2])[syllable]
    vowel = np.sin(np.pi * ((within - begin) / (1.0 - begin)).clip(0.0, 1.0)) ** 0.5
    hiss = np.sin(np.pi * (within / begin).clip(0.0, 1.0))
    loud = np.where(values[3] < 0.06, 0.0, 0.4 + 0.6 * values[4])[syllable]
    melody = np.interp(np.arange(frames), middles, 2.0 * values[5] - 1.0) - 0.5 * np.arange(frames) / frames
    mood = 2.0 ** between(draws[0], -0.12, 0.12)
    pitch = voice.pitch * mood * 2.0 ** (voice.melody * melody)
    hissed = 0.5 * hiss * loud * values[6][syllable]
    return _Said(pitch, np.stack(formants, axis=1) * voice.formants, vowel * loud, hissed)


def _responses(voice: DrawnSpeaker, said: _Said, frequencies: NDArray, draws: NDArray) -> tuple[NDArray, NDArray]:
    """Responses [frames, frequencies] of what is voiced and of what is hissed."""
    below = np.ones((len(said.pitch), len(frequencies)), dtype=np.complex64)
    single = frequencies.astype(np.float32)
    for formant, bandwidth in zip(said.formants.T, _BANDWIDTHS, strict=True):
        parts = single / formant[:, None].astype(np.float32)
        resonance = np.empty(parts.shape, dtype=np.complex64)
        resonance.real = 1.0 - parts * parts
        resonance.imag = parts * (bandwidth / formant[:, None]).astype(np.float32)
        below *= resonance
    spoken = _slope(frequencies, voice.tilt + between(draws[4], -0.7, 0.7)) * said.voiced[:, None] / below
    hissed = 0.6 * np.exp(-0.5 * ((frequencies - voice.hiss) / 1200.0) ** 2) * said.hissed[:, None]
    return spoken, hissed


def _pulses(pitch: NDArray, rate: int) -> NDArray:
    """A pulse each time the phase of the pitch [samples] goes around, between the two samples that are next to it."""
    phase = np.cumsum(pitch) / rate
    at = np.nonzero(np.diff(np.floor(phase)) > 0)[0]
    part = (np.ceil(phase[at]) - phase[at]) / (phase[at + 1] - phase[at])
    pulses = np.zeros(len(pitch))
    # the power of the train is that of noise of the same level
    strength = np.sqrt(rate / pitch[at]) * 0.6
    np.add.at(pulses, at, strength * (1.0 - part))
    np.add.at(pulses, at + 1, strength * part)
    return pulses


def _filtered(sound: NDArray, responses: NDArray, half: int) -> NDArray:
    """Sound [(frames + 1) * half] through the response of each frame, frames overlapping by half."""
    points = _points(half)
    frames = np.lib.stride_tricks.sliding_window_view(sound, 2 * half)[::half][: len(responses)]
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * half) / half)
    parts = np.fft.irfft(np.fft.rfft(frames * window, points) * responses[: len(frames)], points)
    blocks = parts.reshape(len(parts), _REACH, half)
    total = np.zeros((len(parts) + _REACH, half))
    for block in range(_REACH):
        total[block : block + len(parts)] += blocks[:, block]
    return total.reshape(-1)[: len(sound)]


def _points(half: int) -> int:
    """Of the Fourier transform: the frame, and room for the formants to ring."""
    return _REACH * half


def _slope(frequencies: NDArray, decibels: float) -> NDArray:
    """So many decibels an octave above 300 Hz, level below."""
    return np.maximum(frequencies / 300.0, 1.0) ** (decibels / 6.0206)
