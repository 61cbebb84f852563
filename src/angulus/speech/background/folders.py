"""Which files below a folder are noise, music, speech or room responses? By the names that the field's collections use.

MUSAN (Snyder et al., 2015; OpenSLR 17)         noise/ music/ speech/
RIRS_NOISES (Ko et al., 2017; OpenSLR 28)       simulated_rirs/                 responses
                                                pointsource_noises/             noises
                                                real_rirs_isotropic_noises/     noises where _noise_ is in the name
any other                                       all noises, or all responses
"""

from dataclasses import dataclass, field
from pathlib import Path

from angulus.errors import DataError
from angulus.speech.recordings import EXTENSIONS

_SIMULATED, _NOISES, _MIXED = "simulated_rirs", "pointsource_noises", "real_rirs_isotropic_noises"


@dataclass(frozen=True, kw_only=True)
class Sounds:
    """Files of each kind, each in the order of their paths."""

    noises: list[Path] = field(default_factory=list)
    music: list[Path] = field(default_factory=list)
    voices: list[Path] = field(default_factory=list)

    @classmethod
    def below(cls, folder: Path) -> "Sounds":
        """Raises DataError where there are no noises, no music and no speech."""
        found = [path for path in _sound_files(folder) if not _is_response(path, folder)]
        if not found:
            raise DataError(f"{folder} must hold noises, and has room responses alone; give it as rooms")
        kinds = {path: _kind(path, folder) for path in found}
        return cls(**{name: [path for path in found if kinds[path] == name] for name in ("noises", "music", "voices")})


def response_files(folder: Path) -> list[Path]:
    """The files of room responses below a folder. Raises DataError where there are none."""
    found = [path for path in _sound_files(folder) if not _is_noise(path, folder)]
    if not found:
        raise DataError(f"{folder} must hold room responses, and has noises alone; give it as noises")
    return found


def _parts(path: Path, folder: Path) -> tuple[str, ...]:
    """Folders between, the name of the folder itself before them: it may be one of a collection's."""
    return (folder.name, *path.relative_to(folder).parts[:-1])


def _kind(path: Path, folder: Path) -> str:
    within = _parts(path, folder)
    return "voices" if "speech" in within else "music" if "music" in within else "noises"


def _is_noise(path: Path, folder: Path) -> bool:
    """Whether a file of RIRS_NOISES is no response."""
    parts = _parts(path, folder)
    return _NOISES in parts or (_MIXED in parts and "noise" in path.stem.split("_"))


def _is_response(path: Path, folder: Path) -> bool:
    """Whether a file of RIRS_NOISES is no noise."""
    parts = _parts(path, folder)
    return _SIMULATED in parts or (_MIXED in parts and "noise" not in path.stem.split("_"))


def _sound_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} must be a folder of sound files; it is not there, or no folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
    if not found:
        raise DataError(f"{folder} must hold sound files ({', '.join(sorted(EXTENSIONS))}); none is below it")
    return found
