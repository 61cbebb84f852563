"""How sure are the rates of a search? Intervals from drawing the probes' people anew, the gallery held fixed.

An impostor comparison of an open-set search is an unknown probe with its best score; a genuine one is a known probe
with its mate's score, which counts only when the rank is good enough (else it is below every threshold).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from angulus.evaluation.scores.search import SearchResult
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.rate_intervals import TarInterval, share_interval, tar_at_far_intervals
from angulus.plain_numbers import plain, text


@dataclass(frozen=True, kw_only=True)
class SearchConfidence:
    """rank_one: CMC at rank 1; points: TPIR at each FPIR and rank 1 (a `TarInterval` reads FPIR for FAR)."""

    people: int
    level: float
    rank_one: Interval | None
    points: tuple[TarInterval, ...]

    def at(self, fpir: float) -> TarInterval | None:
        """The interval at this FPIR, None where there is none."""
        return next((point for point in self.points if point.target == fpir), None)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"people": self.people, "level": self.level, "resampled": "people of the probes"},
            "rank_1": None if self.rank_one is None else self.rank_one.as_dict(),
            "tpir_at_fpir": [
                {
                    **{"target_fpir": point.target, "rank": 1, "threshold": point.threshold},
                    "threshold_interval": [point.threshold_low, point.threshold_high],
                    **{"tpir": point.tar.as_dict(), "person_tpir": point.person_tar.as_dict()},
                    **{"fpir": point.far.as_dict(), "resolved": point.resolved},
                }
                for point in self.points
            ],
        }

    def lines(self) -> list[str]:
        """The intervals as lines of text."""
        lines = [f"{100 * self.level:g} % intervals, drawing anew the {self.people:,} people of the probes"]
        lines += [] if self.rank_one is None else [f"rank 1     {text(self.rank_one.estimate, self.rank_one)}"]
        for point in self.points:
            remark = "" if point.resolved else "  (this set cannot resolve this FPIR)"
            tpir, mean = (text(each.estimate, each) for each in (point.tar, point.person_tar))
            lines.append(
                f"FPIR <= {plain(point.target)}, rank 1: TPIR {tpir}, mean over people {mean},"
                f" threshold {point.threshold_low:.4f} to {point.threshold_high:.4f}{remark}"
            )
        return lines


def search_confidence(
    found: SearchResult, probe_labels: ArrayLike, fpirs: Sequence[float], bootstrap: Bootstrap | None = None
) -> SearchConfidence:
    """Intervals of rank 1 and of TPIR at each FPIR; probe_labels: whole numbers [p]."""
    options, people = bootstrap or Bootstrap(), np.asarray(probe_labels)
    known, first = found.mated, found.ranks == 1
    enough = known.any() and len(np.unique(people[known])) > 1
    rank_one = share_interval(first[known], people[known], options) if enough else None
    points: tuple[TarInterval, ...] = ()
    if enough and not known.all():
        genuine = np.where(first, found.mate_scores, -np.inf)
        scores = np.where(known, genuine, found.nonmate_scores).astype(np.float32)
        points = tar_at_far_intervals(SubjectScores.of_pairs(scores, known, people, None), fpirs, options)
    return SearchConfidence(people=len(np.unique(people)), level=options.level, rank_one=rank_one, points=points)
