"""The detector of libfacedetection (YuNet family), compiled into the package `yuface`; wheels up to Python 3.11.

It gives whole-number coordinates, so small photos are enlarged before it looks: that makes the rounding finer and finds
smaller faces. Large ones are shrunk, as it was made for pictures of up to 960 pixels.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Face, Photo, best_first

_MOST_SIDE = 960


@dataclass(frozen=True, kw_only=True)
class YufaceOptions:
    """side: the longer side of the photo, pixels, as the detector sees it (up to 960). score: least score, 0 to 1.

    enlarge: photos are made larger by no more than this.
    """

    side: int = 960
    score: float = 0.6
    enlarge: float = 3.0

    def __post_init__(self) -> None:
        if not 32 <= self.side <= _MOST_SIDE:
            raise FacesError(f"side must lie in 32 to {_MOST_SIDE} pixels for yuface, got {self.side}")
        if not 0 <= self.score < 1:
            raise FacesError(f"score must lie in 0 to 1, got {self.score:g}")
        if self.enlarge < 1:
            raise FacesError(f"enlarge must be at least 1, got {self.enlarge:g}")


class Yuface:
    """find: BGR [h, w, 3] and the least score to scores [n] in percent, boxes [n, 4] (x, y, w, h), landmarks [n, 10].

    Left out, that of the installed package.
    """

    def __init__(self, options: YufaceOptions | None = None, *, find: Callable[..., Any] | None = None) -> None:
        self.options = options or YufaceOptions()
        self._find = find or _installed()

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What decides the result."""
        return {"detector": "yuface", **asdict(self.options)}

    def detect(self, photo: Photo) -> tuple[Face, ...]:
        """The faces on a photo [h, w, 3], highest score first."""
        height, width = photo.shape[:2]
        scale = min(self.options.side / max(height, width), self.options.enlarge)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        seen = (
            photo
            if size == (width, height)
            else np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR))
        )
        scores, boxes, points = self._find(np.ascontiguousarray(seen[:, :, ::-1]), conf=self.options.score)
        ratio = np.array([width / size[0], height / size[1]])
        faces = []
        for score, box, landmarks in zip(scores, boxes, points, strict=True):
            corners = np.array([box[:2], box[:2] + box[2:]], dtype=np.float64) * ratio
            places = (np.asarray(landmarks, dtype=np.float64).reshape(5, 2) + 0.5) * ratio - 0.5
            faces.append(Face(box=corners.ravel(), landmarks=places, score=float(score) / 100))
        return best_first(faces)


def _installed() -> Callable[..., Any]:
    try:
        yuface = import_module("yuface")
    except ImportError as error:
        raise FacesError(
            "the detector yuface is not installed: pip install yuface (it has wheels up to Python 3.11; "
            'on later ones take mtcnn: pip install "angulus[detect]")'
        ) from error
    return yuface.detect
