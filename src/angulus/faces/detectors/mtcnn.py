"""Where are the faces on a photo? The published MTCNN cascade with its published weights.

1. The photo is shrunk step by step (a pyramid) until its shorter side has 12 pixels; P-Net looks at every 12x12 window
   of every step, 2 pixels apart. 2. What looks like a face is cut out of the photo, 24x24, and R-Net throws most of it
away and moves the corners of the rest. 3. O-Net does the same on 48x48 and gives five landmarks. After each stage, of
boxes that overlap only the best is kept.

The published cascade ends there. With `average` (ours) O-Net looks at each face six times more: at the final box and at
boxes 10 and 20 % smaller, as they are and mirrored; the mean of the landmarks is nearer to the truth
(benchmarks/alignment.py has the figures).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Face, Photo, best_first, keep_apart

_WINDOW = 12  # side of what P-Net sees
_STRIDE = 2
_MOST_CROPS = 512  # in one pass
_LOOKS = (-0.2, -0.1, 0.0)  # how much larger than its box a face is cut out, each time
_MIRRORED = [1, 0, 2, 4, 3]
Boxes = NDArray[np.float64]
Images = NDArray[np.float32]
Network = Callable[[Images], Sequence[NDArray[np.float32]]]
"""Prepared images float32 [n, 3, h, w] to the outputs of one of the three networks, in the order of the papers."""


@dataclass(frozen=True, kw_only=True)
class MtcnnOptions:
    """min_face: smallest face to look for, pixels of the photo. thresholds: least score after each of the three stages.

    step: size of each level of the pyramid relative to the one before. average: landmarks are the mean of several
    looks. most: only so many of the best candidates go on from the first stage.
    """

    min_face: float = 40.0
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    step: float = 0.709
    average: bool = True
    most: int = 2000

    def __post_init__(self) -> None:
        if not self.min_face >= _WINDOW:
            raise FacesError(f"min_face must be at least {_WINDOW} pixels, got {self.min_face:g}")
        if not all(0 <= threshold < 1 for threshold in self.thresholds):
            raise FacesError(f"thresholds must lie in 0 to 1, got {self.thresholds}")
        if not 0.3 <= self.step < 1:
            raise FacesError(f"step must lie in 0.3 to 1, got {self.step:g}")


class Mtcnn:
    """The cascade. networks: pnet, rnet, onet, in any runtime (`mtcnn_networks.published` has them in torch)."""

    def __init__(self, networks: Mapping[str, Network], options: MtcnnOptions | None = None) -> None:
        self.options = options or MtcnnOptions()
        self._networks = networks

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What decides the result."""
        shown = " ".join(f"{value:g}" for value in self.options.thresholds)
        options: dict[str, Any] = asdict(self.options)
        return {"detector": "mtcnn", **options, "thresholds": shown}

    def detect(self, photo: Photo) -> tuple[Face, ...]:
        """The faces on a photo [h, w, 3], highest score first."""
        options = self.options
        boxes = square(self._propose(photo))
        boxes, shifts, scores, _ = self._look(photo, boxes, "rnet", 24, options.thresholds[1])
        kept = keep_apart(boxes, scores, 0.7)
        boxes = square(moved(boxes, shifts)[kept])
        boxes, shifts, scores, points = self._look(photo, boxes, "onet", 48, options.thresholds[2])
        landmarks = points_in(boxes, points)
        boxes = moved(boxes, shifts)
        kept = keep_apart(boxes, scores, 0.7, of="smaller")
        boxes, scores, landmarks = boxes[kept], scores[kept], landmarks[kept]
        if options.average and len(boxes):
            landmarks = self._averaged(photo, boxes)
        return best_first(
            [
                Face(box=box, landmarks=five, score=float(s))
                for box, five, s in zip(boxes, landmarks, scores, strict=True)
            ]
        )

    def _averaged(self, photo: Photo, boxes: Boxes) -> NDArray[np.float64]:
        """Landmarks [n, 5, 2]: the mean over several looks at each box [n, 4], plain and mirrored."""
        looks = np.concatenate([widen(square(boxes), more) for more in _LOOKS])
        found = []
        for crops in _in_parts(photo, looks, 48):
            images = prepared(crops)
            plain, mirrored = (
                self._networks["onet"](view)[1].astype(np.float64)
                for view in (images, np.ascontiguousarray(images[..., ::-1]))
            )
            found.append((plain + mirrored_back(mirrored)) / 2)
        return points_in(looks, np.concatenate(found)).reshape(len(_LOOKS), len(boxes), 5, 2).mean(axis=0)

    def _propose(self, photo: Photo) -> Boxes:
        """What P-Net takes for faces: boxes [n, 4], overlapping ones removed, the best `most`."""
        found, scores = [np.empty((0, 4))], [np.empty(0)]
        for level in pyramid(photo, self.options):
            shifts, logits = self._networks["pnet"](prepared(level[None]))
            boxes, certainty = windows(shifts[0], logits[0], self.options.thresholds[0])
            kept = keep_apart(boxes, certainty, 0.5)
            ratio = np.array([photo.shape[1] / level.shape[1], photo.shape[0] / level.shape[0]])
            found.append(boxes[kept] * np.tile(ratio, 2))
            scores.append(certainty[kept])
        boxes, certainty = np.concatenate(found), np.concatenate(scores)
        return boxes[keep_apart(boxes, certainty, 0.7)[: self.options.most]]

    def _look(
        self, photo: Photo, boxes: Boxes, name: str, side: int, threshold: float
    ) -> tuple[Boxes, Boxes, NDArray[np.float64], NDArray[np.float64]]:
        """Boxes [m, 4] that a network takes for faces, its corner shifts [m, 4], scores [m] and landmarks [m, 10]."""
        parts = [self._networks[name](prepared(crops)) for crops in _in_parts(photo, boxes, side)]
        if not parts:
            return boxes, np.empty((0, 4)), np.empty(0), np.empty((0, 10))
        outputs = [np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True)]
        scores = certainty_of(outputs[-1].T)
        kept = np.flatnonzero(scores >= threshold)
        points = outputs[1] if len(outputs) == 3 else np.empty((len(boxes), 10))
        return boxes[kept], outputs[0][kept], scores[kept], points[kept]


