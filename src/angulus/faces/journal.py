"""What has been done in a folder of crops, so that a run that was cut off goes on where it was.

`.align.jsonl` in the folder: the first line holds the settings, then one line for each photo that is finished; a line
that was cut off counts as not written. `manifest.csv` and the lists of photos without a face and of unreadable ones are
made from it at the end.

A photo is done again when its size, or its times and its checksum, are others than in its line. Crops of photos that
are gone, or that another photo has taken the place of, are moved to `.gone/` under their names, where no reader of the
folder looks, and listed in gone.txt.
"""

import json
import os
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TextIO

from angulus.errors import FacesError
from angulus.faces.detectors.landmark_lists import COLUMNS
from angulus.folder_locks import locked
from angulus.json_files import parse_json
from angulus.tables import table_text
from angulus.text_files import printable, read_text
from angulus.whole_files import clear_partials, partial_of, reason_of, remedy_of

JOURNAL = ".align.jsonl"
MANIFEST = "manifest.csv"
WITHOUT_FACE = "without_face.txt"
UNREADABLE = "unreadable.txt"
IGNORED = "ignored.txt"
GONE = ".gone"
GONE_LIST = "gone.txt"
Status = Literal["aligned", "no face", "unreadable"]


@dataclass(frozen=True, kw_only=True)
class Crop:
    """One crop: path below the folder of crops, and the face it shows as found on the photo.

    box: left, top, right, bottom. landmarks: ten numbers, x y of each. turned: degrees by which the photo was turned.
    misfit: see `similarity.misfit`. scale: pixels of the crop per pixel of the photo.
    """

    path: str
    box: tuple[float, ...]
    landmarks: tuple[float, ...]
    score: float
    turned: int
    faces: int
    chosen: str
    misfit: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one photo; bytes, modified, changed (nanoseconds) and checksum tell one that was replaced."""

    source: str
    bytes: int
    status: Status
    crops: tuple[Crop, ...] = ()
    problem: str = ""
    modified: int = 0
    changed: int = 0
    checksum: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


@contextmanager
def opened_journal(
    folder: Path, settings: Mapping[str, Any], sources: Collection[str]
) -> Generator[tuple[dict[str, Outcome], TextIO], None, None]:
    """What is done so far by source, and the journal to add lines to; no other process may write meanwhile.

    sources: the photos that there are; crops of others are moved away, and their lines are dropped.
    Raises FacesError when the folder was made with other settings, or another run is writing into it.
    """
    with locked(folder, FacesError, "writing crops into"):
        clear_partials(folder)
        path = folder / JOURNAL
        text = read_text(path, FacesError, "journal of crops") if path.exists() else ""
        done = _read(text, path, settings)
        for source in [source for source in done if source not in sources]:
            move_away(folder, done.pop(source).crops)
        lines = [json.dumps({"settings": dict(settings)}) + "\n", *(outcome.line() for outcome in done.values())]
        write_whole(path, "".join(lines).encode())
        with path.open("a", encoding="utf-8") as file:
            yield done, file


def add_line(journal: TextIO, outcome: Outcome) -> None:
    """Add what became of a photo. Raises FacesError where the disk is full."""
    try:
        journal.write(outcome.line())
        journal.flush()
    except OSError as error:
        raise FacesError(
            f"{journal.name} could not be written: {reason_of(error)}; what is finished is kept, "
            f"{remedy_of(error)} and give the same command again"
        ) from error


def move_away(folder: Path, crops: Iterable[Crop]) -> None:
    """Move crops that show no photo any more to where no reader looks."""
    for crop in crops:
        if (folder / crop.path).is_file():
            (folder / GONE / crop.path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / crop.path, folder / GONE / crop.path)


def gone_crops(folder: Path) -> list[str]:
    """The crops that were moved away, by their names before."""
    return sorted(path.relative_to(folder / GONE).as_posix() for path in (folder / GONE).rglob("*") if path.is_file())


def _read(text: str, path: Path, settings: Mapping[str, Any]) -> dict[str, Outcome]:
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if not lines:
        return {}
    try:
        before = dict(parse_json(lines[0])["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise FacesError(f"{path} is damaged ({error}); remove it to do all photos again") from error
    wanted = parse_json(json.dumps(dict(settings)))
    other = sorted(name for name in {*before, *wanted} if before.get(name) != wanted.get(name))
    if other:
        shown = ", ".join(f"{name} was {before.get(name)!r} and is {wanted.get(name)!r}" for name in other)
        raise FacesError(f"{path.parent} holds crops made with other settings ({shown}); name another folder")
    try:
        outcomes = [_outcome(parse_json(line)) for line in lines[1:]]
    except (ValueError, KeyError, TypeError) as error:
        raise FacesError(f"{path} is damaged ({error}); remove it to do all photos again") from error
    return {outcome.source: outcome for outcome in outcomes}


def _outcome(values: dict[str, Any]) -> Outcome:
    crops = []
    for crop in values["crops"]:
        numbers: dict[str, Any] = {name: tuple(crop[name]) for name in ("box", "landmarks")}
        crops.append(Crop(**{**crop, **numbers}))
        place = PurePosixPath(crop["path"])
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"{crop['path']!r:.60} lies in another folder")
    whole: dict[str, Any] = {**values, "crops": tuple(crops)}
    return Outcome(**whole)


def write_results(folder: Path, outcomes: Sequence[Outcome], ignored: Sequence[str] = ()) -> None:
    """manifest.csv with a row for each crop, and the lists of photos and of ignored files; each whole or not at all."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.source)
    crops = [_row(outcome.source, crop) for outcome in ordered for crop in outcome.crops]
    write_whole(folder / MANIFEST, table_text([[*_COLUMNS, *COLUMNS], *crops]).encode())
    for name, status in ((WITHOUT_FACE, "no face"), (UNREADABLE, "unreadable")):
        lines = [f"{outcome.source}\t{outcome.problem}".strip() for outcome in ordered if outcome.status == status]
        write_list(folder / name, lines)
    if ignored or (folder / IGNORED).exists():
        write_list(folder / IGNORED, ignored)
    gone = gone_crops(folder)
    if gone:
        write_list(folder / GONE_LIST, gone)


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write a list for people to read, in which names that are not UTF-8 may stand."""
    write_whole(path, printable("".join(f"{line}\n" for line in lines)).encode())


_COLUMNS = ("path", "identity", "source", "left", "top", "right", "bottom", "score", "turned", "faces", "chosen")
_COLUMNS += ("misfit", "scale")


def _row(source: str, crop: Crop) -> list[Any]:
    fixed = [f"{value:.3f}" for value in crop.box]
    above = PurePosixPath(source).parts[:-1]
    identity = above[0] if above else ""  # as a folder of people is read: an inner folder is no person
    known = [f"{crop.score:.5f}", crop.turned, crop.faces, crop.chosen, f"{crop.misfit:.4f}", f"{crop.scale:.4f}"]
    return [crop.path, identity, source, *fixed, *known, *(f"{value:.3f}" for value in crop.landmarks)]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises FacesError when it can't be."""
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # it may be a link that somebody laid there
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise FacesError(
            f"{path} could not be written: {reason_of(error)}; what is finished is kept, "
            f"{remedy_of(error)} and give the same command again"
        ) from error
