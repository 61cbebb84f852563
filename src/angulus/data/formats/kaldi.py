"""Kaldi's lists: a folder with wav.scp, which names the recordings, and utt2spk or spk2utt, which says who speaks.

    wav.scp     id10001-00001 wav/id10001/00001.wav        utt2spk     id10001-00001 id10001
                                                           spk2utt     id10001 id10001-00001 id10001-00002 ...

Paths are meant from the folder of the lists, or absolute. An entry that is a command (it ends with "|") is refused and
never run, and so are a place in an archive ("raw.ark:12") and a folder with `segments`, whose parts of recordings are
not cut here.
"""

import re
from pathlib import Path

from angulus.data.formats.file_places import is_fetched, outside
from angulus.data.formats.label_names import check_unique, labelled
from angulus.data.formats.manifest.reader import ManifestRecords
from angulus.errors import DataError
from angulus.text_files import read_lines

LIST = "wav.scp"
_IN_ARCHIVE = re.compile(r"\.ark(:\d+)?(\[.*\])?$")


def is_kaldi(folder: Path) -> bool:
    """Whether a folder holds Kaldi's lists."""
    return (folder / LIST).is_file()


def open_kaldi(path: str | Path) -> ManifestRecords:
    """The recordings of a folder of lists. Raises DataError naming file and line for what is not as it must be."""
    folder = Path(path).parent if Path(path).name == LIST else Path(path)
    if (folder / "segments").exists():
        raise DataError(
            f"{folder / 'segments'} cuts recordings into parts, which is not read here; cut the files first"
        )
    if not (folder / LIST).exists() and (folder / "feats.scp").exists():
        raise DataError(f"{folder} has feats.scp, whose archives of features are not read; name recordings in {LIST}")
    files = _pairs(folder / LIST)
    speakers = _speakers(folder)
    for number, (key, file) in enumerate(files.items(), start=1):
        if file.endswith("|"):
            raise DataError(
                f"{folder / LIST}: {key} is a command ({file[:60]}), which is never run; write the recordings to files "
                "and name these"
            )
        if _IN_ARCHIVE.search(file):
            raise DataError(
                f"{folder / LIST}: {key} lies in an archive ({file[:60]}), and archives are not read; write each "
                f"recording to a file, as with wav-copy {file[:60]} {key[:60]}.wav, and name these"
            )
        if key not in speakers:
            raise DataError(f"{folder / LIST}, entry {number}: {key} has no speaker in utt2spk or spk2utt")
    elsewhere = outside(folder, list(files.values()))
    if elsewhere and is_fetched(folder):
        raise DataError(f"{folder} is a fetched set and must name files in its own folder, got {elsewhere[0]!r}")
    keys = list(files)
    check_unique(str(folder), keys)
    labels, identities = labelled(str(folder), None, [speakers[key] for key in keys])
    return ManifestRecords(
        path=folder / LIST, root=folder, files=list(files.values()), labels=labels, identities=identities, keys=keys
    )


def _speakers(folder: Path) -> dict[str, str]:
    """Who speaks in each recording."""
    if (folder / "utt2spk").is_file():
        return _pairs(folder / "utt2spk")
    if not (folder / "spk2utt").is_file():
        raise DataError(f"{folder} must hold utt2spk or spk2utt beside {LIST}, which say who speaks")
    found: dict[str, str] = {}
    for speaker, recordings in _pairs(folder / "spk2utt").items():
        for recording in recordings.split():
            found[recording] = speaker
    return found


def _pairs(path: Path) -> dict[str, str]:
    """A list of "name rest of the line"."""
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(path, DataError, "list"), start=1):
        parts = line.split(None, 1)
        if not parts:
            continue
        if len(parts) == 1:
            raise DataError(f"{path}, line {number} must have a name and what belongs to it, got {line.strip()[:60]!r}")
        name, rest = parts[0], parts[1].strip()
        if name in found:
            raise DataError(f"{path}, line {number}: {name} is there twice")
        found[name] = rest
    if not found:
        raise DataError(f"{path} lists nothing")
    return found