def pyramid(photo: Photo, options: MtcnnOptions) -> Iterator[Photo]:
    """The photo at ever smaller sizes, the largest one such that a face of `min_face` pixels fills a window."""
    height, width = photo.shape[:2]
    image = Image.fromarray(photo)
    scale = _WINDOW / options.min_face
    while min(height, width) * scale >= _WINDOW:
        size = (int(np.ceil(width * scale)), int(np.ceil(height * scale)))
        yield np.asarray(image.resize(size, Image.Resampling.BILINEAR))
        scale *= options.step


def windows(
    shifts: NDArray[np.floating[Any]], logits: NDArray[np.floating[Any]], threshold: float
) -> tuple[Boxes, NDArray[np.float64]]:
    """Boxes [n, 4] in pixels of a level and scores [n], from P-Net's shifts [4, h, w] and logits [2, h, w]."""
    certainty = certainty_of(logits)
    rows, columns = np.nonzero(certainty >= threshold)
    corner = np.stack([columns, rows], axis=1) * float(_STRIDE)
    boxes: Boxes = np.concatenate([corner, corner + _WINDOW], axis=1).astype(np.float64)
    return moved(boxes, shifts.astype(np.float64)[:, rows, columns].T), certainty[rows, columns]


def certainty_of(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The softmax's share of "face" [...] from logits [2, ...] of "no face" and "face"."""
    wide = logits.astype(np.float64)
    return 1 / (1 + np.exp(np.clip(wide[0] - wide[1], -700, 700)))


def moved(boxes: Boxes, shifts: Boxes) -> Boxes:
    """Boxes [n, 4] with each corner moved by a share [n, 4] of width and height."""
    return boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def square(boxes: Boxes) -> Boxes:
    """Boxes [n, 4] with the shorter side made as long as the longer one, around the same centre."""
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    centre = (boxes[:, 2:] + boxes[:, :2]) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def widen(boxes: Boxes, margin: float) -> Boxes:
    """Boxes [n, 4] made larger by a share `margin` of their sides, around the same centre."""
    more = (boxes[:, 2:] - boxes[:, :2]) * margin / 2
    return boxes + np.concatenate([-more, more], axis=1)


def points_in(boxes: Boxes, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Landmarks [n, 5, 2], pixel centres of the photo, from their places in boxes [n, 10]: five x, five y, 0 to 1."""
    inside = points.reshape(-1, 2, 5).transpose(0, 2, 1)
    return boxes[:, None, :2] + inside * (boxes[:, 2:] - boxes[:, :2])[:, None] - 0.5


def mirrored_back(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Landmarks [n, 10] of mirrored crops as they lie in the crops themselves; left and right change names."""
    x, y = points[:, :5], points[:, 5:]
    return np.concatenate([(1 - x)[:, _MIRRORED], y[:, _MIRRORED]], axis=1)


def prepared(images: Photo) -> Images:
    """uint8 [n, h, w, 3] as the networks want it: float32 [n, 3, h, w], -1 to 1."""
    return (np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) - np.float32(127.5)) / np.float32(128)


def _in_parts(photo: Photo, boxes: Boxes, side: int) -> Iterator[Photo]:
    if not len(boxes):
        return
    # what a box shows beyond the photo is black
    beyond = int(np.ceil(max(0.0, -boxes.min(), (boxes[:, 2:] - photo.shape[1::-1]).max()))) + 1
    padded = Image.fromarray(np.pad(photo, ((beyond, beyond), (beyond, beyond), (0, 0))))
    for start in range(0, len(boxes), _MOST_CROPS):
        chosen = (boxes[start : start + _MOST_CROPS] + beyond).tolist()
        crops = [padded.resize((side, side), Image.Resampling.BILINEAR, box=tuple(box)) for box in chosen]
        yield np.stack([np.asarray(crop) for crop in crops])
