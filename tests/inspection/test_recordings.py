"""What is seen in recordings and features, which copies of them are found, and what the report and its edits say."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from real_data import SHARED
from reference import inspection as oracle

from angulus.data import open_source
from angulus.data.views.sequences import Sequences
from angulus.errors import DataError
from angulus.inspection import Seen, find, find_copies, find_leaks, look_at, removal, scan, suggested_edits
from angulus.inspection import typical_spectrum as typical
from angulus.inspection.figures import data_figures
from angulus.inspection.leaks_page import write_leaks
from angulus.inspection.looks import FEATURES, PHOTOS, RECORDINGS, look_of
from angulus.inspection.looks.recordings import heard
from angulus.inspection.looks.spectrograms import agreement_of, levels_of_samples
from angulus.inspection.page import ranged
from angulus.inspection.report import write_data_report
from angulus.speech.wave_files import wave_file

RATE = 16_000
WORDS = SHARED / "speech" / "arabic30"


def spoken(seed: int, seconds: float = 1.2) -> np.ndarray:
    """A row of tones of its own under a slow swell, with silence around it, int16."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    sound = np.zeros(len(time))
    for begin in np.arange(0.15, seconds - 0.25, 0.12):
        inside = (time >= begin) & (time < begin + 0.12)
        for hertz in random.uniform(120, 3200, 3):
            sound[inside] += random.uniform(0.3, 1) * np.sin(2 * np.pi * hertz * time[inside])
    return (4000 * sound + random.normal(0, 8, len(time))).astype(np.int16)


def write(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())
    path.write_bytes(content.getvalue())


def of_arrays(examples: list[np.ndarray], labels: list[int] | None = None) -> Sequences:
    named = np.arange(len(examples)) if labels is None else np.array(labels)
    return Sequences(
        values=np.concatenate(examples),
        ends=np.cumsum([len(each) for each in examples]),
        labels=named,
        identities=[f"speaker{label:02d}" for label in range(int(named.max()) + 1)],
        keys=[f"{row:03d}" for row in range(len(examples))],
        origin="made",
    )


def seen_of(source: Sequences, spectrum: np.ndarray | None = None) -> Seen:
    return Seen(source=source, contents=scan(source, typical(source) if spectrum is None else spectrum))


