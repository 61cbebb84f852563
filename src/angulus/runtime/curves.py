"""Error rates at every threshold: of single comparisons, and of searches in galleries of any size.

Rates are kept at some hundred thresholds, each with its interval. Between two of them the rates of the lower one hold,
which are the higher FAR and FPIR, so that nothing is promised that was not measured.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError
from angulus.runtime.fields import Fields
from angulus.runtime.thresholds import FORMAT, Rate, check_format

Numbers = NDArray[np.float64]
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
        if not ((values >= 0) & (values <= 1)).all() or not (values[1] <= values[2]).all():
            raise BundleError(
                f"{given.where}: rates and their intervals must lie in 0 to 1, the low end below the high"
            )
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
    """FPIR of a stranger's photo in galleries of growing size.

    people: strangers to each other who were searched among each other.  probes: their photos.  sizes: of galleries [s].
    thresholds: rising [k].  fpir: one curve for each size.
    """

    people: int
    probes: int
    sizes: tuple[int, ...]
    thresholds: Numbers
    fpir: tuple[RateCurve, ...]

    def curve(self, gallery: int) -> Numbers:
        """FPIR [3, k] for a gallery of so many people; none find anybody in an empty gallery.

        Between two sizes log(1 - FPIR) is taken for linear in the size; beyond the largest, blocks of its size for
        independent, which errs on the safe side.
        """
        if gallery < 1:
            return np.zeros((3, len(self.thresholds)))
        place = int(np.searchsorted(self.sizes, gallery))
        if place < len(self.sizes) and self.sizes[place] == gallery:
            return self.fpir[place].values
        if place == 0:
            return _grown(self.fpir[0].values, gallery / self.sizes[0])
        if place == len(self.sizes):
            return _grown(self.fpir[-1].values, gallery / self.sizes[-1])
        low, high = self.sizes[place - 1], self.sizes[place]
        share = (gallery - low) / (high - low)
        logs = [np.log1p(-np.minimum(self.fpir[row].values, 1 - 1e-12)) for row in (place - 1, place)]
        return -np.expm1((1 - share) * logs[0] + share * logs[1])

    def rate(self, threshold: float, gallery: int) -> Rate:
        """FPIR at a threshold in a gallery of so many people."""
        return RateCurve(values=self.curve(gallery)).at(_place(self.thresholds, threshold))

    def threshold_for(self, fpir: float, gallery: int) -> float:
        """The smallest kept threshold whose FPIR does not exceed the wanted one.

        Raises BundleError where the strangers are too few to tell: one more would change the answer.
        """
        rates = self.curve(gallery)[0]
        least = self.smallest_fpir(gallery)
        if not 0 < fpir < 1 or fpir < least:
            raise BundleError(
                f"FPIR must lie between {least:.2g} and 1 for a gallery of {gallery:,} people: the calibration has"
                f" {self.probes:,} photos of {self.people:,} strangers; got {fpir:g}. Calibrate with more people"
            )
        return float(self.thresholds[int(np.flatnonzero(rates <= fpir)[0])])

    def smallest_fpir(self, gallery: int) -> float:
        """The smallest rate that the calibration resolves: one of its probes, and what its highest threshold leaves."""
        return max(1 / self.probes, float(self.curve(gallery)[0].min()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"people": self.people, "probes": self.probes, "sizes": list(self.sizes)},
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
        if min(sizes) < 1 or given.whole("probes") < 1:
            raise BundleError(f"{given.where}: sizes and probes must be at least 1")
        curves = tuple(RateCurve.of(Fields(row, f"{given.where}: fpir"), len(thresholds)) for row in rows)
        people, probes = given.whole("people"), given.whole("probes")
        return cls(people=people, probes=probes, sizes=tuple(sizes), thresholds=thresholds, fpir=curves)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """What the calibration of an artefact measured.

    people, photos: of the calibration.  genuine, strangers: pairs.  thresholds: rising [k].  search: None where there
    were too few people to search among.
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
    search: SearchCurves | None = None

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
                f"FAR must lie between {self.smallest_far:.2g}, one of the calibration's {self.strangers:,} pairs of"
                f" strangers, and 1, got {far:g}"
            )
        return float(self.thresholds[int(np.flatnonzero(self.far.values[0] <= far)[0])])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"format": FORMAT, "artefact": self.artefact, "level": self.level, "people": self.people},
            **{"photos": self.photos, "genuine": self.genuine, "strangers": self.strangers},
            **{"thresholds": self.thresholds.tolist(), "far": self.far.to_dict(), "frr": self.frr.to_dict()},
            **{"histogram": self.histogram.to_dict()},
            "search": None if self.search is None else self.search.to_dict(),
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
            search=SearchCurves.of(given.inner("search")) if given.has("search") else None,
        )


def _place(thresholds: Numbers, threshold: float) -> int:
    """The last of the thresholds that is not above this one; the first where all are."""
    if not math.isfinite(threshold):
        raise BundleError(f"a threshold must be a finite number, got {threshold}")
    return max(0, int(np.searchsorted(thresholds, threshold, side="right")) - 1)


def _grown(rates: Numbers, times: float) -> Numbers:
    """FPIR of a gallery so many times as large, its parts taken for independent."""
    return -np.expm1(times * np.log1p(-np.minimum(rates, 1 - 1e-12)))


def _rising(given: Fields) -> Numbers:
    thresholds = np.array(given.numbers("thresholds"), dtype=np.float64)
    if len(thresholds) < 2 or (np.diff(thresholds) <= 0).any():
        raise BundleError(f"{given.where}: thresholds must be at least two numbers that rise")
    return thresholds
