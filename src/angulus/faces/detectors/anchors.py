"""How do the outputs of a one-pass detector become boxes and landmarks? SCRFD, RetinaFace and YuNet, by their papers.

Each looks at cells 8, 16, 32 pixels apart and gives for every cell a score and numbers relative to it:

SCRFD       distances from the cell's corner to the four sides and offsets to the landmarks, in units of the stride;
            two answers a cell. Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection".
RetinaFace  offsets from prior boxes (two sizes a cell), variances 0.1 and 0.2. Deng et al. 2019, "RetinaFace:
            Single-stage Dense Face Localisation in the Wild" (the layout of the common PyTorch export).
YuNet       centre relative to the cell and logarithms of the sides, in units of the stride; the score is the
            root of two. Wu, Peng, Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector".

All give pixels of the picture that the network saw: boxes [n, 4], landmarks [n, 5, 2], scores [n].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.errors import FacesError

Array = NDArray[np.float64]
STRIDES = (8, 16, 32)
_PRIORS = {8: (16, 32), 16: (64, 128), 32: (256, 512)}
_VARIANCES = (0.1, 0.2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """boxes [n, 4], landmarks [n, 5, 2], scores [n]; pixels of the picture that the network saw."""

    boxes: Array
    landmarks: Array
    scores: Array


def cells(height: int, width: int, stride: int, repeated: int = 1) -> Array:
    """Column and row [n, 2] of every cell of a picture, row by row, each `repeated` times."""
    rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
    return np.repeat(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64), repeated, axis=0)


def decode_scrfd(outputs: Sequence[NDArray[np.float32]], height: int, width: int) -> Decoded:
    """Nine outputs: scores [n, 1], distances [n, 4], landmarks [n, 10], each for strides 8, 16 and 32."""
    if len(outputs) != 9:
        raise FacesError(
            f"a SCRFD file with landmarks has 9 outputs, got {len(outputs)}; take one whose name ends in kps"
        )
    flat = [np.asarray(part, dtype=np.float64).reshape(-1, wide) for part, wide in zip(outputs, _SCRFD, strict=True)]
    boxes, landmarks = [], []
    for level, stride in enumerate(STRIDES):
        distances, offsets = flat[3 + level] * stride, flat[6 + level].reshape(-1, 5, 2) * stride
        repeated = len(distances) // max(len(cells(height, width, stride)), 1)
        corner = cells(height, width, stride, max(repeated, 1)) * stride
        _agree("SCRFD", stride, len(corner), len(distances))
        boxes.append(np.concatenate([corner - distances[:, :2], corner + distances[:, 2:]], axis=1))
        landmarks.append(corner[:, None] + offsets)
    scores = np.concatenate([part[:, 0] for part in flat[:3]])
    return Decoded(boxes=np.concatenate(boxes), landmarks=np.concatenate(landmarks), scores=scores)


_SCRFD = (1, 1, 1, 4, 4, 4, 10, 10, 10)


def decode_retinaface(outputs: Sequence[NDArray[np.float32]], height: int, width: int) -> Decoded:
    """Three outputs, in any order: boxes [1, n, 4], two class scores [1, n, 2] (softmax), landmarks [1, n, 10]."""
    by_width = {
        np.shape(part)[-1]: np.asarray(part, dtype=np.float64).reshape(-1, np.shape(part)[-1]) for part in outputs
    }
    if set(by_width) != {2, 4, 10}:
        shown = ", ".join(str(list(np.shape(part))) for part in outputs)
        raise FacesError(f"a RetinaFace file has outputs [1, n, 4], [1, n, 2] and [1, n, 10], got {shown}")
    centre, side = retinaface_priors(height, width)
    shifts, points = by_width[4], by_width[10].reshape(-1, 5, 2)
    _agree("RetinaFace", STRIDES[0], len(centre), len(shifts))
    middle = centre + shifts[:, :2] * _VARIANCES[0] * side
    half = side * np.exp(shifts[:, 2:] * _VARIANCES[1]) / 2
    return Decoded(
        boxes=np.concatenate([middle - half, middle + half], axis=1),
        landmarks=centre[:, None] + points * _VARIANCES[0] * side[:, None],
        scores=by_width[2][:, 1],
    )


def retinaface_priors(height: int, width: int) -> tuple[Array, Array]:
    """Centres [n, 2] and sides [n, 1] of RetinaFace's prior boxes, pixels."""
    centres, sides = [], []
    for stride in STRIDES:
        centre = (cells(height, width, stride, 2) + 0.5) * stride
        centres.append(centre)
        sides.append(np.tile(np.array(_PRIORS[stride], dtype=np.float64), len(centre) // 2))
    return np.concatenate(centres), np.concatenate(sides)[:, None]


def decode_yunet(outputs: Sequence[NDArray[np.float32]], height: int, width: int) -> Decoded:
    """Twelve outputs: class scores, object scores [1, n, 1], boxes [1, n, 4], landmarks [1, n, 10], by stride each."""
    if len(outputs) != 12:
        raise FacesError(f"a YuNet file of 2023 has 12 outputs, got {len(outputs)}; take face_detection_yunet_2023mar")
    flat = [np.asarray(part, dtype=np.float64).reshape(-1, wide) for part, wide in zip(outputs, _YUNET, strict=True)]
    boxes, landmarks, scores = [], [], []
    for level, stride in enumerate(STRIDES):
        kind, thing, shape, points = (flat[level + 3 * part] for part in range(4))
        cell = cells(height, width, stride)
        _agree("YuNet", stride, len(cell), len(shape))
        middle, half = (cell + shape[:, :2]) * stride, np.exp(shape[:, 2:]) * stride / 2
        boxes.append(np.concatenate([middle - half, middle + half], axis=1))
        landmarks.append((cell[:, None] + points.reshape(-1, 5, 2)) * stride)
        scores.append(np.sqrt(np.clip(kind[:, 0], 0, 1) * np.clip(thing[:, 0], 0, 1)))
    return Decoded(boxes=np.concatenate(boxes), landmarks=np.concatenate(landmarks), scores=np.concatenate(scores))


_YUNET = (1, 1, 1, 1, 1, 1, 4, 4, 4, 10, 10, 10)


def _agree(name: str, stride: int, cells_seen: int, answers: int) -> None:
    if cells_seen != answers:
        raise FacesError(
            f"{name} gave {answers} answers for {cells_seen} cells at stride {stride}; the file has another layout"
        )
