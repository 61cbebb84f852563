"""Changes to waveforms: the same bits however a batch is cut, what each change must be, and what is refused."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from angulus.speech import Bank, SpeechAugment, drawn_utterance
from angulus.speech.changes import _mu_law_table
from tests.devices.gpu import EACH_DEVICE

RATE = 8000
BANK = Bank.drawn(1, RATE, noises=5, voices=4, responses=3, seconds=0.4, response_seconds=0.1)
EVERYTHING = SpeechAugment(
    noise=0.3, babble=0.3, reverberation=0.3, band=0.5, band_high=(2000.0, 3400.0), clip=0.5, mu_law=0.5, gain=0.5,
    masking=0.7, time_masks=2, band_masks=3,
)  # fmt: skip
SPEECH = torch.stack([torch.from_numpy(drawn_utterance(0, n, 0, rate=RATE, seconds=0.5)) for n in range(16)])
FEATURES = torch.randn(16, 50, 20, generator=torch.Generator().manual_seed(0))


def only(name: str, **settings) -> SpeechAugment:
    return dataclasses.replace(SpeechAugment.off(), **{name: 1.0}, **settings)


def apply(config: SpeechAugment, examples: torch.Tensor = SPEECH, **options) -> torch.Tensor:
    return config.apply(examples, **{"seed": 3, "step": 7, "bank": BANK, **options})


def test_equal_seeds_and_steps_give_equal_waveforms() -> None:
    assert torch.equal(apply(EVERYTHING), apply(EVERYTHING))
    assert not torch.equal(apply(EVERYTHING), apply(EVERYTHING, step=8))
    assert not torch.equal(apply(EVERYTHING), apply(EVERYTHING, seed=4))


@pytest.mark.parametrize("samples", [1, 2, 33, 3001, 4000])
@pytest.mark.parametrize("cuts", [[8], [1, 2, 4], [3, 15]])
@EACH_DEVICE
def test_parts_equal_the_whole_to_the_bit(samples: int, cuts: list[int], device: str) -> None:
    whole, bank = SPEECH[:, :samples].to(device), BANK.to(device)
    features = FEATURES.to(device)
    for step in range(3):
        expected, masked = apply(EVERYTHING, whole, step=step, bank=bank), EVERYTHING.mask(features, seed=3, step=step)
        edges = [0, *cuts, len(whole)]
        parts = [
            apply(EVERYTHING, whole[a:b], step=step, bank=bank, start=a, total=len(whole))
            for a, b in itertools.pairwise(edges)
        ]
        assert torch.equal(torch.cat(parts), expected)
        parts = [
            EVERYTHING.mask(features[a:b], seed=3, step=step, start=a, total=len(whole))
            for a, b in itertools.pairwise(edges)
        ]
        assert torch.equal(torch.cat(parts), masked)


def test_threads_change_no_bit() -> None:
    whole = SPEECH.repeat(1, 9)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append((apply(EVERYTHING, whole[:6]), EVERYTHING.mask(FEATURES.repeat(1, 40, 1)[:3], seed=0, step=1)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@EACH_DEVICE
def test_a_bank_may_stay_in_ordinary_memory(device: str) -> None:
    given = SPEECH.to(device)
    assert torch.equal(apply(EVERYTHING, given), apply(EVERYTHING, given, bank=BANK.to(device)))
    torch.testing.assert_close(apply(EVERYTHING, given).cpu(), apply(EVERYTHING), rtol=1e-3, atol=1.0)


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["noise", "babble", "reverberation", "band", "clip", "mu_law", "gain"])
def test_the_result_is_float_and_the_argument_is_left_alone(name: str, dtype: torch.dtype) -> None:
    given = SPEECH.to(dtype)
    before = given.clone()
    changed = apply(only(name, gain_db=(-6.0, -3.0)), given)
    assert changed.dtype == torch.float32
    assert changed.shape == given.shape
    assert bool(changed.isfinite().all())
    assert torch.equal(given, before)
    assert (changed != given.float()).any(dim=1).all()


def test_off_is_the_identity_and_needs_nothing() -> None:
    assert torch.equal(SpeechAugment.off().apply(SPEECH, seed=0, step=0), SPEECH.float())
    assert torch.equal(SpeechAugment.off().mask(FEATURES, seed=0, step=0), FEATURES)
    assert not SpeechAugment.off().needs_bank
    assert SpeechAugment().needs_bank


def test_stored_features_come_back_as_they_are() -> None:
    stored = (FEATURES * 10).to(torch.uint8)
    assert torch.equal(SpeechAugment().apply(stored, seed=0, step=0), stored.float())


@pytest.mark.parametrize(("name", "snr"), [("noise", 5.0), ("babble", 20.0), ("noise", -10.0)])
@pytest.mark.parametrize("samples", [500, 4000])  # shorter and longer than the pieces
def test_noise_has_the_level_that_was_drawn(name: str, snr: float, samples: int) -> None:
    changed = apply(only(name, **{f"{name}_snr": (snr, snr)}), SPEECH[:, :samples]).double()
    added = changed - SPEECH[:, :samples].double()
    ratio = 10 * torch.log10(SPEECH[:, :samples].double().square().sum(1) / added.square().sum(1))
    torch.testing.assert_close(ratio, torch.full_like(ratio, snr), rtol=0, atol=0.02)


def test_noise_is_a_piece_of_the_bank() -> None:
    changed = apply(only("noise", noise_snr=(0.0, 0.0)), SPEECH[:, :1000]).double() - SPEECH[:, :1000].double()
    pieces = BANK.noises.double().unfold(1, 1000, 1).flatten(0, 1)
    unit = torch.nn.functional.normalize(pieces, dim=1) @ torch.nn.functional.normalize(changed, dim=1).T
    assert (unit.amax(dim=0) > 1 - 1e-6).all()
    assert len(set((unit.argmax(dim=0) // (BANK.noises.shape[1] - 999)).tolist())) > 2


def test_silence_stays_silent_and_silent_noise_changes_nothing() -> None:
    silence = torch.zeros(4, 1000, dtype=torch.int16)
    assert not apply(only("noise"), silence).any()
    quiet = dataclasses.replace(BANK, noises=torch.zeros_like(BANK.noises))
    assert torch.equal(apply(only("noise"), bank=quiet), SPEECH.float())


@pytest.mark.parametrize("samples", [1, 700, 4000])
def test_reverberation_is_a_convolution_that_keeps_the_length(samples: int) -> None:
    changed = apply(only("reverberation"), SPEECH[:6, :samples])
    for row, given in zip(changed, SPEECH[:, :samples], strict=False):
        spoken = given.double().numpy()
        possible = [np.convolve(spoken, response.double().numpy())[:samples] for response in BANK.responses]
        assert min(np.abs(row.numpy() - one).max() for one in possible) < 0.05


def test_a_band_takes_away_what_lies_outside() -> None:
    turns = 2 * torch.pi * torch.arange(RATE)[None] / RATE
    tones = torch.cat([5000 * torch.sin(turns * hertz) for hertz in (100, 1000, 2000, 3500)])
    changed = only("band", band_low=(300.0, 300.0), band_high=(3000.0, 3000.0)).apply(tones, seed=0, step=0, rate=RATE)
    kept = (changed[:, 1000:-1000].square().mean(1) / tones.square().mean(1)).sqrt()
    torch.testing.assert_close(kept, torch.tensor([0.0, 1.0, 1.0, 0.0]), rtol=0, atol=0.01)


def test_clipping_cuts_at_a_part_of_the_peak() -> None:
    changed = apply(only("clip", clip_level=(0.4, 0.4)))
    level = SPEECH.float().abs().amax(dim=1, keepdim=True) * 0.4
    torch.testing.assert_close(changed, torch.minimum(torch.maximum(SPEECH.float(), -level), level))


def test_mu_law_is_that_of_g711() -> None:
    table = _mu_law_table(torch.device("cpu")).numpy()
    values = np.arange(-32768, 32768)
    assert len(np.unique(table)) == 255
    assert table[32768] == 0.0
    assert table[0] == -32124.0  # 8031 on 14 bits, the last of the table of the standard
    assert table[-1] == 32124.0
    assert (np.diff(table) >= 0).all()
    assert (table == -table[::-1])[1:].all() or np.array_equal(table[1:], -table[1:][::-1])
    assert (np.abs(table - values)[4:-700] <= np.maximum(8, np.abs(values[4:-700]) / 16)).all()
    assert torch.equal(apply(only("mu_law")), torch.from_numpy(table)[SPEECH.long() + 32768])


def test_gain() -> None:
    torch.testing.assert_close(apply(only("gain", gain_db=(-6.0, -6.0))), SPEECH.float() * 10**-0.3)


def test_each_change_is_as_likely_as_was_said() -> None:
    many = SPEECH[:1, :40].repeat(3000, 1)
    quiet = SpeechAugment(noise=0.2, babble=0.1, reverberation=0.3)
    share = (apply(quiet, many) != many.float()).any(dim=1).float().mean()
    assert float(share) == pytest.approx(0.6, abs=0.04)


def test_masks_are_stretches_at_the_mean() -> None:
    config = only("masking", time_masks=1, time_width=6, band_masks=1, band_width=4)
    masked = config.mask(FEATURES, seed=0, step=1)
    widths = set()
    for row, given in zip(masked, FEATURES, strict=True):
        touched = row != given
        frames, bands = touched.all(dim=1), touched.all(dim=0)
        assert torch.equal(touched, frames[:, None] | bands[None])
        widths |= {("t", int(frames.sum())), ("b", int(bands.sum()))}
        for hit, most in ((frames, 6), (bands, 4)):
            places = hit.nonzero().flatten()
            assert len(places) <= most
            assert not len(places) or int(places[-1] - places[0]) == len(places) - 1
        torch.testing.assert_close(row[touched], given.mean().expand(int(touched.sum())))
    assert len(widths) > 4


@pytest.mark.parametrize("shape", [(0, 100), (3, 0), (2, 1), (1, 9001)])
def test_awkward_shapes(shape: tuple[int, int]) -> None:
    assert apply(EVERYTHING, torch.ones(shape, dtype=torch.int16)).shape == shape
    assert EVERYTHING.mask(torch.ones(shape[0], shape[1], 3), seed=0, step=0).shape == (*shape, 3)
    assert EVERYTHING.mask(torch.ones(shape[0], 3, shape[1]), seed=0, step=0).shape == (shape[0], 3, shape[1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"noise": 1.5}, r"noise must be in \[0, 1\], got 1.5"),
        ({"noise": 0.6, "babble": 0.3, "reverberation": 0.3}, "noise .* must be at most 1"),
        ({"noise_snr": (10.0, 0.0)}, "noise_snr must be two rising numbers"),
        ({"babble_voices": (0, 3)}, "babble_voices must be two rising numbers"),
        ({"babble_voices": (3, 9)}, "babble_voices must be two rising numbers"),
        ({"band_low": (0.0, 5000.0)}, "band_low must end below band_high"),
        ({"clip_level": (0.0, 0.5)}, "clip_level must be two rising numbers"),
        ({"time_masks": 5}, "time_masks must be a whole number from 0 to 4"),
        ({"band_width": -1}, "band_width must be a whole number"),
        ({"gain_db": (float("nan"), 0.0)}, "gain_db must be two rising numbers"),
    ],
)
def test_settings_out_of_range(settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SpeechAugment(**settings)


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"examples must be \[n, samples\]"):
        SpeechAugment().apply(torch.zeros(5), seed=0, step=0)
    with pytest.raises(ValueError, match=r"features must be \[n, frames, bands\]"):
        SpeechAugment().mask(torch.zeros(5, 2), seed=0, step=0)
    with pytest.raises(ValueError, match="rows 3 to 19 are not in a global batch of 16"):
        apply(SpeechAugment(), start=3, total=16)
    with pytest.raises(ValueError, match=r"noise=0\.2 needs a bank with noises"):
        apply(SpeechAugment(), bank=None)
    with pytest.raises(ValueError, match=r"babble=0\.1 needs a bank with voices"):
        apply(SpeechAugment(), bank=dataclasses.replace(BANK, voices=BANK.voices[:0]))
    with pytest.raises(ValueError, match="band=1 needs the rate"):
        apply(only("band"), bank=None)
    with pytest.raises(ValueError, match=r"bank must have the rate of the waveforms, 16,000 Hz, got 8,000 Hz"):
        apply(SpeechAugment(), rate=16_000)
