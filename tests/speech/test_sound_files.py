"""Sound files: every kind and part is what was written, and what is none is refused with a sentence."""

import os
import struct
import sys
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from angulus.errors import DataError
from angulus.speech import EXTENSIONS, drawn_utterance, flac_bytes, probe, read_waveform, write_flac
from tests.real_data import SHARED

RATE = 16_000
SPEECH = drawn_utterance(0, 1, 2, rate=RATE, seconds=3.0)
EXACT = {"WAV": "PCM_16", "FLAC": "PCM_16", "AIFF": "PCM_16", "AU": "PCM_16", "W64": "PCM_16", "NIST": "PCM_16"}
LOSSY = {"OGG": "VORBIS", "MP3": None}


def encoded(form: str, subtype: str | None = None, values: np.ndarray = SPEECH, rate: int = RATE) -> bytes:
    file = BytesIO()
    soundfile.write(file, values, rate, format=form, subtype=subtype)
    return file.getvalue()


def wav(**fields: int) -> bytes:
    """A WAV of 100 samples whose header says something else."""
    content = bytearray(encoded("WAV", "PCM_16", SPEECH[:100]))
    for name, value in fields.items():
        place, kind = {"channels": (22, "<H"), "rate": (24, "<I"), "size": (40, "<I")}[name]
        struct.pack_into(kind, content, place, value)
    return bytes(content)


def flac_of_claimed_length(samples: int) -> bytes:
    content = bytearray(flac_bytes(SPEECH[:5000], RATE))
    claims = int.from_bytes(content[18:26], "big") >> 36 << 36
    content[18:26] = (claims | samples).to_bytes(8, "big")
    return bytes(content)


@pytest.mark.parametrize("form", EXACT)
def test_what_was_written_without_loss_is_read(form: str) -> None:
    assert np.array_equal(read_waveform(encoded(form, EXACT[form]), RATE), SPEECH)


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_wider_samples_of_the_same_sound(subtype: str) -> None:
    assert np.array_equal(read_waveform(encoded("WAV", subtype, SPEECH / 32768.0), RATE), SPEECH)


def test_floats_are_rounded_and_cut_at_full_scale() -> None:
    values = np.array([-3.0, -1.0, 0.4 / 32768, 0.6 / 32768, 1.0, 3.0])
    assert read_waveform(encoded("WAV", "FLOAT", values), RATE).tolist() == [-32768, -32768, 0, 1, 32767, 32767]


def test_channels_become_their_mean() -> None:
    both = np.stack([SPEECH, np.roll(SPEECH, 1000)], axis=1)
    expected = np.rint(both.astype(np.float64).mean(axis=1))
    assert np.array_equal(read_waveform(encoded("FLAC", "PCM_16", both), RATE), expected)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100])
def test_another_rate_keeps_the_sound(rate: int) -> None:
    tone = np.rint(8000 * np.sin(2 * np.pi * 440.0 * np.arange(2 * rate) / rate)).astype(np.int16)
    found = read_waveform(encoded("WAV", "PCM_16", tone, rate), RATE)
    expected = 8000 * np.sin(2 * np.pi * 440.0 * np.arange(2 * RATE) / RATE)
    assert found.shape == (2 * RATE,)
    assert np.abs(found - expected)[400:-400].max() < 2.5


