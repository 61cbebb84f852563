"""Another speed: the length and the pitch that it must have."""

import numpy as np
import pytest

from angulus.speech import length_after, perturbed
from angulus.speech.speeds import length_before


@pytest.mark.parametrize("factor", [0.9, 1.1, 0.5, 1.0, 1.37])
@pytest.mark.parametrize("samples", [1, 2, 99, 16_001])
def test_lengths(factor: float, samples: int) -> None:
    waveform = np.random.default_rng(0).integers(-3000, 3000, samples).astype(np.int16)
    changed = perturbed(waveform, factor)
    assert changed.dtype == np.int16
    assert len(changed) == length_after(samples, factor) == max(1, int(samples / factor + 0.5))
    before = length_before(samples, factor)
    assert length_after(before, factor) >= samples
    assert before == 1 or length_after(before - 1, factor) < samples


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_pitch_moves_with_the_speed(factor: float) -> None:
    tone = np.rint(9000 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)).astype(np.int16)
    changed = perturbed(tone, factor)
    expected = 9000 * np.sin(2 * np.pi * 500 * factor * np.arange(len(changed)) / 16_000)
    assert np.abs(changed - expected)[500:-500].max() < 2.5


def test_the_speed_of_one_changes_nothing_and_gives_a_copy() -> None:
    waveform = np.arange(100, dtype=np.int16)
    assert np.array_equal(perturbed(waveform, 1.0), waveform)
    assert perturbed(waveform, 1.0) is not waveform
    assert perturbed(waveform[:0], 0.9).shape == (0,)


@pytest.mark.parametrize("factor", [0.0, -1.0, 5.0, float("nan")])
def test_what_is_no_speed(factor: float) -> None:
    with pytest.raises(ValueError, match=r"factor from 0\.25 to 4"):
        perturbed(np.zeros(10, np.int16), factor)
