"""MSMT17: lists of images by person, whose names say the camera and the time of day.

    list_train.txt, list_val.txt        0000/0000_000_01_0303morning_0015_0.jpg 0       below train/
    list_query.txt, list_gallery.txt    the same, of other people                       below test/

A name says the person, the image's number, the camera, date and time, and more. Wei et al., "Person Transfer GAN to
Bridge Domain Gap for Person Re-Identification", CVPR 2018. Its second version has mask_train_v2 and mask_test_v2 for
train and test. People of both halves are numbered from 0; those of test are called test-0000 here, as they are others.
"""

import re
from pathlib import Path

from angulus.data.formats.file_places import outside
from angulus.data.formats.label_names import check_unique, labelled
from angulus.data.formats.manifest.reader import ManifestRecords
from angulus.errors import DataError
from angulus.text_files import read_lines

TRAIN, QUERY, GALLERY = "list_train.txt", "list_query.txt", "list_gallery.txt"
_HALVES = {TRAIN: "train", "list_val.txt": "train", QUERY: "test", GALLERY: "test"}
_LINE = re.compile(r"(\S+\.jpg)\s+(\d+)")
_NAME = re.compile(r"\d+_\d+_(\d+)_(\d+)([a-z]+)_.*\.jpg")


def is_msmt17(path: Path) -> bool:
    """Whether a folder is the set, or a file one of its lists."""
    folder = path if path.is_dir() else path.parent
    return (path.is_dir() or path.name in _HALVES) and (folder / QUERY).is_file() and (folder / GALLERY).is_file()


def open_msmt17(path: str | Path) -> ManifestRecords:
    """The images of a list, each with its camera, date and time of day; of the whole set those of list_train.txt.

    Raises DataError naming the list and the line of what is not as it must be.
    """
    path = Path(path)
    file = path if path.name in _HALVES else path / TRAIN
    half = _half(file)
    before = "test-" if _HALVES[file.name] == "test" else ""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for number, line in enumerate(read_lines(file, DataError, "list"), start=1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line.strip())
        name = None if parts is None else _NAME.fullmatch(parts[1].rpartition("/")[2])
        if parts is None or name is None:
            raise DataError(
                f"{file}, line {number} must be an image and the number of its person, such as "
                f"0000/0000_000_01_0303morning_0015_0.jpg 0, got {line.strip()[:80]!r}"
            )
        if parts[1] in found:
            raise DataError(f"{file}, line {number}: {parts[1]} is there twice")
        person = f"{int(parts[2]):04d}"
        person = f"{int(parts[2]):04d}"
        camera, *when = name.groups()
        found[parts[1]] = (f"{before}{person}", (str(int(camera)), *when))
    if not found:
        raise DataError(f"{file} lists no image")
    if elsewhere := outside(half, list(found)):
        raise DataError(f"{file} must name images below {half}, got {elsewhere[0]!r}; do not use this set")
    labels, identities = labelled(str(file), None, [person for person, _ in found.values()])
    keys = [f"{half.name}/{name}" for name in found]
    check_unique(str(file), keys)
    columns = {
        name: [parts[place] for _, parts in found.values()] for place, name in enumerate(("camera", "date", "time"))
    }
    return ManifestRecords(
        path=file, root=half, files=list(found), labels=labels, identities=identities, keys=keys, columns=columns
    )


def _half(file: Path) -> Path:
    """The folder below which the images of a list lie."""
    name = _HALVES[file.name]
    known = (file.parent / name, file.parent / f"mask_{name}_v2")
    return next((folder for folder in known if folder.is_dir()), known[0])
