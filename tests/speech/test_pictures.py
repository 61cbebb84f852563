"""What recordings look like: low tones below, time to the right, and never a fault for silence or a single sample."""

import numpy as np
import pytest

from angulus.speech.pictures import picture_of


def test_low_tones_stand_below_and_time_runs_to_the_right() -> None:
    time = np.arange(16_000) / 16_000
    low, high = (8000 * np.sin(2 * np.pi * hertz * time) for hertz in (200, 5000))
    picture = picture_of(np.concatenate([low, high]).astype(np.int16)).astype(int).sum(axis=2)
    height, width = picture.shape
    assert picture[: height // 2, : width // 3].mean() < picture[height // 2 :, : width // 3].mean()
    assert picture[: height // 2, -width // 3 :].mean() > picture[height // 2 :, -width // 3 :].mean()


@pytest.mark.parametrize(
    "example",
    [
        np.zeros(16_000, np.int16),
        np.ones(1, np.int16),
        np.full((30, 40), 128, np.uint8),
        np.random.default_rng(0).normal(size=(1000, 80)),
    ],
)
def test_every_recording_has_a_picture(example: np.ndarray) -> None:
    picture = picture_of(example)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert picture.shape[0] >= 80
    assert 1 <= picture.shape[1] <= 300


def test_images_are_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    assert picture_of(image) is image