@pytest.mark.parametrize("form", ["FLAC", "OGG", "MP3", "WAV", "OPUS"])
@pytest.mark.parametrize("rate", [16_000, 8000, 22_050, 44_100])
def test_a_part_is_that_of_the_whole(form: str, rate: int) -> None:
    content = encoded("OGG", "OPUS") if form == "OPUS" else encoded(form, EXACT.get(form))
    whole = read_waveform(content, rate).astype(int)
    for begin, samples in ((0, 1), (0, 100), (rate + 7, rate // 2), (len(whole) - 333, 333), (len(whole) - 1, 1)):
        part = read_waveform(content, rate, begin=begin, samples=samples)
        assert part.shape == (samples,)
        assert np.abs(part - whole[begin : begin + samples]).max() <= (0 if rate == RATE and form in EXACT else 1)


@pytest.mark.parametrize("form", [*EXACT, *LOSSY])
def test_probe_says_what_reading_gives(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{form.lower()}"
    path.write_bytes(encoded(form, EXACT.get(form)))
    found = probe(path)
    assert (found.rate, found.samples, found.channels) == (RATE, len(SPEECH), 1)
    assert found.format.startswith(form)
    assert found.seconds == pytest.approx(3.0)
    for rate in (RATE, 8000, 11_025):
        assert found.samples_at(rate) == len(read_waveform(path, rate))


def test_files_and_bytes_are_one(tmp_path: Path) -> None:
    write_flac(tmp_path / "a.flac", SPEECH, RATE)
    content = (tmp_path / "a.flac").read_bytes()
    assert np.array_equal(read_waveform(tmp_path / "a.flac", 8000), read_waveform(content, 8000))
    assert content == flac_bytes(SPEECH, RATE)
    assert ".flac" in EXTENSIONS


def test_one_sample_and_silence_are_read() -> None:
    for rate in (8000, RATE, 48_000):
        assert read_waveform(encoded("WAV", "PCM_16", SPEECH[:1], 48_000), rate).shape == (1,)
    assert not read_waveform(flac_bytes(np.zeros(4000, np.int16), 8000), RATE).any()


def test_a_wav_that_was_written_into_a_pipe_is_read() -> None:
    assert np.array_equal(read_waveform(wav(size=0xFFFFFFFF), RATE), SPEECH[:100])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"One fine day a text was called .wav.\n" * 20, "not sound of a known format"),
        (b"\0\0\0\x20ftypM4A " + bytes(100), "it is m4a or mp4"),
        (b"RIFF" + bytes(40), "not sound of a known format"),
        (b"fLaC" + bytes(40), "damaged, cut short or of no known kind"),
        (encoded("WAV", "PCM_16", SPEECH[:0]), "it holds no samples"),
        (encoded("WAV", "PCM_16")[:9000], "it is cut short: it claims 96,000 bytes of samples and holds"),
        (encoded("AIFF", "PCM_16")[:9000], "it is cut short: it claims"),
        (encoded("FLAC", "PCM_16")[:9000], "damaged, cut short or of no known kind"),
        (encoded("MP3")[:4000], "it is cut short: it claims 48,000 samples"),
        (wav(channels=1000), "it claims 1,000 channels"),
        (wav(rate=2**31 - 1), "it claims 2,147,483,647 samples a second"),
        (wav(rate=1), "it claims 1 samples a second"),
        (flac_of_claimed_length(2**36 - 1), "more than the 12 that are read at once"),
        (flac_of_claimed_length(50_000), "cut short"),
        (flac_of_claimed_length(0), "it does not say how long it is"),
        (encoded("WAV", "FLOAT", np.array([0.0, np.nan])), "NaN or infinity is among its samples"),
        (encoded("WAV", "DOUBLE", np.array([0.0, np.inf])), "NaN or infinity is among its samples"),
        (encoded("WAV", "FLOAT", SPEECH.astype(np.float32)), "where 1 is full scale"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",  # a header may hold the time of its writing
)
@pytest.mark.parametrize("rate", [RATE, 8000])
def test_what_is_no_recording_is_refused_with_a_sentence(content: bytes, said: str, rate: int) -> None:
    with pytest.raises(DataError, match=f"(?s)cannot read x: .*{said}") as found:
        read_waveform(content, rate, name="x")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "NIST"])
