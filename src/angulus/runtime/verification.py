"""Are two faces of one person? The answer with its error rates, or that it cannot be told, and why."""

from dataclasses import dataclass
from typing import Any, Literal

from angulus.errors import BundleError
from angulus.runtime.bundles import Bundle
from angulus.runtime.recognition import SeenPhoto
from angulus.runtime.thresholds import Rate, Threshold

Decision = Literal["same", "different", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold and what it does. far, frr: None where they were not measured.

    low, high: where other calibration people would have put the threshold, both equal to it for one that a user chose.
    source: "calibration", "wanted FAR" or "chosen by hand".
    """

    threshold: float
    low: float
    high: float
    far: Rate | None
    frr: Rate | None
    level: float
    source: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"threshold": self.threshold, "low": self.low, "high": self.high, "source": self.source},
            **{"far": None if self.far is None else self.far.to_dict()},
            **{"frr": None if self.frr is None else self.frr.to_dict(), "level": self.level},
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer for two photos.

    score: the cosine of the vectors; None without a face on either photo.  llr: log-likelihood ratio (natural
    logarithm, positive speaks for one person), where scores were calibrated.  reason: one sentence.
    """

    decision: Decision
    score: float | None
    llr: float | None
    point: OperatingPoint
    reason: str
    left: SeenPhoto
    right: SeenPhoto

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without vectors and pictures."""
        return {
            **{"decision": self.decision, "score": self.score, "log_likelihood_ratio": self.llr},
            **{"reason": self.reason, **self.point.to_dict()},
            "photos": [described(photo) for photo in (self.left, self.right)],
        }


def point_of(bundle: Bundle, *, far: float | None = None, threshold: float | None = None) -> OperatingPoint:
    """The deployed operating point, the one for a wanted FAR, or the one at a threshold.

    Raises BundleError where the bundle has no threshold, and where its calibration cannot tell the FAR.
    """
    if far is not None and threshold is not None:
        raise BundleError("give a wanted FAR or a threshold, not both")
    curves = bundle.curves
    if far is None and threshold is None:
        return _deployed(bundle.calibrated())
    if curves is None:
        raise BundleError(f"{bundle.path} has no calibration: export it again with --images PEOPLE")
    value = curves.threshold_for(far) if far is not None else float(threshold or 0.0)
    source = "wanted FAR" if far is not None else "chosen by hand"
    return OperatingPoint(
        **{"threshold": value, "low": value, "high": value, "level": curves.level, "source": source},
        **{"far": curves.far_at(value), "frr": curves.frr_at(value)},
    )


def verify(
    left: SeenPhoto, right: SeenPhoto, point: OperatingPoint, *, bundle: Bundle, undecided: bool = False
) -> Verdict:
    """Compare the faces that are meant of two photos.

    undecided: whether a score in the interval of the threshold counts as "cannot tell".
    """
    faces = [photo.face for photo in (left, right)]
    if faces[0] is None or faces[1] is None:
        without = [photo for photo in (left, right) if photo.face is None]
        reason = "; ".join(f"{photo.name}: {photo.problem or 'no face was found'}" for photo in without)
        return _verdict("cannot tell", None, None, point, reason, left, right)
    score = float(faces[0].vector @ faces[1].vector)
    meaning = None if bundle.threshold is None else bundle.threshold.meaning
    llr = None if meaning is None else meaning.llr(score)
    if undecided and point.low <= score <= point.high:
        reason = f"the score lies where other people's threshold would be ({point.low:.3f} to {point.high:.3f})"
        return _verdict("cannot tell", score, llr, point, reason, left, right)
    is_same = score > point.threshold
    reason = f"the score is {'greater' if is_same else 'not greater'} than the threshold"
    return _verdict("same" if is_same else "different", score, llr, point, reason, left, right)


def described(photo: SeenPhoto) -> dict[str, Any]:
    """What was seen on a photo, JSON-ready."""
    face = photo.face
    values: dict[str, Any] = {"name": photo.name, "height": photo.height, "width": photo.width}
    if face is None:
        return {**values, "problem": photo.problem or "no face was found"}
    values |= {"face": face.number, "faces": face.found, "chosen": face.reason, "remarks": list(face.remarks)}
    if face.face is not None:
        values |= {"box": [float(value) for value in face.face.box], "detector_score": face.face.score}
    return values


def _deployed(found: Threshold) -> OperatingPoint:
    return OperatingPoint(
        **{"threshold": found.value, "low": found.low, "high": found.high, "level": found.level},
        **{"far": found.far, "frr": found.frr, "source": "calibration"},
    )


def _verdict(
    decision: Decision,
    score: float | None,
    llr: float | None,
    point: OperatingPoint,
    reason: str,
    left: SeenPhoto,
    right: SeenPhoto,
) -> Verdict:
    return Verdict(decision=decision, score=score, llr=llr, point=point, reason=reason, left=left, right=right)
