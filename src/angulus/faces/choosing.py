"""Which of the faces on a photo is meant, and why?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from angulus.errors import FacesError
from angulus.faces.detection import Face

Rule = Literal["largest", "central", "surest", "all"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """A face, its number among those found (from 1, best score first), how many there were, and why it was taken."""

    face: Face
    number: int
    found: int
    reason: str


def choose(faces: Sequence[Face], size: tuple[int, int], rule: Rule = "largest") -> tuple[Chosen, ...]:
    """The faces to take from a photo of `size` (height, width); none when there are none.

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
        "largest": [face.side for face in faces],
        "central": [-float(np.linalg.norm(face.centre - middle)) for face in faces],
        "surest": [face.score for face in faces],
    }[rule]
    first, second = (int(row) for row in np.argsort(-np.array(measures), kind="stable")[:2])
    reason = _reason(rule, count, measures[first], measures[second])
    return (Chosen(face=faces[first], number=first + 1, found=count, reason=reason),)


def _reason(rule: str, count: int, best: float, next_best: float) -> str:
    if rule == "largest":
        return f"largest of {count}: {best:.0f} pixels, the next {next_best:.0f}"
    if rule == "central":
        return f"most central of {count}: {-best:.0f} pixels from the middle, the next {-next_best:.0f}"
    return f"highest score of {count}: {best:.3f}, the next {next_best:.3f}"
