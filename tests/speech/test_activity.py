"""Voice activity: speech between silences is found, at any level, and digital silence never is."""

import numpy as np
import pytest

from angulus.speech import Activity, drawn_utterance
from angulus.speech.activity import LOUD

RATE = 16_000
SPEECH = drawn_utterance(0, 0, 0, rate=RATE, seconds=1.0)


def noise(samples: int, level: float) -> np.ndarray:
    return np.rint(level * np.random.default_rng(1).standard_normal(samples)).astype(np.int16)


def naive_frames(activity: Activity, waveform: np.ndarray, rate: int) -> np.ndarray:
    """The rule in loops."""
    hop = max(1, int(rate * activity.hop_ms / 1000))
    around = max(0, int(rate * activity.window_ms / 1000) - hop) // 2
    logs, flat = [], []
    for begin in range(0, len(waveform), hop):
        part = waveform[max(0, begin - around) : begin + hop + around].astype(np.float64)
        logs.append(np.log(max(((part - part.mean()) ** 2).sum(), 1e-10)))
        flat.append(np.ptp(waveform[begin : begin + hop].astype(int)) <= 2)
    if all(flat):
        return np.zeros(len(logs), dtype=bool)
    sounding = [log for log, silent in zip(logs, flat, strict=True) if not silent]
    raised = LOUD - np.quantile(sounding, 0.95)
    threshold = activity.threshold + activity.mean_scale * (np.mean(sounding) + raised)
    loud = [log + raised > threshold and not silent for log, silent in zip(logs, flat, strict=True)]
    found = []
    for t in range(len(logs)):
        near = loud[max(0, t - activity.context) : t + activity.context + 1]
        found.append(sum(near) >= activity.proportion * len(near) and not flat[t])
    return np.array(found)


@pytest.mark.parametrize(
    "activity", [Activity(), Activity(context=0, proportion=0.5), Activity(context=7, hop_ms=12.5)]
)
@pytest.mark.parametrize("samples", [1, 159, 161, 16_000])
@pytest.mark.parametrize("rate", [8000, 16_000])
def test_it_is_what_loops_give(activity: Activity, samples: int, rate: int) -> None:
    waveform = np.concatenate([np.zeros(2000, np.int16), SPEECH, noise(3000, 20.0)])[-samples - 3000 :]
    for given in (waveform, waveform[:samples]):
        assert np.array_equal(activity.frames(given, rate), naive_frames(activity, given, rate))


@pytest.mark.parametrize("scale", [1.0, 0.1, 3.0])
def test_speech_between_pauses_is_found_at_any_level(scale: float) -> None:
    spoken = 0.3 * np.concatenate([noise(RATE, 10.0), SPEECH, noise(RATE, 10.0)]).astype(np.float64)
    waveform = np.clip(np.rint(scale * spoken), -32768, 32767).astype(np.int16)
    spans = Activity().spans(waveform, RATE)
    kept = np.zeros(len(waveform), dtype=bool)
    for begin, end in spans:
        kept[begin:end] = True
    assert kept[: RATE - 1000].mean() < 0.02
    assert kept[RATE : 2 * RATE].mean() > 0.8
    assert kept[2 * RATE + 1000 :].mean() < 0.02
    assert np.array_equal(Activity().speech(waveform, RATE), waveform[kept])


@pytest.mark.parametrize("level", [0, 7, -300])
def test_digital_silence_is_trimmed(level: int) -> None:
    silence = np.full(8000, level, np.int16)
    kept = Activity().speech(np.concatenate([silence, SPEECH, silence]), RATE)
    assert 0.5 * RATE < len(kept) <= RATE + 2 * 160
    assert len(Activity().speech(silence, RATE)) == 0
    assert Activity().spans(silence, RATE) == []


def test_very_short_ones() -> None:
    for samples in (0, 1, 5):
        assert len(Activity().speech(SPEECH[:samples], RATE)) == 0 or samples > 1
        assert len(Activity().frames(SPEECH[:samples], RATE)) == min(samples, 1)


def test_long_ones_are_walked_in_parts() -> None:
    long = np.tile(SPEECH, 100)
    frames = Activity().frames(long, RATE)
    assert len(frames) == 10_000
    assert np.array_equal(frames, naive_frames(Activity(), long, RATE))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hop_ms": 0.0}, "hop_ms and window_ms"),
        ({"hop_ms": 50.0}, "hop_ms and window_ms"),
        ({"threshold": float("nan")}, "must be finite"),
        ({"context": -1}, "context must be a whole number"),
        ({"proportion": 2.0}, r"proportion must be in \[0, 1\]"),
    ],
)
def test_numbers_that_make_no_rule(values: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Activity(**values)
