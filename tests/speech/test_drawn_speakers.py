"""Drawn speakers: the same numbers for ever, any rate, and voices that can be told apart, but not at a glance."""

import numpy as np
import pytest
import torch

from angulus.speech import DrawnSpeaker, FilterBank, drawn_utterance


def equal_error(features: np.ndarray, speakers: np.ndarray) -> float:
    """EER of all pairs by the cosine of standardised features [n, values]."""
    scaled = (features - features.mean(0)) / features.std(0)
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    above = np.triu_indices(len(unit), 1)
    scores, same = (unit @ unit.T)[above], (speakers[:, None] == speakers)[above]
    thresholds = np.sort(scores[same])
    missed = np.arange(len(thresholds)) / len(thresholds)
    taken = (scores[~same] >= thresholds[:, None]).mean(axis=1)
    return float(np.abs(missed - taken).argmin() / len(thresholds))


def test_a_recording_is_the_same_wherever_it_is_drawn() -> None:
    one = drawn_utterance(3, 5, 7, rate=8000, seconds=0.5)
    assert one.dtype == np.int16
    assert one.shape == (4000,)
    assert np.array_equal(one, drawn_utterance(3, 5, 7, rate=8000, seconds=0.5))
    for other in ((4, 5, 7), (3, 6, 7), (3, 5, 8)):
        assert not np.array_equal(one, drawn_utterance(*other, rate=8000, seconds=0.5))


def test_a_speaker_keeps_the_voice() -> None:
    voice = DrawnSpeaker.drawn(0, 1)
    assert voice.pitch == pytest.approx(DrawnSpeaker.drawn(0, 1).pitch)
    assert voice.pitch == pytest.approx(131.958744, abs=1e-5)  # drawn from raw words that never change
    pitches = [DrawnSpeaker.drawn(0, speaker).pitch for speaker in range(200)]
    assert 80 < min(pitches) < 110
    assert 200 < max(pitches) < 300


@pytest.mark.parametrize("rate", [2000, 8000, 11_025, 44_100])
@pytest.mark.parametrize("samples", [1, 100, 2003])
def test_any_rate_and_length(rate: int, samples: int) -> None:
    made = drawn_utterance(0, 0, 0, rate=rate, seconds=samples / rate)
    assert made.shape == (samples,)
    assert np.abs(made.astype(int)).max() > 0


@pytest.mark.parametrize("values", [{"rate": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"seconds": 1e9}])
def test_numbers_that_make_no_recording(values: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        drawn_utterance(0, 0, 0, **values)


def test_mean_and_deviation_tell_speakers_apart_but_not_well() -> None:
    speakers = np.repeat(np.arange(24), 4)
    spoken = np.stack([drawn_utterance(0, s, u, rate=8000, seconds=1.5) for s in range(24) for u in range(4)])
    assert (np.abs(spoken.astype(int)) < 32767).all()
    bands = FilterBank(rate=8000, bands=30)(torch.from_numpy(spoken)).numpy()
    features = np.concatenate([bands.mean(axis=1), bands.std(axis=1)], axis=1)
    assert 0.02 < equal_error(features, speakers) < 0.42