def test_damaged_bytes_give_sound_or_a_sentence(form: str, capfd: pytest.CaptureFixture) -> None:
    sound, draw, said = encoded(form, EXACT.get(form), SPEECH[:8000]), np.random.default_rng(0), []
    for number in range(40):
        content = bytearray(sound)
        for place in draw.integers(0, len(content) if number % 2 else 100, 1 + number % 4):
            content[place] = draw.choice([0, 127, 128, 255])
        try:
            assert 0 < len(read_waveform(bytes(content[: len(content) - number * 3]), RATE)) <= 100_000
        except DataError as error:
            said.append(str(error))
    assert all(sentence.startswith("cannot read recording: ") for sentence in said)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_mp3s_without_a_length(mode: str, tagged: bool, rate: int) -> None:
    values = np.concatenate([np.zeros(rate, np.int16), np.resize(SPEECH, 3 * rate), np.zeros(rate, np.int16)])
    file = BytesIO()
    with soundfile.SoundFile(file, "w", rate, 1, format="MP3", bitrate_mode=mode, compression_level=0.5) as sink:
        sink.write(values)
    content = file.getvalue()
    header = content.find(content[:2], 4)
    bare = b"ID3\x04\0\0\0\0\x02\x00" + bytes(256) + content[header:]
    if tagged:
        assert len(read_waveform(content, rate)) == len(values)
    elif mode == "CONSTANT":
        assert abs(len(read_waveform(bare, rate)) - len(values)) < 4000
    else:
        with pytest.raises(DataError, match="an mp3 of varying bit rate that does not say how long it is"):
            read_waveform(bare, rate)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path, said in ((tmp_path, "Is a directory"), (tmp_path / "no.wav", "No such"), (tmp_path / "pipe.wav", "pipe")):
        with pytest.raises(DataError, match=said):
            probe(path)
        with pytest.raises(DataError, match=said):
            read_waveform(path, RATE)


@pytest.mark.parametrize(("begin", "samples"), [(-1, 5), (0, 0), (48_000, 1), (47_999, 2), (0, 10**12)])
def test_a_part_that_is_not_there(begin: int, samples: int) -> None:
    with pytest.raises(DataError, match="it has 48,000 samples at 16,000 Hz"):
        read_waveform(flac_bytes(SPEECH, RATE), RATE, begin=begin, samples=samples)


@pytest.mark.parametrize("rate", [0, -1, 16_000.0, True, 10**6])
def test_a_rate_that_is_none(rate: int) -> None:
    with pytest.raises(ValueError, match="rate must be a whole number from 1"):
        read_waveform(b"", rate)


def test_a_part_of_three_hours_takes_no_memory_of_the_whole(tmp_path: Path) -> None:
    size = 3 * 3600 * 16_000 * 2
    (tmp_path / "long.wav").write_bytes(wav(size=size)[:44])
    os.truncate(tmp_path / "long.wav", 44 + size)  # silence that takes no place on a disk
    tracemalloc.start()
    part = read_waveform(tmp_path / "long.wav", 8000, begin=10_000 * 8000, samples=3 * 8000)
    assert part.shape == (24_000,)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**23


def test_the_last_page_of_a_long_ogg() -> None:
    content = encoded("OGG", "VORBIS", drawn_utterance(0, 0, 0, rate=4000, seconds=150.0), 4000)
    whole = read_waveform(content, 4000)
    for begin in (100_000, 400_001, 520_000, 599_900):
        assert np.array_equal(read_waveform(content, 4000, begin=begin, samples=100), whole[begin : begin + 100])


@pytest.mark.parametrize("read", [probe, lambda content: read_waveform(content, RATE)])
def test_a_missing_package_is_named(read: Callable[[bytes], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(DataError, match=r'needs soundfile .*: pip install "angulus\[speech\]"'):
        read(flac_bytes_before)


flac_bytes_before = flac_bytes(SPEECH, RATE)


def test_a_missing_resampler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert len(read_waveform(flac_bytes_before, RATE)) == len(SPEECH)
    with pytest.raises(DataError, match=r'needs soxr .*: pip install "angulus\[speech\]"'):
        read_waveform(flac_bytes_before, 8000)


@pytest.mark.skipif(not (SHARED / "speech").exists(), reason="the recordings of docs/data.md are not here")
def test_real_recordings() -> None:
    paths = sorted((SHARED / "speech" / "arabic30").rglob("*.flac"))[::60]
    for path in paths:
        expected, rate = soundfile.read(path, dtype="int16")
        assert np.array_equal(read_waveform(path, rate), expected)
        assert len(read_waveform(path, 8000)) == probe(path).samples_at(8000)
