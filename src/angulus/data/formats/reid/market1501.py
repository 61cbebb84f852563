"""Market-1501: flat folders of images whose names say the person, the camera, the sequence and the frame.

    bounding_box_train/0002_c1s1_000451_03.jpg      person 2, camera 1, sequence 1, frame 451, box 3
    query/0001_c1s1_001051_00.jpg                   what is searched for
    bounding_box_test/-1_c1s1_000401_03.jpg         -1 is junk that counts for nothing; 0000 is a distractor

Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015. Numbers of people are unique over its parts.
"""

import re
from pathlib import Path

from angulus.data.formats.label_names import labelled
from angulus.data.formats.manifest.reader import ManifestRecords
from angulus.errors import DataError

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
_NAME = re.compile(r"(-?\d+)_c(\d+)s(\d+)_(\d+)_(\d+)\.jpg(\.jpg)?")  # some copies have the suffix twice


def is_market1501(path: Path) -> bool:
    """Whether a folder is the set, or one of its parts."""
    if not path.is_dir():
        return False
    if (path / GALLERY).is_dir() and ((path / QUERY).is_dir() or (path / TRAIN).is_dir()):
        return True
    return path.name in (TRAIN, QUERY, GALLERY) and any(_NAME.fullmatch(entry.name) for entry in path.glob("*.jpg"))


def open_market1501(path: str | Path) -> ManifestRecords:
    """The images of a part, each with its camera and sequence; of the whole set those to train on, without -1 and 0000.

    Raises DataError for a folder without such images, and for an image (.jpg) of another name.
    """
    path = Path(path)
    folder = path / TRAIN if (path / TRAIN).is_dir() else path
    files = sorted(entry.name for entry in folder.glob("*.jpg")) if folder.is_dir() else []
    if not files:
        raise DataError(
            f"{path} must be Market-1501's folder, which holds {TRAIN}, {QUERY} and {GALLERY}, or one of these with "
            "its images, and no .jpg is there"
        )
    names = {file: _NAME.fullmatch(file) for file in files}
    odd = next((file for file, name in names.items() if name is None), None)
    if odd is not None:
        raise DataError(
            f"{folder / odd} must have a name such as 0002_c1s1_000451_03.jpg (person, camera, sequence, frame, box); "
            "take it out of the folder"
        )
    found = {file: name.groups() for file, name in names.items() if name is not None}
    if folder.name == TRAIN:
        found = {file: parts for file, parts in found.items() if int(parts[0]) > 0}
    labels, identities = labelled(str(folder), None, [parts[0] for parts in found.values()])
    return ManifestRecords(
        path=folder,
        root=folder,
        files=list(found),
        labels=labels,
        identities=identities,
        keys=[f"{folder.name}/{file}" for file in found],
        columns={name: [parts[place] for parts in found.values()] for place, name in ((1, "camera"), (2, "sequence"))},
    )
