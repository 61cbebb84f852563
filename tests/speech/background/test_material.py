"""Banks: drawn without files, read from folders as MUSAN and RIRS_NOISES have them, and bounded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from angulus.errors import DataError
from angulus.speech import Bank, write_flac
from angulus.speech.background.material import drawn_noise

RATE = 8000


def write(path: Path, samples: int, level: int = 1000, seed: int = 0, rate: int = RATE) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(-level, level, samples).astype(np.int16)
    write_flac(path, values, rate)
    return values


def test_a_drawn_bank_is_the_same_everywhere() -> None:
    one, two = (Bank.drawn(0, RATE, noises=4, voices=2, responses=2, seconds=0.3) for _ in range(2))
    for name, shape in (("noises", (4, 2400)), ("voices", (2, 2400)), ("responses", (2, 4000))):
        assert getattr(one, name).shape == shape
        assert torch.equal(getattr(one, name), getattr(two, name))
    assert not torch.equal(one.noises, Bank.drawn(1, RATE, noises=4, voices=0, responses=0, seconds=0.3).noises)
    mine = torch.ones(3, 50, dtype=torch.int16)
    assert Bank.drawn(0, RATE, noises=0, voices=mine, responses=0).voices is mine


def test_drawn_noises_fall_from_white_to_brown_and_some_hum() -> None:
    slopes = []
    for number in range(12):
        power = np.abs(np.fft.rfft(drawn_noise(0, number, RATE, RATE).astype(np.float64))) ** 2
        slopes.append(np.log2(power[400:800].mean() / power[1600:3200].mean()) / 2)
    assert min(slopes) < 0.5
    assert max(slopes) > 1.5


def test_folders_are_read_with_voices_apart(tmp_path: Path) -> None:
    long = write(tmp_path / "musan" / "noise" / "free" / "a.flac", 4 * RATE)
    short = write(tmp_path / "musan" / "music" / "b.flac", 100, seed=1)
    spoken = write(tmp_path / "musan" / "speech" / "c.flac", RATE // 2, seed=2)
    (tmp_path / "musan" / "README").write_text("no sound")
    response = np.zeros((3000, 2))
    response[500, 0], response[900, 0], response[10, 1] = 0.5, 0.25, 0.9
    (tmp_path / "rirs").mkdir()
    soundfile.write(tmp_path / "rirs" / "r.wav", response, RATE, subtype="FLOAT")
    bank = Bank.read(tmp_path / "musan", tmp_path / "rirs", RATE, seconds=0.5, response_seconds=0.1)
    assert bank.noises.shape == (8 + 1, 4000)
    assert np.array_equal(bank.voices[0].numpy(), spoken)
    everything = np.lib.stride_tricks.sliding_window_view(long, 4000)
    for number, piece in enumerate(bank.noises[:-1].numpy()):
        assert np.array_equal(piece, everything[number * 4000])
    assert np.array_equal(bank.noises[-1].numpy(), np.resize(short, 4000))
    assert bank.responses.shape == (1, 800)
    unit = 1 / np.sqrt(0.5**2)  # 400 samples are 50 ms, so that the echo is late
    assert bank.responses[0, 0] == pytest.approx(0.5 * unit, abs=1e-5)
    assert bank.responses[0, 400] == pytest.approx(0.25 * unit, abs=1e-5)
    assert int((bank.responses != 0).sum()) == 2


def test_memory_is_bounded_and_the_draw_follows_the_seed(tmp_path: Path) -> None:
    for number in range(9):
        write(tmp_path / f"{number}.flac", 5 * RATE, seed=number)
    one, two, other = (Bank.read(tmp_path, None, RATE, seconds=0.2, most_pieces=4, seed=seed) for seed in (0, 0, 1))
    assert one.noises.shape == (4, 1600)
    assert one.responses.shape[0] == one.voices.shape[0] == 0
    assert torch.equal(one.noises, two.noises)
    assert not torch.equal(one.noises, other.noises)
    assert Bank.read(tmp_path, None, RATE, seconds=0.2, most_pieces=20).noises.shape == (18, 1600)


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    write(tmp_path / "a.flac", 32_000, rate=16_000)
    assert Bank.read(tmp_path, tmp_path, RATE, seconds=1.0).noises.shape == (2, 8000)


def test_folders_that_hold_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a folder of sound files"):
        Bank.read(tmp_path / "no", None, RATE)
    with pytest.raises(DataError, match="must hold sound files"):
        Bank.read(None, tmp_path, RATE)
    (tmp_path / "a.wav").write_text("text")
    with pytest.raises(DataError, match=r"cannot read .*a\.wav"):
        Bank.read(tmp_path, None, RATE)
    write_flac(tmp_path / "a.wav", np.zeros(100, np.int16), RATE)
    with pytest.raises(DataError, match=r"cannot use .*a\.wav: a room response must have"):
        Bank.read(None, tmp_path, RATE)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"noises": torch.zeros(3, dtype=torch.int16)}, r"noises must be torch.int16 \[n, samples\]"),
        ({"voices": torch.zeros(3, 4)}, r"voices must be torch.int16"),
        ({"responses": torch.zeros(3, 0)}, r"responses must be torch.float32"),
    ],
)
def test_tensors_that_make_no_bank(values: dict, said: str) -> None:
    good = {"noises": torch.zeros(0, 4, dtype=torch.int16), "voices": torch.zeros(0, 4, dtype=torch.int16)}
    with pytest.raises(ValueError, match=said):
        Bank(**{"rate": RATE, **good, "responses": torch.zeros(0, 4), **values})


def test_music_stands_last_and_what_was_read_is_told(tmp_path: Path) -> None:
    for kind in ("noise", "music", "speech"):
        for number in range(2):
            write(tmp_path / "musan" / kind / "free" / f"{number}.flac", RATE, seed=number)
    bank = Bank.read(tmp_path / "musan", None, RATE, seconds=0.5, most_pieces=8)
    assert (len(bank.noises), bank.music, len(bank.voices)) == (8, 4, 4)
    assert bank.told == (
        f"4 pieces of noise of 2 files below {tmp_path / 'musan'}",
        f"4 pieces of music of 2 files below {tmp_path / 'musan'}",
        f"4 pieces of speech of 2 files below {tmp_path / 'musan'}",
    )
    with pytest.raises(ValueError, match="music must be 0 to 8"):
        replace(bank, music=9)
