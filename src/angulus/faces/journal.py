"""What has been done in a folder of crops, so that a run that was cut off goes on where it was.

`.align.jsonl` in the folder: the first line holds the settings, then one line for each photo that is finished; a line
that was cut off counts as not written. `manifest.csv` and the lists of photos without a face and of unreadable ones are
made from it at the end.
"""

import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TextIO

from angulus.errors import FacesError
from angulus.faces.detectors.landmark_lists import COLUMNS
from angulus.json_files import parse_json
from angulus.tables import table_text

JOURNAL = ".align.jsonl"
MANIFEST = "manifest.csv"
WITHOUT_FACE = "without_face.txt"
UNREADABLE = "unreadable.txt"
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
    """What became of one photo; bytes: its size, so that a photo that was replaced is done again."""

    source: str
    bytes: int
    status: Status
    crops: tuple[Crop, ...] = ()
    problem: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


@contextmanager
def opened_journal(
    folder: Path, settings: Mapping[str, Any]
) -> Generator[tuple[dict[str, Outcome], TextIO], None, None]:
    """What is done so far by source, and the journal to add lines to; no other process may write meanwhile.

    Raises FacesError when the folder was made with other settings, or another run is writing into it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    with path.open("a+", encoding="utf-8") as file:
        _lock(file, folder)
        file.seek(0)
        done, whole = _read(file.read(), path, settings)
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"settings": dict(settings)}) + "\n" + "".join(whole))
        file.flush()
        yield done, file


def _read(text: str, path: Path, settings: Mapping[str, Any]) -> tuple[dict[str, Outcome], list[str]]:
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if not lines:
        return {}, []
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
    return {outcome.source: outcome for outcome in outcomes}, lines[1:]


def _outcome(values: dict[str, Any]) -> Outcome:
    crops = []
    for crop in values["crops"]:
        numbers: dict[str, Any] = {name: tuple(crop[name]) for name in ("box", "landmarks")}
        crops.append(Crop(**{**crop, **numbers}))
    whole: dict[str, Any] = {**values, "crops": tuple(crops)}
    return Outcome(**whole)


def _lock(file: TextIO, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on this system: two runs at once are the user's care
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise FacesError(f"another run is writing crops into {folder}; wait for it or name another folder") from error


def write_results(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """manifest.csv with a row for each crop, and the two lists of photos; each whole or not at all."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.source)
    crops = [_row(outcome.source, crop) for outcome in ordered for crop in outcome.crops]
    write_whole(folder / MANIFEST, table_text([[*_COLUMNS, *COLUMNS], *crops]).encode())
    for name, status in ((WITHOUT_FACE, "no face"), (UNREADABLE, "unreadable")):
        lines = [f"{outcome.source}\t{outcome.problem}".strip() for outcome in ordered if outcome.status == status]
        write_whole(folder / name, "".join(f"{line}\n" for line in lines).encode())


_COLUMNS = ("path", "identity", "source", "left", "top", "right", "bottom", "score", "turned", "faces", "chosen")
_COLUMNS += ("misfit", "scale")


def _row(source: str, crop: Crop) -> list[Any]:
    fixed = [f"{value:.3f}" for value in crop.box]
    identity = PurePosixPath(source).parent.name
    known = [f"{crop.score:.5f}", crop.turned, crop.faces, crop.chosen, f"{crop.misfit:.4f}", f"{crop.scale:.4f}"]
    return [crop.path, identity, source, *fixed, *known, *(f"{value:.3f}" for value in crop.landmarks)]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises FacesError when it can't be."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise FacesError(
            f"{path} could not be written: {error.strerror or error}; what is finished is kept, "
            "make room and give the same command again"
        ) from error
