"""How what was found out is put into answers: never a vector or a pixel, unless the answer is for them."""

import math
from collections.abc import Mapping
from typing import Any

from angulus.faces.detectors.detection import Face
from angulus.runtime.bundles import Bundle
from angulus.runtime.curves import Curves, GallerySize, Numbers, Searches
from angulus.runtime.identification import SearchPoint
from angulus.runtime.recognition import SeenPhoto
from angulus.runtime.thresholds import Rate
from angulus.runtime.verification import OperatingPoint
from angulus.serve import answers

Box = tuple[float, float, float, float]


def photo_answer(photo: SeenPhoto, checked: Mapping[str, answers.CheckResult] | None = None) -> answers.Photo:
    """A photo: which face was used, remarks, and the checks that were asked for."""
    face, found = photo.face, None
    if face is not None:
        found = answers.Face(
            **{"number": face.number, "found": face.found, "reason": face.reason, "remarks": face.remarks},
            box=None if face.face is None else face_box(face.face),
            detector_score=None if face.face is None else float(face.face.score),
            checks=checked,
        )
    problem = None if found else photo.problem or "no face was found"
    return answers.Photo(name=photo.name, height=photo.height, width=photo.width, face=found, problem=problem)


def face_box(face: Face) -> Box:
    """Left, top, right and bottom in pixels."""
    left, top, right, bottom = (float(value) for value in face.box)
    return left, top, right, bottom


def rate_answer(rate: Rate | None) -> answers.Rate | None:
    """A rate."""
    return None if rate is None else answers.Rate(estimate=rate.estimate, low=rate.low, high=rate.high)


def point_answer(point: OperatingPoint) -> answers.Point:
    """An operating point of comparisons."""
    return answers.Point(
        **{"threshold": point.threshold, "low": point.low, "high": point.high, "source": point.source},
        **{"level": point.level, "far": rate_answer(point.far), "frr": rate_answer(point.frr)},
    )


def search_point_answer(point: SearchPoint) -> answers.SearchPoint:
    """A threshold of searches."""
    return answers.SearchPoint(
        **{"people": point.people, "photos": point.photos, "threshold": point.threshold, "wanted_fpir": point.wanted},
        **{"fpir": rate_answer(point.fpir), "smallest_fpir": point.smallest, "reason": point.reason or None},
    )


def card_of(bundle: Bundle, checks: tuple[str, ...]) -> answers.Card:
    """What is known about a bundle."""
    description, curves = bundle.description, bundle.curves
    measured = None
    if curves is not None:
        pairs = {"genuine_pairs": curves.genuine, "stranger_pairs": curves.strangers}
        measured = {"people": curves.people, "photos": curves.photos, **pairs, "level": curves.level}
    told = {
        **{"angulus": description.angulus, "artefact": description.artefact.to_dict(), "model": description.model},
        **{"made": description.made, "parity": bundle.parity, "calibration": measured},
        "detector": None if description.detector is None else description.detector.to_dict(),
        "threshold": None if bundle.threshold is None else bundle.threshold.to_dict(),
    }
    return answers.Card(**_sendable(told), checks=checks)


def calibration_of(curves: Curves, gallery: GallerySize) -> answers.CalibrationAnswer:
    """What a page draws: rates at every threshold, histograms, and FPIR in a gallery."""
    searches, histogram = curves.searches, curves.histogram
    return answers.CalibrationAnswer(
        **{"level": curves.level, "thresholds": tuple(curves.thresholds.tolist())},
        **{"far": line(curves.far.values), "frr": line(curves.frr.values)},
        **{"edges": tuple(histogram.edges.tolist()), "genuine": tuple(histogram.genuine.tolist())},
        **{"strangers": tuple(histogram.strangers.tolist()), "calibration_people": curves.people},
        **{"genuine_pairs": curves.genuine, "stranger_pairs": curves.strangers, "smallest_far": curves.smallest_far},
        people=sum(gallery.values()),
        photos=sum(photos * people for photos, people in gallery.items()),
        search_thresholds=None if searches is None else tuple(searches.thresholds.tolist()),
        fpir=None if searches is None else line(searches.fpir(gallery)),
        smallest_fpir=_smallest(searches, gallery),
    )


def line(values: Numbers) -> answers.RateLine:
    """Rates [3, k]: estimate, low, high."""
    estimate, low, high = (tuple(row.tolist()) for row in values)
    return answers.RateLine(estimate=estimate, low=low, high=high)


def _sendable(value: Any) -> Any:
    """What a bundle says of itself, without what no JSON can hold: half characters, and numbers that are none."""
    if isinstance(value, Mapping):
        return {_sendable(str(name)): _sendable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_sendable(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _smallest(searches: Searches | None, gallery: GallerySize) -> float | None:
    return None if searches is None else searches.smallest_fpir(gallery)
