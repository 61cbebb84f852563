"""Which of the faces on a photo is meant, and why?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Face

Rule = Literal["prominent", "largest", "central", "surest", "all"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """A face, its number among those found (from 1, best score first), how many there were, and why it was taken."""

    face: Face
    number: int
    found: int
    reason: str


def choose(faces: Sequence[Face], size: tuple[int, int], rule: Rule = "prominent") -> tuple[Chosen, ...]:
    """The faces to take from a photo of `size` (height, width); none when there are none.

    prominent: large and near the middle, the highest side^2 - 2 distance^2, distance that of its middle to the photo's.
    largest: the one with the longest side. central: the one whose middle is nearest to the photo's. surest: the highest
    score. all: each of them. Of faces that are equal the one with the higher score is taken.
    """
    if rule not in RULES:
        raise FacesError(f"choose must be one of {', '.join(RULES)}, got {rule!r}")
    count = len(faces)
    if rule == "all" or count < 2:
        reason = "the only face" if count == 1 else f"every face of {count}"
        return tuple(Chosen(face=face, number=n, found=count, reason=reason) for n, face in enumerate(faces, start=1))
    middle = np.array([size[1] / 2, size[0] / 2])
    measures = {
        "prominent": [face.side**2 - 2 * float(np.sum((face.centre - middle) ** 2)) for face in faces],
        "largest": [face.side for face in faces],
        "central": [-float(np.linalg.norm(face.centre - middle)) for face in faces],
        "surest": [face.score for face in faces],
    }[rule]
    first, second = (int(row) for row in np.argsort(-np.array(measures), kind="stable")[:2])
    reason = _reason(rule, faces[first], faces[second], middle)
    return (Chosen(face=faces[first], number=first + 1, found=count, reason=f"{reason} ({count} faces)"),)


def _reason(rule: str, best: Face, second: Face, middle: NDArray[np.float64]) -> str:
    sides = f"{best.side:.0f} pixels, the next {second.side:.0f}"
    away = [float(np.linalg.norm(face.centre - middle)) for face in (best, second)]
    places = f"{away[0]:.0f} pixels from the middle, the next {away[1]:.0f}"
    return {
        "prominent": f"most prominent: {sides}; {places}",
        "largest": f"largest: {sides}",
        "central": f"most central: {places}",
        "surest": f"highest score: {best.score:.3f}, the next {second.score:.3f}",
    }[rule]
