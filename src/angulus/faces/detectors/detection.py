"""What a detector is: a photo in, the faces on it out, each with a box, five landmarks and a score.

Coordinates are pixels of the photo; landmarks name pixel centres (see `templates`), boxes name the outer edges of the
pixels, so that the box of a whole photo is (0, 0, width, height).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
"""[height, width, 3], RGB, 0 to 255."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """One face on a photo: box [4] (left, top, right, bottom), landmarks [5, 2] (x, y) as in `LANDMARKS`, score 0 to 1.

    turned: degrees counterclockwise by which the photo had been turned when the face was found.
    """

    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    score: float
    turned: int = 0

    @property
    def side(self) -> float:
        """The longer side of the box in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    @property
    def centre(self) -> NDArray[np.float64]:
        """The middle of the box [2], pixel edges."""
        return (self.box[:2] + self.box[2:]) / 2


class Detector(Protocol):
    """Finds faces; `settings` are plain values that say how, and change whenever the result would."""

    @property
    def settings(self) -> dict[str, str | int | float | bool]: ...

    def detect(self, photo: Photo) -> tuple[Face, ...]:
        """The faces on a photo, highest score first."""
        ...


def keep_apart(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    overlap: float,
    *,
    of: Literal["union", "smaller"] = "union",
) -> NDArray[np.int64]:
    """Rows of boxes [n, 4] that are left when of two that overlap the one with the lower score goes; best first.

    overlap: the shared area above which two boxes are one face, as a share of their union or of the smaller one.
    """
    order = np.argsort(-scores, kind="stable")
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        sides = np.minimum(boxes[rest, 2:], boxes[best, 2:]) - np.maximum(boxes[rest, :2], boxes[best, :2])
        shared = np.prod(np.maximum(sides, 0.0), axis=1)
        whole = areas[rest] + areas[best] - shared if of == "union" else np.minimum(areas[rest], areas[best])
        order = rest[shared <= overlap * whole]
    return np.array(kept, dtype=np.int64)


def best_first(faces: Sequence[Face]) -> tuple[Face, ...]:
    """Faces by falling score; equal scores from left to right."""
    return tuple(sorted(faces, key=lambda face: (-face.score, face.box[0], face.box[1])))
