"""How often does a recogniser take an inverted image for the person, and how often does that mean anything?

At a threshold chosen on real pairs of people who are not attacked, these shares are counted, all by one judge:

    same photo       the inverted image against the very photo whose template was attacked (type I)
    other photos     against other photos of the same person (type II)
    real photos      a real photo of the person against other photos of the person: what an honest attempt gets
    strangers        photos of other people against the same photos of the person: what luck gets
    other inverted   inverted images of other people against them: what any inverted image gets

Intervals draw the people anew (see `evaluation.uncertainty`), never single comparisons.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data import Source
from angulus.errors import EvaluationError
from angulus.evaluation import CalibratedThreshold, SubjectScores, calibrate_threshold
from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.evaluation.uncertainty.calibration import check_people
from angulus.evaluation.uncertainty.intervals import Interval, student_quantile
from angulus.evaluation.uncertainty.rate_intervals import far_interval, share_interval
from angulus.evaluation.uncertainty.replicates import needed_tail

FORMS = {
    "same photo": "inverted image against the attacked photo itself (type I)",
    "other photos": "inverted image against other photos of the person (type II)",
    "real photos": "a real photo of the person against other photos of the person",
    "strangers": "photos of strangers against the person's photos",
    "other inverted": "inverted images of other people against the person's photos",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Faces:
    """Unit embeddings [n, d] by one judge with the number of the person in each [n]."""

    units: NDArray[np.float32]
    people: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Cosines of one form [p], whose attack each belongs to [p], and whose face stands on the other side [p]."""

    form: str
    scores: NDArray[np.float32]
    person: NDArray[np.int64]
    other: NDArray[np.int64]

    @property
    def same(self) -> bool:
        """True where both sides are meant to be one person."""
        return self.form in ("same photo", "other photos", "real photos")

    def accepted(self, threshold: float) -> Interval:
        """The share above a threshold, with its interval by people."""
        hits = self.scores > threshold
        if self.same:
            return share_interval(hits, self.person)
        scores = SubjectScores.of_pairs(self.scores, np.zeros(len(hits), bool), self.person, self.other)
        return far_interval(scores, threshold)

    def mean(self, level: float = 0.95) -> dict[str, float]:
        """Mean cosine, every person counting alike, with Student's interval over the people."""
        _, number = np.unique(self.person, return_inverse=True)
        each = np.bincount(number, weights=self.scores) / np.bincount(number)
        half = 0.0
        if len(each) > 1:
            half = student_quantile((1 + level) / 2, len(each) - 1) * float(each.std(ddof=1)) / len(each) ** 0.5
        return {"mean": float(each.mean()), "low": float(each.mean()) - half, "high": float(each.mean()) + half}


def compare(inverted: Faces | None, attacked: Faces | None, others: Faces, strangers: Faces) -> list[Compared]:
    """Every form that the data allow.

    inverted: the inverted images; None for the forms of real photos alone.  attacked: the photos whose templates were
    attacked, row by row those of `inverted`; None in a closed set, where none is.  others: further photos of the same
    people.  strangers: photos of people who are not attacked (their numbers are their own).
    """
    found = []
    against = attacked if attacked is not None else others
    if inverted is not None and attacked is not None:
        scores = (inverted.units * attacked.units).sum(axis=1)
        found.append(Compared(form="same photo", scores=scores, person=inverted.people, other=attacked.people))
    if inverted is not None:
        found.append(_matched("other photos", inverted, others))
    found.append(_matched("real photos", attacked, others) if attacked is not None else _within("real photos", others))
    found.append(_crossed("strangers", against, strangers, offset=1 + int(against.people.max())))
    if inverted is not None:
        found.append(_crossed("other inverted", against, inverted, offset=0))
    return [part for part in found if len(part.scores)]


def check_fars(strangers: Source, fars: tuple[float, ...]) -> None:
    """Raise EvaluationError where half of the people, which chooses, has fewer than one pair of two for a FAR allowed.

    Before the attacks, rather than after hours of them; whether the people suffice is told by `calibrated`.
    """
    counts = np.sort(np.unique(np.asarray(strangers.labels), return_counts=True)[1])[::-1]
    check_people(len(counts))
    most = int(counts[: -(-len(counts) // 2)].sum())
    if most * (most - 1) / 2 < 1 / min(fars):
        raise EvaluationError(
            f"FAR {min(fars):g} needs at least {1 / min(fars):,.0f} pairs of strangers, and half of these "
            f"{len(counts)} people have fewer; raise --strangers, or the least of --fars"
        )


def calibrated(faces: Faces, fars: tuple[float, ...], *, seed: int = 0) -> list[CalibratedThreshold]:
    """A threshold for each FAR from all pairs of photos of people who are not attacked, half choosing, half trying.

    Raises EvaluationError where there are too few people for a FAR.
    """
    count = len(faces.units)
    tail = needed_tail(min(4 * max(fars), 1.0), count * (count - 1) // 2) + 2000
    kept = all_pairs(faces.units, faces.people, fars=fars, tail=tail, screen=None).kept
    scores = SubjectScores.of_all_pairs(
        faces.people,
        **{"genuine": kept.genuine, "genuine_rows": kept.genuine_left},
        **{"tail": kept.tail, "tail_left": kept.tail_left, "tail_right": kept.tail_right},
    )
    return [calibrate_threshold(scores, far, seed=seed) for far in fars]


def rates(compared: list[Compared], thresholds: list[CalibratedThreshold]) -> list[dict[str, Any]]:
    """One row for each form and threshold: comparisons, mean cosine, share accepted with its interval; JSON-ready."""
    return [
        {
            **{"form": part.form, "target_far": found.target, "threshold": found.threshold},
            **{"comparisons": len(part.scores), "people": len(np.unique(part.person)), "cosine": part.mean()},
            "accepted": part.accepted(found.threshold).as_dict(),
        }
        for part in compared
        for found in thresholds
    ]


def _matched(form: str, left: Faces, right: Faces) -> Compared:
    """Each row of `left` against all of `right` of the same person."""
    rows, columns = np.nonzero(left.people[:, None] == right.people[None])
    scores = (left.units[rows] * right.units[columns]).sum(axis=1)
    return Compared(form=form, scores=scores, person=left.people[rows], other=right.people[columns])


def _within(form: str, faces: Faces) -> Compared:
    """All pairs of one person within a set."""
    rows, columns = np.nonzero(np.triu(faces.people[:, None] == faces.people[None], 1))
    scores = (faces.units[rows] * faces.units[columns]).sum(axis=1)
    return Compared(form=form, scores=scores, person=faces.people[rows], other=faces.people[columns])


def _crossed(form: str, left: Faces, right: Faces, *, offset: int) -> Compared:
    """Each row of `left` against all of `right` of other people; offset is added to the numbers on the right."""
    if left.units.shape[1] != right.units.shape[1]:
        raise EvaluationError(f"{form}: embeddings of {left.units.shape[1]} and {right.units.shape[1]} dimensions")
    people = right.people + offset
    rows, columns = np.nonzero(left.people[:, None] != people[None])
    scores = (left.units @ right.units.T)[rows, columns]
    return Compared(form=form, scores=scores, person=left.people[rows], other=people[columns])
