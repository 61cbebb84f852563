"""Which detector is meant by a name, and is what it needs here?"""

import importlib.util
import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal, get_args

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Detector
from angulus.faces.detectors.landmark_lists import ListedLandmarks
from angulus.faces.detectors.mtcnn import Mtcnn, MtcnnOptions, Network
from angulus.faces.detectors.onnx import OnnxDetector, OnnxOptions
from angulus.faces.detectors.packages import INSTALL, INSTALL_TORCH
from angulus.faces.detectors.rotations import Turning
from angulus.faces.detectors.yuface import Yuface, YufaceOptions

Name = Literal["auto", "mtcnn", "yuface", "scrfd", "retinaface", "yunet", "landmarks"]
NAMES: tuple[Name, ...] = get_args(Name)
_NEED_A_FILE = ("scrfd", "retinaface", "yunet", "landmarks")


@dataclass(frozen=True, kw_only=True)
class DetectorChoice:
    """A detector that can be opened in any process.

    name: auto takes mtcnn where it is installed, else yuface. file: the ONNX file, or the list of landmarks. min_face:
    smallest face to look for, pixels (mtcnn). score: least score of a face, 0 to 1; left out, the detector's own.
    turn: look again at the photo turned when the best score is below this; 0 never does. device: of mtcnn.
    """

    name: Name = "auto"
    file: Path | None = None
    min_face: float = 40.0
    score: float | None = None
    turn: float = 0.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise FacesError(f"detector must be one of {', '.join(NAMES)}, got {self.name!r}")
        if self.score is not None and not 0 <= self.score < 1:
            raise FacesError(f"score must lie in 0 to 1, got {self.score:g}")
        if not 0 <= self.turn <= 1:
            raise FacesError(f"turn must lie in 0 to 1, got {self.turn:g}")
        if self.name in _NEED_A_FILE and self.file is None:
            kind = "a file of landmarks" if self.name == "landmarks" else "an ONNX file"
            raise FacesError(f"the detector {self.name} needs {kind} that you have: --file PATH")

    def open(self) -> Detector | ListedLandmarks:
        """The detector, ready. Raises FacesError that says what to install when it is not here."""
        name = installed() if self.name == "auto" else self.name
        if name == "landmarks":
            return ListedLandmarks.read(self._file())
        found = self._detector(name)
        return Turning(found, self.turn) if self.turn else found

    def _detector(self, name: Name) -> Detector:
        if name == "mtcnn":
            own = MtcnnOptions(min_face=self.min_face)
            last = own.thresholds[2] if self.score is None else self.score
            options = MtcnnOptions(min_face=self.min_face, thresholds=(*own.thresholds[:2], last))
            return Mtcnn(networks_in_torch(self.device), options)
        if name == "yuface":
            return Yuface(YufaceOptions() if self.score is None else YufaceOptions(score=self.score))
        kind = name if name in ("scrfd", "retinaface", "yunet") else None
        if kind is None:
            raise FacesError(f"the detector {name} cannot be opened: DetectorChoice does not know how")
        settings = OnnxOptions(kind=kind) if self.score is None else OnnxOptions(kind=kind, score=self.score)
        return OnnxDetector(self._file(), settings)

    def _file(self) -> Path:
        assert self.file is not None
        return self.file


def networks_in_torch(device: str) -> dict[str, Network]:
    """The published networks of MTCNN. Raises FacesError where torch or the weights are not installed."""
    try:
        import_module("torch")
    except ImportError as error:
        raise FacesError(f"the MTCNN detector runs in torch, which is not installed: {INSTALL_TORCH}") from error
    # by name: whoever deploys without torch imports this module
    return import_module("angulus.faces.detectors.mtcnn_networks").published(device)


def installed() -> Name:
    """The better of the detectors that are installed. Raises FacesError when none is."""
    try:
        metadata.version("mtcnn")
        return "mtcnn"
    except metadata.PackageNotFoundError:
        pass
    if importlib.util.find_spec("yuface") is not None:
        return "yuface"
    more = " or: pip install yuface" if sys.version_info < (3, 12) else ""
    raise FacesError(
        f"no face detector is installed: {INSTALL}{more} (or name an ONNX file of SCRFD, RetinaFace or YuNet that you "
        "have, or a file of landmarks: --detector scrfd --file det.onnx)"
    )
