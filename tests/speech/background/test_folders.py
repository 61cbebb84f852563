"""Files of MUSAN and RIRS_NOISES are known by the names of their folders; of any other folder all are taken."""

from pathlib import Path

import pytest

from angulus.errors import DataError
from angulus.speech.background.folders import Sounds, response_files

RIRS = (
    "RIRS_NOISES/pointsource_noises/noise-free-sound-0000.wav",
    "RIRS_NOISES/real_rirs_isotropic_noises/RVB2014_type1_noise_largeroom1_1.wav",
    "RIRS_NOISES/real_rirs_isotropic_noises/RVB2014_type1_rir_largeroom1_far_angla.wav",
    "RIRS_NOISES/real_rirs_isotropic_noises/air_type1_air_binaural_stairway_1_1.wav",
    "RIRS_NOISES/simulated_rirs/largeroom/Room001/Room001-00001.wav",
)


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


@pytest.mark.parametrize("begin", [".", "RIRS_NOISES"])
def test_noises_and_responses_of_rirs_noises(tmp_path: Path, begin: str) -> None:
    put(tmp_path, *RIRS)
    assert names(response_files(tmp_path / begin)) == [name.split("/")[-1] for name in RIRS[2:]]
    assert names(Sounds.below(tmp_path / begin).noises) == [name.split("/")[-1] for name in RIRS[1::-1]][::-1]


def test_one_folder_of_a_collection(tmp_path: Path) -> None:
    put(tmp_path, *RIRS)
    home = tmp_path / "RIRS_NOISES"
    assert len(response_files(home / "simulated_rirs")) == 1
    assert len(Sounds.below(home / "pointsource_noises").noises) == 1
    with pytest.raises(DataError, match="room responses, and has noises alone; give it as noises"):
        response_files(home / "pointsource_noises")
    with pytest.raises(DataError, match="noises, and has room responses alone; give it as rooms"):
        Sounds.below(home / "simulated_rirs")


def test_kinds_of_musan(tmp_path: Path) -> None:
    put(tmp_path, "noise/free-sound/a.wav", "music/fma/b.wav", "speech/librivox/c.wav", "README", "noise/ANNOTATIONS")
    found = Sounds.below(tmp_path)
    assert [names(getattr(found, kind)) for kind in ("noises", "music", "voices")] == [["a.wav"], ["b.wav"], ["c.wav"]]


def test_other_folders_are_taken_whole(tmp_path: Path) -> None:
    put(tmp_path, "street/a.flac", "office.ogg", "notes.txt")
    assert names(Sounds.below(tmp_path).noises) == names(response_files(tmp_path)) == ["office.ogg", "a.flac"]


def test_a_folder_without_sounds_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt")
    for read in (Sounds.below, response_files):
        with pytest.raises(DataError, match="must hold sound files"):
            read(tmp_path)
        with pytest.raises(DataError, match="must be a folder of sound files"):
            read(tmp_path / "none")
