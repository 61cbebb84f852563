"""Error rates at every threshold: of single comparisons, and of searches in galleries of any size.

Rates are kept at some hundred thresholds, each with its interval. Between two of them the rates of the lower one hold,
which are the higher FAR and FPIR, so that nothing is promised that was not measured.

A template of several photos scores higher with strangers than a single photo does (on LFW its FPIR is 1.4 to 1.9 times
as high), so that searches are measured for each number of photos a person.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError
from angulus.runtime.fields import Fields
from angulus.runtime.thresholds import FORMAT, Rate, check_format

Numbers = NDArray[np.float64]
MOST_SEARCHES = 20
_PARTS = ("estimate", "low", "high")


@dataclass(frozen=True, kw_only=True, eq=False)
class RateCurve:
    """A rate at each of k rising thresholds: estimate, low and high [3, k]."""

    values: Numbers

    def at(self, place: int) -> Rate:
        """The rate at one of the thresholds."""
        estimate, low, high = (float(value) for value in self.values[:, place])
        return Rate(estimate=estimate, low=low, high=high)

    def to_dict(self) -> dict[str, list[float]]:
        """JSON-ready."""
        return {name: row.tolist() for name, row in zip(_PARTS, self.values, strict=True)}

    @classmethod
    def of(cls, given: Fields, count: int) -> "RateCurve":
        """The inverse of `to_dict` for so many thresholds."""
        rows = [given.numbers(name) for name in _PARTS]
        if any(len(row) != count for row in rows):
            raise BundleError(f"{given.where} must have {count} numbers in each list, got {[len(row) for row in rows]}")
        values = np.array(rows, dtype=np.float64).reshape(3, count)
        if not ((values >= 0) & (values <= 1)).all() or not _are_between(values):
            raise BundleError(f"{given.where}: rates must lie in 0 to 1, each within its interval")
        return cls(values=values)


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """Counts of genuine and stranger scores [b] between edges [b + 1]."""

    edges: Numbers
    genuine: NDArray[np.int64]
    strangers: NDArray[np.int64]

    def to_dict(self) -> dict[str, list[float]]:
        """JSON-ready."""
        return {"edges": self.edges.tolist(), "genuine": self.genuine.tolist(), "strangers": self.strangers.tolist()}

    @classmethod
    def of(cls, given: Fields) -> "Histogram":
        """The inverse of `to_dict`."""
        edges, genuine, strangers = (np.array(given.numbers(name)) for name in ("edges", "genuine", "strangers"))
        if not len(edges) == len(genuine) + 1 == len(strangers) + 1 or (np.diff(edges) <= 0).any():
            raise BundleError(f"{given.where}: edges must rise, and be one more than the counts")
        return cls(edges=edges, genuine=genuine.astype(np.int64), strangers=strangers.astype(np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchCurves:
    """FPIR of a stranger's photo in galleries of growing size, of people with so many photos each.

    photos: of a person.  people: strangers to each other who were searched among each other.  probes: photos that were
    searched for.  sizes: of galleries [s].  thresholds: rising [k].  fpir: one curve for each size.
    """

    photos: int
    people: int
    probes: int
    sizes: tuple[int, ...]
    thresholds: Numbers
    fpir: tuple[RateCurve, ...]

    def held(self, gallery: int) -> Numbers:
        """log(1 - FPIR) [3, k] for a gallery of so many people; 0 for an empty one.

        Between two sizes it is taken for linear in the size; beyond the largest, blocks of its size for independent,
        which errs on the safe side.
        """
        if gallery < 1:
            return np.zeros((3, len(self.thresholds)))
        place = int(np.searchsorted(self.sizes, gallery))
        if place == 0 or place == len(self.sizes):
            near = min(place, len(self.sizes) - 1)
            return gallery / self.sizes[near] * _logs(self.fpir[near])
        low, high = self.sizes[place - 1], self.sizes[place]
        share = (gallery - low) / (high - low)
        return (1 - share) * _logs(self.fpir[place - 1]) + share * _logs(self.fpir[place])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"photos": self.photos, "people": self.people, "probes": self.probes, "sizes": list(self.sizes)},
            **{"thresholds": self.thresholds.tolist(), "fpir": [curve.to_dict() for curve in self.fpir]},
        }

    @classmethod
    def of(cls, given: Fields) -> "SearchCurves":
        """The inverse of `to_dict`."""
        thresholds = _rising(given)
        sizes = [int(size) for size in given.numbers("sizes")]
        rows = given.any("fpir")
        if not isinstance(rows, list) or len(rows) != len(sizes) or not sizes or sizes != sorted({*sizes}):
            raise BundleError(f"{given.where}: sizes must rise and fpir have a curve for each")
        counts = {name: given.whole(name) for name in ("photos", "people", "probes")}
        if min(*sizes, *counts.values()) < 1:
            raise BundleError(f"{given.where}: sizes, photos, people and probes must be at least 1")
        curves = tuple(RateCurve.of(Fields(row, f"{given.where}: fpir"), len(thresholds)) for row in rows)
        return cls(**counts, sizes=tuple(sizes), thresholds=thresholds, fpir=curves)


GallerySize = Mapping[int, int]
"""How many people of a gallery have how many photos: {photos: people}."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Searches:
    """Searches in galleries, for each measured number of photos a person, all at the same thresholds."""

    curves: tuple[SearchCurves, ...]

    def __post_init__(self) -> None:
        photos = [curve.photos for curve in self.curves]
        if not photos or photos != sorted({*photos}):
            raise BundleError(f"searches must rise in photos, and be at least one, got {photos}")
        if any(not np.array_equal(curve.thresholds, self.thresholds) for curve in self.curves):
            raise BundleError("searches must have the same thresholds")

    @property
    def thresholds(self) -> Numbers:
        """Rising [k]."""
        return self.curves[0].thresholds

    def fpir(self, gallery: GallerySize) -> Numbers:
        """FPIR [3, k] at every threshold: estimate, low, high.

        People with a number of photos that was not measured count as the next larger one. Groups are taken for
        independent, which errs on the safe side. In a gallery of more people than were searched, the estimate and the
        upper end are never below what one person of theirs who was taken for somebody would give.
        """
        parts = [curve.held(people) for curve, people in self._groups(gallery)]
        total = np.broadcast_to(sum(parts, np.zeros(())), (3, len(self.thresholds))).copy()
        if self._blocks(gallery) > 1:
            total[[0, 2]] = np.minimum(total[[0, 2]], self._one_found(gallery))
        return 0.0 - np.expm1(total)  # 0, never -0, where nobody is

    def rate(self, threshold: float, gallery: GallerySize) -> Rate:
        """FPIR at a threshold."""
        return RateCurve(values=self.fpir(gallery)).at(_place(self.thresholds, threshold))

    def threshold_for(self, fpir: float, gallery: GallerySize) -> float:
        """The smallest kept threshold whose FPIR does not exceed the wanted one.

        Raises BundleError where the strangers are too few to tell.
        """
        rates = self.fpir(gallery)[0]
        least = self.smallest_fpir(gallery)
        if not least <= fpir < 1:
            probes, people = self.curves[0].probes, self.curves[0].people
            raise BundleError(
                f"FPIR must lie between {_bound(least)} and 1 for a gallery of {sum(gallery.values()):,} people: the"
                f" calibration has {probes:,} photos of {people:,} strangers; got {fpir:g}. Calibrate with more people"
            )
        return float(self.thresholds[int(np.flatnonzero(rates <= fpir)[0])])

    def smallest_fpir(self, gallery: GallerySize) -> float:
        """The smallest rate that can be told: one of the probes, one of the people carried over to the gallery's size,
        and what the highest threshold leaves.

        Photos of a person are not independent: beyond the highest score of n people, the next one's lies with the
        chance 1 / (n + 1), however many photos each has.
        """
        one = -math.expm1(self._one_found(gallery))
        return max(1 / self.curves[0].probes, one, float(self.fpir(gallery)[0].min()))

    def _groups(self, gallery: GallerySize) -> list[tuple[SearchCurves, int]]:
        """The curve for each number of photos of a gallery, and how many people have it."""
        groups: dict[int, int] = {}
        for photos, people in gallery.items():
            larger = [place for place, curve in enumerate(self.curves) if curve.photos >= photos]
            place = larger[0] if larger else len(self.curves) - 1
            groups[place] = groups.get(place, 0) + people
        return [(self.curves[place], people) for place, people in groups.items()]

    def _blocks(self, gallery: GallerySize) -> float:
        """How many times the largest gallery that was measured it is."""
        return sum(people / curve.sizes[-1] for curve, people in self._groups(gallery))

    def _one_found(self, gallery: GallerySize) -> float:
        """log(1 - FPIR) of a gallery if one of the people were taken for somebody in each block of the largest size."""
        return self._blocks(gallery) * math.log1p(-min(1 / self.curves[0].people, 0.5))

    def most_photos(self) -> int:
        """The largest number of photos a person that was measured."""
        return self.curves[-1].photos


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """What the calibration of an artefact measured.

    people, photos: of the calibration.  genuine, strangers: pairs.  thresholds: rising [k].  searches: None where
    there were too few people to search among.
    """

    artefact: str
    level: float
    people: int
    photos: int
    genuine: int
    strangers: int
    thresholds: Numbers
    far: RateCurve
    frr: RateCurve
    histogram: Histogram
    searches: Searches | None = None

    @property
    def smallest_far(self) -> float:
        """The smallest FAR that the pairs resolve."""
        return 1 / max(self.strangers, 1)

    def far_at(self, threshold: float) -> Rate:
        """FAR at a threshold."""
        return self.far.at(_place(self.thresholds, threshold))

    def frr_at(self, threshold: float) -> Rate:
        """FRR at a threshold; that of the kept threshold above it, which is the higher one."""
        place = _place(self.thresholds, threshold)
        above = min(place + 1, len(self.thresholds) - 1)
        return self.frr.at(place if self.thresholds[place] >= threshold else above)

    def threshold_for(self, far: float) -> float:
        """The smallest kept threshold whose FAR does not exceed the wanted one. Raises BundleError."""
        if not self.smallest_far <= far < 1:
            raise BundleError(
                f"FAR must lie between {_bound(self.smallest_far)}, one of the calibration's {self.strangers:,} pairs"
                f" of strangers, and 1, got {far:g}"
            )
        return float(self.thresholds[int(np.flatnonzero(self.far.values[0] <= far)[0])])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"format": FORMAT, "artefact": self.artefact, "level": self.level, "people": self.people},
            **{"photos": self.photos, "genuine": self.genuine, "strangers": self.strangers},
            **{"thresholds": self.thresholds.tolist(), "far": self.far.to_dict(), "frr": self.frr.to_dict()},
            **{"histogram": self.histogram.to_dict()},
            "searches": [] if self.searches is None else [curve.to_dict() for curve in self.searches.curves],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "calibration.json") -> "Curves":
        """The inverse of `to_dict`. Raises BundleError."""
        given = Fields(values, where)
        check_format(given)
        thresholds = _rising(given)
        count = len(thresholds)
        counts = {name: given.whole(name) for name in ("people", "photos", "genuine", "strangers")}
        return cls(
            **{"artefact": given.text("artefact"), "level": given.number("level")},
            **counts,
            thresholds=thresholds,
            far=RateCurve.of(given.inner("far"), count),
            frr=RateCurve.of(given.inner("frr"), count),
            histogram=Histogram.of(given.inner("histogram")),
            searches=_searches(given),
        )


