"""Landmarks that somebody else found: a csv, or the list that comes with LFW.

csv         a header with source and left_eye_x, left_eye_y, right_eye_x, ... right_mouth_y; further columns are left
            alone (the manifest that `angulus align` writes is such a file)
no header   path and ten numbers, separated by tabs or commas: x y of the eyes, the nose, the corners of the mouth

Paths are those of the photos relative to their folder. A photo may have several lines: several faces.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Face
from angulus.faces.templates import LANDMARKS
from angulus.tables import unescaped
from angulus.text_files import parse_rows, read_lines, slashed

COLUMNS = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")
_BROW, _CHIN, _SIDES = 0.9, 0.7, 0.8  # of the distances between landmarks: a box around all of the face


@dataclass(frozen=True, kw_only=True)
class ListedLandmarks:
    """The faces of photos by their path. Build it with `ListedLandmarks.read`."""

    path: Path
    faces: Mapping[str, tuple[Face, ...]] = field(repr=False)

    @staticmethod
    def read(path: str | Path) -> "ListedLandmarks":
        """Read a file of landmarks. Raises FacesError with the line that is wrong."""
        path = Path(path)
        lines = read_lines(path, FacesError, "file of landmarks")
        faces: dict[str, list[Face]] = defaultdict(list)
        for source, points in _rows(path, lines):
            faces[source].append(Face(box=box_around(points), landmarks=points, score=1.0))
        if not faces:
            raise FacesError(f"{path} lists no landmarks; a line is a path and ten numbers")
        return ListedLandmarks(path=path, faces={source: tuple(found) for source, found in faces.items()})

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What decides the result."""
        return {"detector": "landmarks", "file": self.path.name, "photos": len(self.faces)}

    def of(self, source: str) -> tuple[Face, ...]:
        """The faces of a photo by its path below the folder of photos; none when it is not listed."""
        return self.faces.get(source, ())


def box_around(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A box [4] around the face that five landmarks [5, 2] lie in, for choosing among faces."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    room = np.array([_SIDES, _BROW]), np.array([_SIDES, _CHIN])
    return np.concatenate([low - room[0] * side / 2, high + room[1] * side / 2]) + 0.5


def _rows(path: Path, lines: list[str]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    if not lines:
        return
    separator = "\t" if "\t" in lines[0] else ","
    rows = parse_rows(lines, path, FacesError, separator)
    places = list(range(11))
    if set(COLUMNS) <= set(lines[0].split(separator)):
        _, header = next(rows)
        if "source" not in header:
            raise FacesError(f"{path}: line 1 names the landmarks but no column source, got {lines[0]!r}")
        places = [header.index(name) for name in ("source", *COLUMNS)]
    for number, row in rows:
        yield _row(path, number, [unescaped(cell) for cell in row], places)


def _row(path: Path, number: int, row: list[str], places: list[int]) -> tuple[str, NDArray[np.float64]]:
    try:
        source, *values = (row[place] for place in places)
        points = np.array([float(value) for value in values]).reshape(5, 2)
        if not np.isfinite(points).all():
            raise ValueError
    except (ValueError, IndexError) as error:
        raise FacesError(
            f"{path}: line {number} must be a path and ten finite numbers, got {','.join(row)[:80]!r}"
        ) from error
    return slashed(source), points
