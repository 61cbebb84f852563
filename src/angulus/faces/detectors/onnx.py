"""SCRFD, RetinaFace and YuNet from ONNX files that the user has, run by onnxruntime.

The photo is shrunk (never enlarged beyond twice) into the upper left corner of a picture of the size that the network
takes, the rest of it is black. What a network wants of its pixels is part of its kind:

    scrfd       RGB, (x - 127.5) / 128
    retinaface  BGR, x - (104, 117, 123)
    yunet       BGR, x
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.errors import FacesError
from angulus.faces.detectors.anchors import Decoded, decode_retinaface, decode_scrfd, decode_yunet
from angulus.faces.detectors.detection import Face, Photo, best_first, keep_apart

OnnxKind = Literal["scrfd", "retinaface", "yunet"]
_DECODE: dict[str, Callable[[Sequence[NDArray[np.float32]], int, int], Decoded]] = {
    "scrfd": decode_scrfd,
    "retinaface": decode_retinaface,
    "yunet": decode_yunet,
}
_RETINAFACE_MEAN = np.array([104, 117, 123], dtype=np.float32)
_MULTIPLE = 32
_MOST_ENLARGED = 2.0


class Session(Protocol):
    """What is used of onnxruntime.InferenceSession."""

    def get_inputs(self) -> Sequence[Any]: ...

    def run(self, output_names: None, input_feed: dict[str, NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]: ...


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """kind: whose outputs the file gives. side: of the square picture that the network sees, where it leaves that open.

    score: least score. overlap: of two boxes that share more of their union than this only the better one is kept.
    """

    kind: OnnxKind
    side: int = 640
    score: float = 0.5
    overlap: float = 0.4

    def __post_init__(self) -> None:
        if self.kind not in _DECODE:
            raise FacesError(f"kind must be one of {', '.join(_DECODE)}, got {self.kind!r}")
        if self.side < _MULTIPLE or self.side % _MULTIPLE:
            raise FacesError(f"side must be a multiple of {_MULTIPLE} pixels, got {self.side}")


class OnnxDetector:
    """A detector in an ONNX file. session: an open one, for other runtimes; left out, onnxruntime on the CPU."""

    def __init__(self, path: str | Path, options: OnnxOptions, *, session: Session | None = None) -> None:
        self.path, self.options = Path(path), options
        self._session = session or _open(self.path)
        entry = self._session.get_inputs()[0]
        self._input = entry.name
        sides = [side if isinstance(side, int) and side > 0 else options.side for side in list(entry.shape)[2:4]]
        self._height, self._width = sides if len(sides) == 2 else (options.side, options.side)

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What decides the result."""
        return {"detector": "onnx", "file": self.path.name, **asdict(self.options)}

    def detect(self, photo: Photo) -> tuple[Face, ...]:
        """The faces on a photo [h, w, 3], highest score first."""
        seen, ratio = fitted(photo, self._height, self._width)
        outputs = self._session.run(None, {self._input: blob(seen, self.options.kind)})
        found = _DECODE[self.options.kind](outputs, self._height, self._width)
        likely = np.flatnonzero(found.scores >= self.options.score)
        kept = likely[keep_apart(found.boxes[likely], found.scores[likely], self.options.overlap)]
        corners = found.boxes[kept] * np.tile(ratio, 2)
        # a network's landmarks count from the outer corner of the first pixel, as its boxes do
        points = found.landmarks[kept] * ratio - 0.5
        scores = np.minimum(found.scores[kept], 1.0)
        return best_first(
            [
                Face(box=box, landmarks=five, score=float(s))
                for box, five, s in zip(corners, points, scores, strict=True)
            ]
        )


def fitted(photo: Photo, height: int, width: int) -> tuple[Photo, NDArray[np.float64]]:
    """The photo in the upper left corner of a black picture [height, width, 3], and photo pixels per its pixels [2]."""
    tall, wide = photo.shape[:2]
    scale = min(height / tall, width / wide, _MOST_ENLARGED)
    size = (max(1, min(width, round(wide * scale))), max(1, min(height, round(tall * scale))))
    page = np.zeros((height, width, 3), dtype=np.uint8)
    page[: size[1], : size[0]] = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR))
    return page, np.array([wide / size[0], tall / size[1]])


def blob(picture: Photo, kind: OnnxKind) -> NDArray[np.float32]:
    """uint8 [h, w, 3] RGB as the network wants it: float32 [1, 3, h, w]."""
    pixels = picture.astype(np.float32)
    if kind == "scrfd":
        pixels = (pixels - 127.5) / 128
    else:
        pixels = pixels[:, :, ::-1] - (_RETINAFACE_MEAN if kind == "retinaface" else 0.0)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def _open(path: Path) -> Session:
    if not path.is_file():
        raise FacesError(f"there is no ONNX file {path}; name the file of a detector that you have")
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise FacesError('ONNX files need onnxruntime, which is not installed: pip install "angulus[onnx]"') from error
    try:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1  # photos go beside each other, in processes
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has its own family of errors
        reason = str(error).splitlines()[0]
        raise FacesError(f"{path} is not an ONNX file that onnxruntime can open: {reason}") from error
