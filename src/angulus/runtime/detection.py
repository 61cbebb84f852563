"""The detector of a bundle, or another that the user names, without torch."""

from pathlib import Path
from typing import cast

from angulus.errors import BundleError
from angulus.faces.detectors.catalogue import DetectorChoice
from angulus.faces.detectors.detection import Detector
from angulus.faces.detectors.landmark_lists import ListedLandmarks
from angulus.faces.detectors.mtcnn import Mtcnn, MtcnnOptions, Network
from angulus.faces.detectors.onnx import OnnxDetector, OnnxKind, OnnxOptions
from angulus.faces.detectors.rotations import Turning
from angulus.runtime.bundles import Bundle, BundledDetector
from angulus.runtime.networks import onnx_session, open_onnx, runtime_for

_STAGES = ("pnet", "rnet", "onet")


def open_detector(bundle: Bundle, choice: DetectorChoice | None = None) -> Detector | ListedLandmarks:
    """The detector that the bundle was made with, or the one that is asked for.

    Raises BundleError for a bundle without one, FacesError for one that is not installed.
    """
    if choice is not None:
        return choice.open()
    described = bundle.description.detector
    if described is None:
        raise BundleError(
            f"{bundle.path} brings no detector, so that it takes aligned crops alone (--crops): name a detector, or"
            " export the bundle with one"
        )
    found = _bundled(bundle, described)
    return Turning(found, described.turn) if described.turn else found


def _bundled(bundle: Bundle, described: BundledDetector) -> Detector:
    if described.name == "mtcnn" and set(described.files) == set(_STAGES):
        return Mtcnn(_stages(bundle, described), mtcnn_options(described.min_face, described.score))
    if described.name in ("scrfd", "retinaface", "yunet") and set(described.files) == {"network"}:
        kind = cast(OnnxKind, described.name)
        options = OnnxOptions(kind=kind) if described.score is None else OnnxOptions(kind=kind, score=described.score)
        content = bundle.read(described.files["network"])
        return OnnxDetector(Path(described.files["network"]), options, session=onnx_session(content, 1))
    if described.name == "yuface":
        return cast(Detector, DetectorChoice(name="yuface", score=described.score).open())
    raise BundleError(
        f"{bundle.path} names a detector that this version does not know, or not all of its files:"
        f" {described.name[:80]!r} with {', '.join(described.files)[:200] or 'none'}"
    )


def _stages(bundle: Bundle, described: BundledDetector) -> dict[str, Network]:
    runtime = runtime_for("onnx")
    return {name: cast(Network, open_onnx(bundle.read(described.files[name]), runtime, 1)) for name in _STAGES}


def mtcnn_options(min_face: float, score: float | None) -> MtcnnOptions:
    """Options with another smallest face, and another least score of the last stage, if one is given."""
    own = MtcnnOptions()
    last = own.thresholds[2] if score is None else score
    return MtcnnOptions(min_face=min_face, thresholds=(*own.thresholds[:2], last))
