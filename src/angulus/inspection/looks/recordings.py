"""What is to be seen in a recording: how long, how loud, how much is clipped or silent, how it is stored, two hashes.

    level      root of the mean square, in dB of full scale (32,768); peak: the largest sample, in the same
    clipped    share of samples in runs of three or more at the very peak, which must be above -30 dB
    silence    share of frames of 20 ms that are 35 dB or more below the loudest twentieth, or below -60 dB
    head       seconds of samples of one value at the beginning (digital silence)
    rate, channels, format   as stored; the rest is measured on one channel at 16,000 samples a second, and resampling
               and averaging hide a part of what was clipped

Levels below -100 dB are given as -100.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.loading.contents import Recordings
from angulus.data.parts import rate_of
from angulus.inspection.hashing import signs
from angulus.inspection.looks.look import COMMON, HASH_BYTES, Concern, Extreme, Measure, Same, Words
from angulus.inspection.looks.photos import NOT_STORED
from angulus.inspection.looks.spectrograms import BOUNDS, agreement_of, levels_of_samples, spectra
from angulus.speech.pictures import USUAL_RATE
from angulus.speech.recordings import probe
from angulus.speech.resampling import resample, whole_numbers

COLUMNS = np.dtype(
    [
        *COMMON,
        ("seconds", "<f4"),
        ("level", "<f4"),
        ("peak", "<f4"),
        ("clipped", "<f4"),
        ("silence", "<f4"),
        ("head", "<f4"),
        ("rate", "<i4"),
        ("channels", "<i2"),
        ("hash", "u1", (HASH_BYTES,)),
        ("loudest_hash", "u1", (HASH_BYTES,)),
    ]
)
WORDS = Words(
    one="recording",
    many="recordings",
    person="speaker",
    people="speakers",
    picture="recording",
    footer="The sounds and spectrograms in this page are copies of recordings in the set: keep it as you keep the set.",
)
SHORT_SECONDS = 0.3
CLIPPED_SHARE = 0.001
QUIET_LEVEL = -45.0
SILENT_PEAK, SILENT_SHARE = -60.0, 0.98
HEAD_SECONDS = 0.25
LOWEST = -100.0
_CLIPPED_PEAK = -30.0
_SILENCE, _QUIETEST = 35.0, -60.0
_FRAME_MS = 20


@dataclass(frozen=True)
class Sound:
    """Samples int16 [t], one channel. rate: at which they are looked at."""

    rate: int = USUAL_RATE

    words = WORDS
    columns = COLUMNS
    hashes = (("hash", "hash"), ("loudest_hash", "loudest_hash"))
    same: Same = "same samples"
    bounds = BOUNDS
    measures = (
        Measure(column="seconds", title="seconds", digits=2),
        Measure(column="level", title="level (dB of full scale)"),
        Measure(column="peak", title="peak (dB of full scale)"),
        Measure(column="clipped", title="share of clipped samples", digits=4),
        Measure(column="silence", title="share of silence", digits=2),
        Measure(column="head", title="digital silence at the beginning (s)", digits=2),
        Measure(column="rate", title="samples a second, as stored"),
        Measure(column="channels", title="channels, as stored", bars=False),
    )
    extremes = (
        Extreme(title="shortest", column="seconds"),
        Extreme(title="longest", column="seconds", largest=True),
        Extreme(title="quietest", column="level"),
        Extreme(title="most clipped", column="clipped", largest=True),
        Extreme(title="most silence", column="silence", largest=True),
    )

    def decode(self, source: Source, index: int, content: bytes | None) -> NDArray[np.int16]:
        """Samples at `rate`."""
        if content is None:
            samples, own = source.read(index), rate_of(source)
            return samples if own == self.rate else whole_numbers(resample(samples, own, self.rate))
        return Recordings(rate=self.rate).decode(content, name=source.keys[index])

    def spectra(self, example: NDArray[Any]) -> NDArray[np.float32]:
        """[2, 256]"""
        return spectra(levels_of_samples(example, self.rate))

    def measured(self, example: NDArray[Any], content: bytes | None, typical: NDArray[np.float32]) -> Mapping[str, Any]:
        """Its own columns."""
        stored = None if content is None else probe(content)
        hashes = signs(self.spectra(example), typical)
        return {
            "seconds": len(example) / self.rate,
            **heard(example, self.rate),
            "rate": self.rate if stored is None else stored.rate,
            "channels": 1 if stored is None else stored.channels,
            "hash": hashes[0],
            "loudest_hash": hashes[1],
        }

    def kind(self, example: NDArray[Any], content: bytes | None) -> str:
        """For example FLAC PCM_16."""
        if content is None:
            return NOT_STORED
        return str(getattr(probe(content), "format", "sound"))

    def agreement(self, one: NDArray[Any], other: NDArray[Any]) -> float:
        """See `angulus.inspection.looks.spectrograms`."""
        return agreement_of(levels_of_samples(one, self.rate), levels_of_samples(other, self.rate))

    def telling(self, rows: NDArray[np.void]) -> NDArray[np.bool_]:
        """Those with a sound: silence is like all silence."""
        return rows["readable"] & (rows["peak"] >= SILENT_PEAK)

    def concerns(self, rows: NDArray[np.void]) -> list[Concern]:
        """Too short, silent, quiet, clipped, digital silence, another rate, several channels."""
        readable = rows["readable"]
        silent = readable & (~self.telling(rows) | (rows["silence"] >= SILENT_SHARE))
        rates, counts = np.unique(rows["rate"][readable], return_counts=True)
        usual = int(rates[counts.argmax()]) if len(rates) else self.rate
        found = [
            _concern("silent", "hold next to no sound", silent),
            _concern(
                "too short", f"are shorter than {SHORT_SECONDS:g} s", readable & (rows["seconds"] < SHORT_SECONDS)
            ),
            _concern(
                "quiet",
                f"have a level below {QUIET_LEVEL:g} dB of full scale",
                readable & ~silent & (rows["level"] < QUIET_LEVEL),
            ),
            _concern(
                "clipped",
                f"stand at their peak with {CLIPPED_SHARE:.1%} of their samples or more: recorded too loud",
                readable & (rows["clipped"] >= CLIPPED_SHARE),
            ),
            _concern(
                "digital silence",
                f"begin with {HEAD_SECONDS:g} s of digital silence or more, which tells where they come from",
                readable & ~silent & (rows["head"] >= HEAD_SECONDS),
                act=False,
            ),
            _concern(
                "odd rate",
                f"are stored at another rate than most ({usual:,} samples a second) and resampled; what is above half "
                "of a lower rate is missing",
                readable & (rows["rate"] != usual),
                act=False,
            ),
            _concern(
                "stereo", "have several channels, which are averaged", readable & (rows["channels"] > 1), act=False
            ),
        ]
        return [concern for concern in found if len(concern.rows)]


def heard(samples: NDArray[Any], rate: int) -> dict[str, float]:
    """level, peak (dB of full scale), clipped, silence (shares) and head (seconds) of samples int16 [t]."""
    values = samples.astype(np.float64) / 32768
    largest = float(np.abs(values).max(initial=0.0))
    peak = _decibels(largest)
    frame = max(1, rate * _FRAME_MS // 1000)
    frames = values[: max(1, len(values) // frame) * frame]
    frames = frames.reshape(-1, frame) if len(values) >= frame else frames[None]
    levels = np.array([_decibels(float(np.sqrt((each**2).mean()))) if each.size else LOWEST for each in frames])
    quiet = max(float(np.quantile(levels, 0.95)) - _SILENCE, _QUIETEST)
    changes = np.flatnonzero(samples != samples[0]) if len(samples) else np.empty(0, np.int64)
    head = int(changes[0]) if len(changes) else len(samples)
    head = head if head > 1 else 0  # the first sample is equal to itself
    return {
        "level": _decibels(float(np.sqrt((values**2).mean())) if len(values) else 0.0),
        "peak": peak,
        "clipped": _clipped(samples) if peak > _CLIPPED_PEAK else 0.0,
        "silence": float((levels <= quiet).mean()),
        "head": head / rate,
    }


def _clipped(samples: NDArray[Any]) -> float:
    """Share of the samples in runs of three or more at the largest or the smallest value."""
    count = 0
    for peak in (samples.max(), samples.min()):
        at = np.flatnonzero(samples == peak)
        runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
        count += sum(len(run) for run in runs if len(run) >= 3)
    return min(1.0, count / len(samples))


def _decibels(value: float) -> float:
    return max(LOWEST, 20 * float(np.log10(value))) if value > 0 else LOWEST


def _concern(what: str, sentence: str, chosen: NDArray[np.bool_], *, act: bool = True) -> Concern:
    return Concern(what=what, sentence=sentence, rows=np.flatnonzero(chosen), act=act)


RECORDINGS = Sound()