def _place(thresholds: Numbers, threshold: float) -> int:
    """The last of the thresholds that is not above this one; the first where all are."""
    if not math.isfinite(threshold):
        raise BundleError(f"a threshold must be a finite number, got {threshold}")
    return max(0, int(np.searchsorted(thresholds, threshold, side="right")) - 1)


def _are_between(values: Numbers) -> bool:
    """Whether estimates lie within their intervals, but for rounding."""
    estimate, low, high = values
    return bool(((low <= estimate + 1e-12) & (estimate <= high + 1e-12)).all())


def _bound(number: float) -> str:
    """A lower bound in two digits, rounded up where they would be below it, so that what is said is taken."""
    near = f"{number:.2g}"
    if float(near) >= number:
        return near
    return f"{float(Context(prec=2, rounding=ROUND_CEILING).create_decimal_from_float(number)):g}"


def _logs(curve: RateCurve) -> Numbers:
    """log(1 - rate) [3, k]."""
    return np.log1p(-np.minimum(curve.values, 1 - 1e-12))


def _searches(given: Fields) -> Searches | None:
    rows = given.any("searches")
    if not isinstance(rows, list) or len(rows) > MOST_SEARCHES:
        raise BundleError(f"{given.where}: searches must be a list of at most {MOST_SEARCHES}")
    curves = tuple(SearchCurves.of(Fields(row, f"{given.where}: searches")) for row in rows)
    return Searches(curves=curves) if curves else None


def _rising(given: Fields) -> Numbers:
    thresholds = np.array(given.numbers("thresholds"), dtype=np.float64)
    if len(thresholds) < 2 or (np.diff(thresholds) <= 0).any():
        raise BundleError(f"{given.where}: thresholds must be at least two numbers that rise")
    return thresholds
