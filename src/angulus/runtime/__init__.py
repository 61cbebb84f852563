"""From a bundle and photos to a decision with its error rates, without torch.

    recognizer = Recognizer("068.bundle")
    left, right = recognizer.look_at(["a.jpg", "b.jpg"])
    verdict = verify(left, right, point_of(recognizer.bundle), bundle=recognizer.bundle)
    verdict.decision                              "same", "different" or "cannot tell"

Needs numpy, Pillow, and onnxruntime or OpenVINO: pip install "angulus[runtime]".
"""

from angulus.runtime.bundles import Bundle
from angulus.runtime.embedder import Embedder
from angulus.runtime.recognition import Recognizer, SeenFace, SeenPhoto
from angulus.runtime.thresholds import Rate, Threshold
from angulus.runtime.verification import OperatingPoint, Verdict, point_of, verify

__all__ = [
    "Bundle",
    "Embedder",
    "OperatingPoint",
    "Rate",
    "Recognizer",
    "SeenFace",
    "SeenPhoto",
    "Threshold",
    "Verdict",
    "point_of",
    "verify",
]
