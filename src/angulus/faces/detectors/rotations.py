"""What if a photo lies on its side? The detector looks again at the photo turned by 90, 180 and 270 degrees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.faces.detectors.detection import Detector, Face, Photo

_QUARTERS = (1, 2, 3)


@dataclass(frozen=True)
class Turning:
    """Another detector, asked again with the photo turned whenever its best score is below `below`.

    Of the four ways to hold the photo the one with the best score is taken, with all of its faces, in the coordinates
    of the photo as it was.
    """

    detector: Detector
    below: float = 0.95

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What decides the result."""
        return {**self.detector.settings, "turn_below": self.below}

    def detect(self, photo: Photo) -> tuple[Face, ...]:
        """The faces on a photo [h, w, 3], highest score first."""
        best = self.detector.detect(photo)
        if _score(best) >= self.below:
            return best
        for quarters in _QUARTERS:
            turned = self.detector.detect(np.ascontiguousarray(np.rot90(photo, quarters)))
            if _score(turned) > _score(best):
                best = tuple(turned_back(face, quarters, photo.shape[:2]) for face in turned)
        return best


def turned_back(face: Face, quarters: int, shape: tuple[int, int]) -> Face:
    """A face found on `np.rot90(photo, quarters)` on the photo itself, which is `shape` (height, width)."""
    corners = places_back(face.box.reshape(2, 2), quarters, shape)
    return Face(
        box=np.concatenate([corners.min(axis=0), corners.max(axis=0)]),
        landmarks=places_back(face.landmarks + 0.5, quarters, shape) - 0.5,
        score=face.score,
        turned=90 * quarters,
    )


def places_back(points: NDArray[np.float64], quarters: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Points [n, 2], counted from the outer corner of the first pixel, turned back to the photo."""
    height, width = shape
    x, y = points[:, 0], points[:, 1]
    places = {0: (x, y), 1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[quarters % 4]
    return np.stack(places, axis=1)


def _score(faces: tuple[Face, ...]) -> float:
    return faces[0].score if faces else -1.0
