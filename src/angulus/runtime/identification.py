"""Who is it, among the people of a gallery, or nobody of them? With the rate at which strangers come back as someone.

The threshold moves with the gallery: it is the smallest whose FPIR at the present size does not exceed the wanted one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from angulus.errors import BundleError
from angulus.runtime.curves import GallerySize, Searches
from angulus.runtime.thresholds import Rate

SearchDecision = Literal["person", "unknown", "cannot tell"]
UNMEASURED = (
    "the calibration has no searches, so that no threshold for this gallery is known: export the bundle again with"
    " --images of more people"
)


class Found(Protocol):
    """A person of the gallery whom the search found."""

    @property
    def name(self) -> str:
        """As enrolled."""
        ...

    @property
    def score(self) -> float:
        """Cosine with the person's template."""
        ...


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A person whose score is greater than the threshold."""

    name: str
    score: float


@dataclass(frozen=True, kw_only=True)
class SearchPoint:
    """The threshold of searches in a gallery of a size, and what it does.

    threshold: None where the calibration cannot tell one, `reason` says why.  wanted: FPIR that was aimed at, None for
    a threshold that was set.  fpir: at the threshold.  smallest: FPIR that the calibration resolves at this size.
    people, photos: of the gallery.
    """

    threshold: float | None
    wanted: float | None
    fpir: Rate | None
    smallest: float | None
    people: int
    photos: int
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"threshold": self.threshold, "wanted_fpir": self.wanted, "smallest_fpir": self.smallest},
            **{"fpir": None if self.fpir is None else self.fpir.to_dict()},
            **{"people": self.people, "photos": self.photos},
        }


@dataclass(frozen=True, kw_only=True)
class Identification:
    """The answer of a search.

    person: the best of the candidates; None for a stranger.  candidates: those above the threshold, best first; nobody
    else is named.  score: the best in the gallery, whoever's; None for an empty one.  reason: one sentence.
    """

    decision: SearchDecision
    person: str | None
    score: float | None
    candidates: tuple[Candidate, ...]
    point: SearchPoint
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found = [{"name": one.name, "score": one.score} for one in self.candidates]
        return {
            **{"decision": self.decision, "person": self.person, "score": self.score, "candidates": found},
            **{"reason": self.reason, **self.point.to_dict()},
        }


def search_point(
    searches: Searches | None, gallery: GallerySize, *, fpir: float | None = None, threshold: float | None = None
) -> SearchPoint:
    """The threshold for a wanted FPIR, or the one that was set, with the FPIR in a gallery.

    searches: of the bundle's calibration.  gallery: {photos: people}. Raises BundleError unless one of fpir and
    threshold is given. What the calibration cannot tell is no error: the point has no threshold, and a reason.
    """
    if (fpir is None) == (threshold is None):
        raise BundleError("give a wanted FPIR or a threshold of searches, one of them")
    size = {"people": sum(gallery.values()), "photos": sum(photos * people for photos, people in gallery.items())}
    if searches is None:
        return SearchPoint(threshold=threshold, wanted=fpir, fpir=None, smallest=None, reason=UNMEASURED, **size)
    smallest = searches.smallest_fpir(gallery)
    try:
        value = searches.threshold_for(fpir, gallery) if fpir is not None else float(threshold or 0.0)
    except BundleError as error:
        return SearchPoint(threshold=None, wanted=fpir, fpir=None, smallest=smallest, reason=str(error), **size)
    rate = searches.rate(value, gallery)
    return SearchPoint(threshold=value, wanted=fpir, fpir=rate, smallest=smallest, **size)


def identify(hits: Sequence[Found], point: SearchPoint) -> Identification:
    """Decide about what a search found, best score first."""
    score = hits[0].score if hits else None
    if score is None:
        reason = "nobody is enrolled"
        return Identification(decision="unknown", person=None, score=None, candidates=(), point=point, reason=reason)
    if point.threshold is None:
        return Identification(
            decision="cannot tell", person=None, score=score, candidates=(), point=point, reason=point.reason
        )
    limit = point.threshold
    above = tuple(Candidate(name=hit.name, score=hit.score) for hit in hits if hit.score > limit)
    reason = f"the best score is {'greater' if above else 'not greater'} than the threshold"
    return Identification(
        decision="person" if above else "unknown",
        person=above[0].name if above else None,
        **{"score": score, "candidates": above, "point": point, "reason": reason},
    )
