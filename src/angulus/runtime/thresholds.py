"""Which threshold is deployed, and what it does: error rates with intervals, for one artefact alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from angulus.errors import BundleError
from angulus.runtime.fields import Fields

FORMAT = 1
MOST = 1 + 1e-5
"""A cosine of numbers of 32 bits may lie a little beyond 1."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """An error rate and the ends of its interval, each 0 to 1."""

    estimate: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.estimate <= self.high <= 1:
            raise BundleError(
                "a rate must lie within its interval, and both in 0 to 1, got"
                f" {self.estimate:g} ({self.low:g} to {self.high:g})"
            )

    def to_dict(self) -> dict[str, float]:
        """JSON-ready."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high}

    @classmethod
    def of(cls, given: Fields) -> "Rate":
        """The inverse of `to_dict`."""
        return cls(estimate=given.number("estimate"), low=given.number("low"), high=given.number("high"))


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """log-likelihood ratio (natural logarithm) = slope score + offset."""

    slope: float
    offset: float

    def llr(self, score: float) -> float:
        """How much likelier the score is for one person than for two: positive speaks for one."""
        return self.slope * score + self.offset


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold on the cosine, chosen on some people and tried on others, who had no part in the choice.

    artefact: the name of the artefact that gave the scores.  low, high: where other people would have put it.
    target_far: the FAR aimed at.  far, frr: measured on the people it was tried on, the latter as the mean over people
    of each one's own.  level: of all intervals.
    people: it was tried on.  meaning: of scores, where they were calibrated.  note: empty, or why to be careful.
    """

    artefact: str
    value: float
    low: float
    high: float
    target_far: float
    far: Rate
    frr: Rate
    level: float
    people: int
    meaning: Meaning | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not -MOST <= self.low <= self.value <= self.high <= MOST:
            raise BundleError(
                "a threshold must lie within its interval, and both in -1 to 1, as scores do, got"
                f" {self.value:g} ({self.low:g} to {self.high:g})"
            )
        if not (0 < self.target_far < 1 and 0 < self.level < 1):
            raise BundleError(f"target_far and level must lie in 0 to 1, got {self.target_far:g} and {self.level:g}")

    def accepts(self, score: float) -> bool:
        """Whether two faces are taken for one person: the score is greater than the threshold."""
        return score > self.value

    def is_near(self, score: float) -> bool:
        """Whether other people's threshold might have decided otherwise."""
        return self.low <= score <= self.high

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        meaning = None if self.meaning is None else {"slope": self.meaning.slope, "offset": self.meaning.offset}
        return {
            **{"format": FORMAT, "artefact": self.artefact, "value": self.value, "low": self.low, "high": self.high},
            **{"target_far": self.target_far, "far": self.far.to_dict(), "frr": self.frr.to_dict()},
            **{"level": self.level, "people": self.people, "llr": meaning, "note": self.note},
            "rule": "two faces are taken for one person when their score is greater than the value",
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "threshold.json") -> "Threshold":
        """The inverse of `to_dict`. Raises BundleError."""
        given = Fields(values, where)
        check_format(given)
        meaning = None
        if given.has("llr"):
            llr = given.inner("llr")
            meaning = Meaning(slope=llr.number("slope"), offset=llr.number("offset"))
        return cls(
            **{"artefact": given.text("artefact"), "value": given.number("value")},
            **{"low": given.number("low"), "high": given.number("high"), "target_far": given.number("target_far")},
            **{"far": Rate.of(given.inner("far")), "frr": Rate.of(given.inner("frr"))},
            **{"level": given.number("level"), "people": given.whole("people")},
            **{"meaning": meaning, "note": given.text("note")},
        )


def check_format(given: Fields) -> None:
    """Raise BundleError for a file of another format."""
    found = given.whole("format")
    if found != FORMAT:
        raise BundleError(f"{given.where} has format {found}, this version reads format {FORMAT}: update Angulus")


def as_text(values: Mapping[str, Any]) -> str:
    """JSON text of a file in a bundle."""
    return json.dumps(values, indent=1, allow_nan=False) + "\n"
