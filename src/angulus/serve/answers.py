"""What the service answers with, as plain records: the server writes them as JSON, the client gives them out again.

What is not known, or was not asked for, is absent from the JSON, and None here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Rate:
    """An error rate and the ends of its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Point:
    """A threshold of comparisons and what it does.

    low, high: where other calibration people would have put it.  source: calibration, wanted FAR or chosen by hand.
    level: of the intervals.
    """

    threshold: float
    low: float
    high: float
    source: str
    level: float
    far: Rate | None = None
    frr: Rate | None = None


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a plug-in said about a face."""

    passed: bool
    score: float | None = None
    remark: str | None = None


@dataclass(frozen=True, kw_only=True)
class Face:
    """Which face of a photo was used.

    number of found: best detector score first.  reason: why this one.  box: left, top, right, bottom in pixels.
    checks: those that were asked for.
    """

    number: int
    found: int
    reason: str
    remarks: tuple[str, ...]
    box: tuple[float, float, float, float] | None = None
    detector_score: float | None = None
    checks: Mapping[str, CheckResult] | None = None


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that was looked at.  problem: why there is no face."""

    name: str
    height: int
    width: int
    face: Face | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class VerifyAnswer:
    """Are two faces of one person?"""

    request: str
    decision: Literal["same", "different", "cannot tell"]
    reason: str
    point: Point
    photos: tuple[Photo, ...]
    score: float | None = None
    log_likelihood_ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class DetectedFace:
    """A face that was found.  landmarks: both eyes, nose, both ends of the mouth, (x, y) in pixels."""

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    detector_score: float


@dataclass(frozen=True, kw_only=True)
class DetectAnswer:
    """All faces of a photo, best score first."""

    request: str
    name: str
    height: int
    width: int
    faces: tuple[DetectedFace, ...]


@dataclass(frozen=True, kw_only=True)
class EmbedAnswer:
    """Vectors of length 1 of the faces that are meant, one for each photo; absent where there was no face.

    artefact: what computed them; vectors of another artefact cannot be compared with them.
    """

    request: str
    artefact: str
    dim: int
    photos: tuple[Photo, ...]
    vectors: tuple[tuple[float, ...] | None, ...]


@dataclass(frozen=True, kw_only=True)
class SearchPoint:
    """The threshold of searches at the present size of the gallery; absent where the calibration cannot tell one.

    wanted_fpir: that was aimed at.  fpir: at the threshold.  smallest_fpir: that can be told at this size.
    """

    people: int
    photos: int
    threshold: float | None = None
    wanted_fpir: float | None = None
    fpir: Rate | None = None
    smallest_fpir: float | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A person whose score is above the threshold.

    photo: id of the enrolled photo that is nearest, photo_score its score.  crop: whether its crop can be fetched.
    """

    name: str
    score: float
    photo: str | None = None
    photo_score: float | None = None
    crop: bool = False


@dataclass(frozen=True, kw_only=True)
class SearchAnswer:
    """Who is it, among the enrolled, or unknown?

    score: the best in the gallery, whoever's.  candidates: those above the threshold; nobody else is named.
    """

    request: str
    decision: Literal["person", "unknown", "cannot tell"]
    reason: str
    point: SearchPoint
    photo: Photo
    candidates: tuple[Candidate, ...]
    person: str | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class EnrolledPhoto:
    """What became of a photo at enrolment.

    id: where it was enrolled.  template_score: with the person's template.  same_as: people who have the very same
    file.
    """

    photo: Photo
    id: str | None = None
    template_score: float | None = None
    same_as: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Lookalike:
    """Another person who resembles the one that was enrolled."""

    name: str
    score: float
    added: str


@dataclass(frozen=True, kw_only=True)
class EnrolAnswer:
    """A person as enrolled.  lowest_score: of a photo with the template.  people: in the gallery now."""

    request: str
    name: str
    person: str
    photos: tuple[EnrolledPhoto, ...]
    lookalikes: tuple[Lookalike, ...]
    people: int
    lowest_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class StoredPhoto:
    """A photo of a person.  crop: whether its crop is kept."""

    id: str
    added: str
    crop: bool = False


@dataclass(frozen=True, kw_only=True)
class PersonAnswer:
    """A person of the gallery."""

    name: str
    person: str
    added: str
    photos: tuple[StoredPhoto, ...]


@dataclass(frozen=True, kw_only=True)
class PersonLine:
    """A person in a list."""

    name: str
    photos: int
    added: str


@dataclass(frozen=True, kw_only=True)
class PeopleAnswer:
    """Some people.  total: in the gallery.  next: `after` of the next request, where there are more."""

    people: tuple[PersonLine, ...]
    total: int
    next: str | None = None


@dataclass(frozen=True, kw_only=True)
class RemoveAnswer:
    """What was removed: a person with so many photos, or one photo.  person_removed: nothing of the person is left."""

    request: str
    name: str
    photos: int
    person_removed: bool


@dataclass(frozen=True, kw_only=True)
class RateLine:
    """A rate at each threshold."""

    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationAnswer:
    """Error rates at every threshold, and the scores they come from.

    genuine, strangers: counts of scores between `edges`.  fpir: in a gallery of so many people and photos.
    smallest_far, smallest_fpir: that the data resolve.
    """

    level: float
    thresholds: tuple[float, ...]
    far: RateLine
    frr: RateLine
    edges: tuple[float, ...]
    genuine: tuple[int, ...]
    strangers: tuple[int, ...]
    calibration_people: int
    genuine_pairs: int
    stranger_pairs: int
    smallest_far: float
    people: int
    photos: int
    search_thresholds: tuple[float, ...] | None = None
    fpir: RateLine | None = None
    smallest_fpir: float | None = None


@dataclass(frozen=True, kw_only=True)
class ChoiceLine:
    """A choice of an operator.  use: verify or search.  rate: a wanted FAR or FPIR.  holds: it is in force."""

    use: str
    by: str
    reason: str
    key: str
    time: str
    holds: bool
    threshold: float | None = None
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class OperatingPoints:
    """The thresholds in force, and every choice that was made, the newest first."""

    choices: tuple[ChoiceLine, ...]
    verify: Point | None = None
    search: SearchPoint | None = None


@dataclass(frozen=True, kw_only=True)
class AuditAnswer:
    """The newest lines of the log, the newest first."""

    lines: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a request was refused: a word for programs, a sentence for people."""

    code: str
    message: str
    request: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The one form of errors."""

    error: Trouble


@dataclass(frozen=True, kw_only=True)
class Health:
    """Is the service alive, and ready to decide?"""

    status: Literal["ready", "stopping", "no gallery"]
    version: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """What decides here, and what is known about it."""

    angulus: str
    artefact: Mapping[str, Any]
    model: Mapping[str, Any]
    made: str
    detector: Mapping[str, Any] | None = None
    parity: Mapping[str, Any] | None = None
    threshold: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    checks: tuple[str, ...] = ()
