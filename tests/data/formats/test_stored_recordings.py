"""Recordings in every layout: found, decoded, converted and read back, in whole and in part; lists of Kaldi."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from angulus.data import FolderSource, account_of, convert, open_source
from angulus.data.formats.kaldi import open_kaldi
from angulus.data.loading.contents import Pictures, Recordings
from angulus.data.parts import read_part
from angulus.errors import DataError
from angulus.speech.wave_files import wave_file

pytest.importorskip("soundfile")


def samples(seed: int, count: int = 4000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3000, 3000, count).astype(np.int16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three speakers, in the layout of VoxCeleb."""
    for number, name in enumerate(("id1/a/1.wav", "id1/b/1.wav", "id2/a/1.wav", "id3/c/9.wav")):
        file = tmp_path / "speech" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(wave_file(samples(number), rate=16_000))
    return tmp_path / "speech"


def test_a_folder_of_speakers(folder: Path) -> None:
    source = open_source(folder)
    assert isinstance(source, FolderSource)
    assert source.content == Recordings()
    assert list(source.identities) == ["id1", "id2", "id3"]
    assert source.keys == ["id1/a/1.wav", "id1/b/1.wav", "id2/a/1.wav", "id3/c/9.wav"]
    np.testing.assert_array_equal(source.read(1), samples(1))
    np.testing.assert_array_equal(read_part(source, 2, 0.5, 100), samples(2)[1950:2050])
    assert account_of(source).lines() == [f"{folder}: 4 recordings of 3 identities"]


def test_a_folder_of_pictures_or_recordings_that_should_hold_the_other(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 3 folders in .* holds an image, only 4 .wav"):
        FolderSource.open(folder, content=Pictures())
    (tmp_path / "photos" / "ada").mkdir(parents=True)
    (tmp_path / "photos" / "ada" / "1.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds a recording, only 1 .jpg; expected one sub-folder per speaker"):
        FolderSource.open(tmp_path / "photos", content=Recordings())


@pytest.mark.parametrize("suffix", ["", ".packed", ".tar", ".parquet", ".csv"])
def test_every_layout_gives_the_same_samples(folder: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    convert(open_source(folder), target)
    found = open_source(target)
    assert account_of(found).noun == "recording"
    assert list(found.identities) == ["id1", "id2", "id3"]
    for row in range(4):
        np.testing.assert_array_equal(found.read(row), samples(row))
        np.testing.assert_array_equal(read_part(found, row, 0.99, 64), read_part(open_source(folder), row, 0.99, 64))


def test_a_rec_holds_images(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a .rec holds images, not recordings"):
        convert(open_source(folder), tmp_path / "out.rec")


def test_shards_of_wespeaker(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for number, speaker in enumerate(("zoe", "ada", "zoe")):
            for name, content in (
                (f"u{number}.spk", speaker.encode()),
                (f"u{number}.wav", wave_file(samples(number), rate=16_000)),
            ):
                head = tarfile.TarInfo(name)
                head.size = len(content)
                archive.addfile(head, BytesIO(content))
    source = open_source(tmp_path / "shard.tar")
    assert list(source.identities) == ["ada", "zoe"]
    assert source.labels.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(source.read(2), samples(2))


def kaldi(folder: Path, **lists: str) -> Path:
    for name, text in lists.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_lists_of_kaldi(folder: Path) -> None:
    kaldi(folder, wav_scp="u1 id1/a/1.wav\nu2\tid2/a/1.wav\n\nu3 id1/b/1.wav\n", utt2spk="u1 one\nu2 two\nu3 one\n")
    source = open_source(folder)
    assert (list(source.keys), list(source.identities)) == (["u1", "u2", "u3"], ["one", "two"])
    assert source.labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(source.read(1), samples(2))
    (folder / "utt2spk").unlink()
    kaldi(folder, spk2utt="one u1 u3\ntwo u2\n")
    assert open_source(folder / "wav.scp").labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (
            {"wav_scp": "u1 touch ran |\n", "utt2spk": "u1 one\n"},
            r"u1 is a command \(touch ran \|\), which is never run",
        ),
        (
            {"wav_scp": "u1 raw.ark:12\n", "utt2spk": "u1 one\n"},
            r"u1 lies in an archive \(raw.ark:12\), and archives are not read; write .* wav-copy raw.ark:12 u1.wav",
        ),
        ({"wav_scp": "u1 /a/raw.1.ark:12[0:9]\n", "utt2spk": "u1 one\n"}, "u1 lies in an archive"),
        ({"feats_scp": "u1 raw.ark:12\n", "utt2spk": "u1 one\n"}, "has feats.scp, whose archives"),
        ({"wav_scp": "u1 a.wav\n"}, "must hold utt2spk or spk2utt"),
        ({"wav_scp": "u1 a.wav\n", "utt2spk": "u2 one\n"}, "u1 has no speaker"),
        ({"wav_scp": "u1\n", "utt2spk": "u1 one\n"}, "line 1 must have a name"),
        ({"wav_scp": "u1 a.wav\nu1 b.wav\n", "utt2spk": "u1 one\n"}, "line 2: u1 is there twice"),
        ({"wav_scp": "\n", "utt2spk": "u1 one\n"}, "lists nothing"),
        ({"wav_scp": "u1 a.wav\n", "utt2spk": "u1 one\n", "segments": "s u1 0 1\n"}, "cuts recordings into parts"),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, lists: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_kaldi(kaldi(tmp_path, **lists))
    assert not (tmp_path / "ran").exists()


def test_a_manifest_of_recordings(folder: Path, tmp_path: Path) -> None:
    (folder / "list.csv").write_text("path,identity\nid1/a/1.wav,one\nid2/a/1.wav,two\n")
    source = open_source(folder / "list.csv")
    np.testing.assert_array_equal(source.read(1), samples(2))
    assert json.dumps(account_of(source).as_dict())