CHANGES = {
    "gain": lambda samples: (samples * 0.5).round().astype(np.int16),
    "cut": lambda samples: samples[len(samples) // 20 : -len(samples) // 20],
    "coarse": lambda samples: samples // 16 * 16,
    "later": lambda samples: np.concatenate([np.zeros(800, np.int16), samples])[: len(samples)],
}


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_heard_is_that_of_a_loop(seed: int) -> None:
    samples = spoken(seed, 0.7)
    samples[:500] = 0
    samples[3000:3010] = samples.max()
    found, expected = heard(samples, RATE), oracle.heard(samples, RATE)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("count", [0, 1, 2, 319, 320, 321])
def test_recordings_of_odd_lengths_are_heard(count: int) -> None:
    assert np.isfinite(list(heard(np.zeros(count, np.int16), RATE).values())).all()
    assert heard(np.full(count, 9, np.int16), RATE)["clipped"] == 0


@pytest.mark.parametrize("how", CHANGES)
def test_changed_copies_agree_and_other_recordings_do_not(how: str) -> None:
    levels = [levels_of_samples(each, RATE) for each in (spoken(3), CHANGES[how](spoken(3)), spoken(4))]
    assert agreement_of(levels[0], levels[1]) >= RECORDINGS.bounds.copy
    assert agreement_of(levels[0], levels[2]) < RECORDINGS.bounds.by_hash


def test_planted_copies_are_found_and_nothing_else() -> None:
    plain = [spoken(seed) for seed in range(24)]
    planted = {24 + place: (place, how) for place, how in enumerate(CHANGES)}
    examples = [*plain, *(CHANGES[how](plain[place]) for place, how in planted.values()), plain[20].copy()]
    copies = find_copies(seen_of(of_arrays(examples)))
    found = {(copy.left, copy.right): copy.kind for copy in copies if copy.certain}
    assert found == {**{(place, row): "copy" for row, (place, _) in planted.items()}, (20, 28): "same bytes"}


def test_silence_is_no_copy_of_silence() -> None:
    silent = [np.zeros(8000 + 160 * number, np.int16) for number in range(5)]
    seen = seen_of(of_arrays([*silent, *(spoken(seed) for seed in range(5))]))
    assert find_copies(seen) == []


def features_of(seed: int) -> np.ndarray:
    levels = levels_of_samples(spoken(seed), RATE)
    return (levels * 60 + 100).round().astype(np.uint8)


def test_stored_features_have_copies_and_concerns_too() -> None:
    plain = [features_of(seed) for seed in range(12)]
    still = np.concatenate([np.full((40, 32), 100, np.uint8), plain[5]])
    source = of_arrays([*plain, plain[3][6:-6], still, plain[7][:20]], [*range(12), 3, 5, 7])
    assert look_of(source) is FEATURES
    contents = look_at(source)
    assert {each.what: each.rows.tolist() for each in contents.concerns} == {"too short": [14], "digital silence": [13]}
    found = find(source, contents)
    assert (3, 12) in {(copy.left, copy.right) for copy in found.copies if copy.certain}
    assert contents.formats == ("features uint8, 32 bands",)
    figures = data_figures(found, suggested_edits(found))
    assert figures["recordings"] == 15
    assert figures["frames"]["least"] == 20


def test_sets_of_different_things_are_not_compared() -> None:
    with pytest.raises(DataError, match="examples of one kind, got sound and features"):
        typical(of_arrays([spoken(0)]), of_arrays([features_of(0)]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Speakers with what is wrong in recordings, one of each."""
    pytest.importorskip("soundfile")
    root = tmp_path / "speech"
    for speaker in range(3):
        for number in range(2):
            write(root / f"s{speaker}" / f"{number}.wav", spoken(10 * speaker + number))
    write(root / "s0" / "silent.wav", np.zeros(RATE, np.int16))
    write(root / "s0" / "short.wav", spoken(50)[4000:7000])
    write(root / "s1" / "clipped.wav", (spoken(51).astype(int) * 40).clip(-32768, 32767))
    write(root / "s1" / "quiet.wav", spoken(52) // 64)
    write(root / "s2" / "head.wav", np.concatenate([np.zeros(RATE // 2, np.int16), spoken(53)]))
    (root / "s2" / "same.wav").write_bytes((root / "s2" / "0.wav").read_bytes())
    (root / "s2" / "bad.wav").write_bytes(b"RIFF no sound")
    return root


def test_the_report_on_a_folder_of_recordings(folder: Path, tmp_path: Path) -> None:
    source = open_source(folder)
    assert look_of(source) is RECORDINGS
    found = find(source, look_at(source))
    concerns = {each.what: [source.keys[row] for row in each.rows] for each in found.contents.concerns}
    assert concerns == {
        "silent": ["s0/silent.wav"],
        "too short": ["s0/short.wav"],
        "clipped": ["s1/clipped.wav"],
        "quiet": ["s1/quiet.wav"],
        "digital silence": ["s2/head.wav"],
    }
    edits = suggested_edits(found)
    actions = {edit.key: edit.action for edit in edits}
    assert actions == {
        **{"s2/bad.wav": "drop", "s2/same.wav": "drop"},
        **dict.fromkeys(["s0/silent.wav", "s0/short.wav", "s1/clipped.wav", "s1/quiet.wav"], "keep"),
    }
    write_data_report(tmp_path / "seen", "Data", found, edits, {})
    page = (tmp_path / "seen" / "report.html").read_text()
    for words in ("13 of 3 identities", "data:audio/wav;base64,", "recordings per identity", "What looks wrong"):
        assert words in page, words
    for words in ("photos", "brightness", "images", "blur"):
        assert words not in page, words


def test_stored_rates_and_channels_are_told() -> None:
    rows = np.zeros(3, RECORDINGS.columns)
    rows["readable"], rows["rate"], rows["channels"], rows["seconds"] = True, [16000, 16000, 8000], [1, 2, 1], 1
    concerns = {each.what: (each.rows.tolist(), each.act) for each in RECORDINGS.concerns(rows)}
    assert concerns == {"odd rate": ([2], False), "stereo": ([1], False)}


def test_leaks_between_recordings(tmp_path: Path) -> None:
    train = of_arrays([spoken(seed) for seed in range(14)])
    copied = CHANGES["gain"](spoken(5))
    test = of_arrays([*(spoken(100 + seed) for seed in range(6)), copied])
    spectrum = typical(train, test)
    leaks = find_leaks(seen_of(train, spectrum), seen_of(test, spectrum), names=False)
    (edit,) = [edit for edit in removal(leaks) if edit.action == "drop"]
    assert (edit.key, edit.reason) == ("005", "copy as 006 of the other set")
    write_leaks(tmp_path, leaks, removal(leaks), side="train", facts={})
    page = (tmp_path / "leaks.html").read_text()
    assert "Recordings in both sets: 1" in page
    assert "data:audio/wav;base64," in page
    assert "speakers were not compared by embedding" in page


def test_pictures_are_looked_at_as_before() -> None:
    class Pictures:
        keys = ("a",)

        def __len__(self) -> int:
            return 1

        def read(self, index: int) -> np.ndarray:
            return np.zeros((4, 4, 3), np.uint8)

    assert look_of(Pictures()) is PHOTOS


@pytest.mark.skipif(not WORDS.is_dir(), reason="the recordings are not here")
def test_words_of_real_speakers_are_no_copies_of_each_other() -> None:
    pytest.importorskip("soundfile")
    source = open_source(WORDS)
    examples = [source.read(row) for row in range(0, len(source), 12)]
    examples.append(CHANGES["later"](examples[7]))
    copies = find_copies(seen_of(of_arrays(examples)))
    assert [(copy.left, copy.right) for copy in copies if copy.certain] == [(7, len(examples) - 1)]


def test_a_wave_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "1.wav").write_bytes(wave_file(spoken(1), rate=RATE))
    contents = look_at(open_source(tmp_path))
    assert contents.rows["seconds"][0] == pytest.approx(1.2)
    assert (contents.rows["rate"][0], contents.rows["channels"][0]) == (RATE, 1)


def test_few_values_are_shown_as_they_are_and_no_two_bars_look_alike() -> None:
    rates = ranged(np.array([16_000] * 5 + [8_000]), 12)
    assert [(bar.label, bar.count) for bar in rates] == [("8,000", 1), ("16,000", 5)]
    assert [bar.label for bar in ranged(np.zeros(9, dtype=np.float32), 12, 2)] == ["0.00"]
    close = ranged(np.linspace(3.001, 3.012, 40), 12, 3)
    assert len({bar.label for bar in close}) == len(close) == 12
    assert sum(bar.count for bar in close) == 40


def test_extremes_of_equals_are_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    for number in range(4):
        write(folder / f"s{number % 2}" / f"{number}.wav", spoken(number))
    source = open_source(folder)
    found = find(source, look_at(source))
    write_data_report(tmp_path / "report", "Data", found, [], {})
    page = (tmp_path / "report" / "report.html").read_text()
    assert "shortest" not in page
    assert "longest" not in page
    assert "quietest" in page
