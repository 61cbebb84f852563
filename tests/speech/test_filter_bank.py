"""The filter bank against kaldi-native-fbank, against loops in float64, and what it says to numbers that make none."""

import numpy as np
import pytest
import torch

from angulus.speech import FilterBank
from tests.reference.filter_bank import naive_filter_bank

BANKS = [
    FilterBank(),
    FilterBank(window="povey", bands=40),
    FilterBank(window="hanning", bands=23, rate=8000, low_hz=60.0, high_hz=-200.0),
    FilterBank(window="blackman", preemphasis=0.0, remove_dc=False),
    FilterBank(window="rectangular", power=False, hop_ms=12.5, window_ms=20.0),
    FilterBank(snip_edges=False),
    FilterBank(snip_edges=False, rate=8000, bands=30, window_ms=32.0, hop_ms=16.0),
]


def speech_like(samples: int, seed: int = 0, scale: float = 3000.0) -> torch.Tensor:
    """Noise with a falling spectrum, tones and an offset, as int16 values in float32."""
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.standard_normal(samples)) * 0.05 + rng.standard_normal(samples)
    tones = sum(np.sin(np.arange(samples) * step) for step in (0.05, 0.31, 1.3))
    values = scale * (0.2 * (noise - noise.mean()) + 0.3 * tones) + 40.0
    return torch.from_numpy(np.clip(np.round(values), -32768, 32767).astype(np.float32))


@pytest.mark.parametrize("bank", BANKS, ids=str)
@pytest.mark.parametrize("samples", [400, 401, 559, 560, 4000])
def test_it_is_what_loops_give(bank: FilterBank, samples: int) -> None:
    if bank.frames_of(samples) < 1:
        pytest.skip("no frame in so few samples")
    waveform = speech_like(samples)
    expected = naive_filter_bank(bank, waveform.numpy().astype(np.float64))
    found = bank(waveform.double()[None])[0].numpy()
    assert found.shape == expected.shape == (bank.frames_of(samples), bank.bands)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(bank(waveform[None])[0].numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("bank", BANKS, ids=str)
def test_it_is_kaldi_native_fbank(bank: FilterBank) -> None:
    knf = pytest.importorskip("kaldi_native_fbank")
    waveform = speech_like(16_000, seed=1)
    options = knf.FbankOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.dither, frame.samp_freq = 0.0, bank.rate
    frame.frame_length_ms, frame.frame_shift_ms = bank.window_ms, bank.hop_ms
    frame.window_type, frame.preemph_coeff = bank.window, bank.preemphasis
    frame.remove_dc_offset, frame.snip_edges = bank.remove_dc, bank.snip_edges
    mel.num_bins, mel.low_freq, mel.high_freq = bank.bands, bank.low_hz, bank.high_hz
    options.use_power = bank.power
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(bank.rate, waveform.tolist())
    computer.input_finished()
    expected = np.stack([computer.get_frame(place) for place in range(computer.num_frames_ready)])
    found = bank(waveform[None])[0].numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_silence_is_the_floor_and_rows_do_not_meet() -> None:
    bank = FilterBank(bands=20)
    both = torch.stack([torch.zeros(1000), speech_like(1000)])
    found = bank(both)
    assert (found[0] == np.float32(np.log(2.0**-23))).all()
    assert torch.equal(found[1:], bank(both[1:]))
    assert bank(both.to(torch.int16)).dtype == torch.float32


def test_it_stays_in_float32_under_autocast_and_has_a_gradient() -> None:
    bank, waveform = FilterBank(bands=20), speech_like(800)[None].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = bank(waveform)
    assert torch.equal(found, bank(waveform))
    found.sum().backward()
    assert waveform.grad is not None
    assert bool(waveform.grad.isfinite().all())


@pytest.mark.parametrize("bank", [FilterBank(), FilterBank(snip_edges=False)], ids=str)
def test_frames_and_samples_agree(bank: FilterBank) -> None:
    for frames in (1, 2, 7, 200):
        samples = bank.samples_of(frames)
        assert bank.frames_of(samples) == frames
        assert bank.frames_of(samples - 1) == frames - 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rate": 0}, "rate must be a whole number from 1"),
        ({"bands": 0}, "bands must be a whole number from 1"),
        ({"bands": 300}, "bands must be few enough"),
        ({"window": "kaiser"}, "window must be one of povey"),
        ({"window_ms": 0.0}, "window_ms must be a time"),
        ({"hop_ms": float("nan")}, "hop_ms must be a time"),
        ({"preemphasis": 1.0}, "preemphasis must be at least 0"),
        ({"low_hz": 9000.0}, "low_hz and high_hz must lie in this order"),
        ({"high_hz": 9000.0}, "low_hz and high_hz must lie in this order"),
    ],
)
def test_numbers_that_make_no_filter_bank(values: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FilterBank(**values)


def test_waveforms_that_have_no_frame() -> None:
    with pytest.raises(ValueError, match="at least 400 samples"):
        FilterBank()(torch.zeros(1, 399))
    with pytest.raises(ValueError, match=r"must have the shape \[n, samples\]"):
        FilterBank()(torch.zeros(399))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_what_inference_has_kept_serves_training(kind) -> None:
    bank = FilterBank(bands=17, low_hz=21.0)  # a bank that no other test has made
    with torch.inference_mode():
        FilterBank(bands=17, low_hz=21.0)(torch.randn(1, 800, dtype=kind))
    waveforms = torch.randn(1, 800, dtype=kind, requires_grad=True)
    bank(waveforms).sum().backward()
    assert waveforms.grad is not None
