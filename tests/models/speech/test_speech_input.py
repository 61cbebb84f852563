"""What speech must look like: preparation against the filter bank and by hand, and what does not fit."""

import pytest
import torch

from angulus.errors import ModelError
from angulus.models import SpeechInput
from angulus.models.catalogue import _spec_from_dict
from angulus.speech import FilterBank


def test_waveforms_become_bands_without_their_mean() -> None:
    spec = SpeechInput(bands=20, window="povey")
    waveforms = spec.vectors(2)
    bands = FilterBank(bands=20, window="povey")(waveforms)
    prepared = spec.prepare(waveforms)
    assert prepared.shape == (2, *spec.shape)
    torch.testing.assert_close(prepared, bands - bands.mean(dim=1, keepdim=True))
    torch.testing.assert_close(prepared.mean(dim=1), torch.zeros(2, 20), atol=1e-4, rtol=0)
    assert torch.equal(spec.prepare(waveforms.float()), prepared)
    raw = SpeechInput(bands=20, window="povey", normalise=False)
    assert torch.equal(raw.prepare(waveforms), bands)


def test_stored_features_are_scaled() -> None:
    spec = SpeechInput(content="features", bands=3, offset=128.0, scale=0.5, normalise=False, frames=4)
    stored = torch.tensor([[[128, 130, 126], [0, 255, 128]]], dtype=torch.uint8)
    assert torch.equal(spec.prepare(stored), torch.tensor([[[0.0, 1.0, -1.0], [-64.0, 63.5, 0.0]]]))
    assert spec.blank(2).shape == (2, 4, 3)
    assert float(spec.prepare(spec.blank(2)).abs().max()) == 0.0
    assert spec.prepare(spec.vectors(2)).shape == (2, 4, 3)


@pytest.mark.parametrize("spec", [SpeechInput(), SpeechInput(content="features", bands=40, offset=128.0, scale=0.5)])
def test_it_is_written_and_read_back(spec: SpeechInput) -> None:
    assert _spec_from_dict(spec.to_dict()) == spec
    with pytest.raises(ValueError, match="input has no colour"):
        SpeechInput.from_dict({**spec.to_dict(), "colour": "rgb"})


def test_what_does_not_fit() -> None:
    spec = SpeechInput()
    with pytest.raises(ModelError, match=r"waveforms must have the shape \[n, samples\]"):
        spec.prepare(torch.zeros(2, 1, 400))
    with pytest.raises(ModelError, match="at least 400 samples"):
        spec.prepare(torch.zeros(2, 399))
    with pytest.raises(ModelError, match="waveforms must be int16"):
        spec.prepare(torch.zeros(2, 400, dtype=torch.uint8))
    with pytest.raises(ModelError, match=r"features must have the shape \[n, frames, 40\]"):
        SpeechInput(content="features", bands=40).prepare(torch.zeros(2, 10, 41))
    assert spec.mismatch(torch.zeros(2, 7, 80)) is None
    assert "prepared speech of shape [n, frames, 80]" in str(spec.mismatch(torch.zeros(2, 7, 81)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"content": "image"}, "input.content must be one of waveform, features"),
        ({"frames": 0}, "input.frames must be a whole number"),
        ({"scale": 0.0}, "input.scale must not be 0"),
        ({"offset": float("inf")}, "input.offset must be finite"),
        ({"bands": 400}, "input.bands must be few enough"),
        ({"rate": 8000, "high_hz": 6000.0}, "input.low_hz and high_hz"),
    ],
)
def test_numbers_that_make_no_spec(values: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SpeechInput(**values)
