"""Is the right person found in a gallery, and are strangers turned away: closed-set and open-set rates of a search.

A probe is *known* when its person is in the gallery, else *unknown*. With threshold t and rank k (ISO/IEC 19795-1):

    CMC(k)      = #{known: rank <= k} / known                         closed set: every probe is assumed to be known
    FPIR(t)     = #{unknown: top score > t} / unknown                 a stranger is taken for somebody
    TPIR(t, k)  = #{known: mate score > t and rank <= k} / known      = 1 - FNIR; BLUFR and others call it DIR

The threshold is the smallest one whose FPIR does not exceed the target: the (floor(FPIR u) + 1)-th largest top score
of the u unknown probes. Ranks are pessimistic: a stranger with exactly the mate's score counts against the probe.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from angulus.embeddings.columns import array_of
from angulus.errors import EvaluationError
from angulus.evaluation.scores.search import SearchResult, search_gallery
from angulus.evaluation.scores.vectors import VectorBlocks

IDENTIFY_RULE = "a probe is identified when its mate's score is greater than the threshold and its rank at most k"
DEFAULT_RANKS = (1, 5, 10)
DEFAULT_FPIRS = (0.1, 0.01)


@dataclass(frozen=True, kw_only=True)
class RankPoint:
    """Closed set: `hits` of `known` probes whose mate is among the k best; tied: how many a tie with a mate cost."""

    rank: int
    hits: int
    known: int
    tied: int

    @property
    def rate(self) -> float:
        """CMC at this rank."""
        return self.hits / self.known

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"rank": self.rank, "rate": self.rate, "hits": self.hits, "known": self.known, "lost_to_ties": self.tied}


@dataclass(frozen=True, kw_only=True)
class IdentificationPoint:
    """Open set: the rates at one threshold and rank, with the counts behind them.

    resolved: False when there are fewer than 1 / target unknown probes, so that not one false positive is allowed.
    """

    target: float
    rank: int
    threshold: float
    false_positives: int
    unknown: int
    hits: int
    known: int
    resolved: bool

    @property
    def fpir(self) -> float:
        """False positive identification rate that was reached."""
        return self.false_positives / self.unknown

    @property
    def tpir(self) -> float:
        """True positive identification rate (DIR)."""
        return self.hits / self.known

    @property
    def fnir(self) -> float:
        """False negative identification rate."""
        return (self.known - self.hits) / self.known

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"target_fpir": self.target, "rank": self.rank, "threshold": self.threshold},
            **{"fpir": self.fpir, "tpir": self.tpir, "dir": self.tpir, "fnir": self.fnir},
            **{"false_positives": self.false_positives, "unknown": self.unknown},
            **{"hits": self.hits, "known": self.known, "resolved": self.resolved, "rule": IDENTIFY_RULE},
        }


@dataclass(frozen=True, kw_only=True)
class Identification:
    """Every figure of one search. points is empty without unknown or without known probes, cmc without known ones."""

    name: str
    gallery: int
    subjects: int
    distractors: int
    known: int
    unknown: int
    cmc: tuple[RankPoint, ...]
    points: tuple[IdentificationPoint, ...]

    def tpir(self, fpir: float, rank: int = 1) -> float:
        """TPIR at an FPIR and rank that were asked for."""
        for point in self.points:
            if (point.target, point.rank) == (fpir, rank):
                return point.tpir
        known = ", ".join(f"FPIR {point.target:g} rank {point.rank}" for point in self.points) or "nothing"
        raise EvaluationError(f"TPIR was computed at {known}; got FPIR {fpir:g} rank {rank}")

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"name": self.name, "gallery": self.gallery, "subjects": self.subjects},
            **{"distractors": self.distractors, "known": self.known, "unknown": self.unknown},
            "cmc": [point.as_dict() for point in self.cmc],
            "tpir_at_fpir": [point.as_dict() for point in self.points],
            "rule": IDENTIFY_RULE,
        }

    def table(self) -> str:
        """The figures as lines of text."""
        lines = [
            f"{self.name or 'identification'}: gallery of {self.gallery:,} entries of {self.subjects:,} people,"
            f" {self.distractors:,} distractors, {self.known:,} known and {self.unknown:,} unknown probes",
            IDENTIFY_RULE,
        ]
        if self.subjects == 1 and not self.distractors:
            lines.append("note: the gallery holds one person alone, so that every known probe is found at rank 1")
        lines += [f"rank {point.rank:<4d} {point.rate:9.2%}  {point.hits:,} of {point.known:,}" for point in self.cmc]
        if self.points:
            lines.append("FPIR <=    rank   TPIR (DIR)  threshold   false positives        identified")
        lines += [_point_line(point) for point in self.points]
        return "\n".join(lines)


def cmc(found: SearchResult, ranks: Sequence[int] = DEFAULT_RANKS) -> tuple[RankPoint, ...]:
    """Closed-set rates of the known probes, smallest rank first."""
    mated = found.mated
    if not mated.any():
        raise EvaluationError(f"CMC needs known probes, got none among {len(found)}; check the labels of the gallery")
    strict, kind = found.ranks[mated], found.optimistic_ranks[mated]
    points = []
    for rank in _checked_ranks(ranks):
        hits = int((strict <= rank).sum())
        tied = int((kind <= rank).sum()) - hits
        points.append(RankPoint(rank=rank, hits=hits, known=len(strict), tied=tied))
    return tuple(points)


def tpir_at_fpir(found: SearchResult, fpir: float, *, rank: int = 1) -> IdentificationPoint:
    """TPIR (DIR) at the smallest threshold whose FPIR does not exceed `fpir` (0 <= fpir < 1)."""
    _checked_ranks([rank])
    mated = found.mated
    unknown = np.sort(found.nonmate_scores[~mated])
    if not len(unknown) or not mated.any():
        raise EvaluationError(
            f"TPIR at FPIR needs known and unknown probes, got {int(mated.sum())} and {len(unknown)};"
            " an open-set test needs probes whose person is not in the gallery, and probes whose person is"
        )
    allowed = allowed_count(fpir, len(unknown))
    threshold = float(unknown[len(unknown) - 1 - allowed])
    accepted = mated & (found.ranks <= rank) & (found.mate_scores > threshold)
    return IdentificationPoint(
        target=float(fpir),
        rank=int(rank),
        threshold=threshold,
        false_positives=int((unknown > threshold).sum()),
        unknown=len(unknown),
        hits=int(accepted.sum()),
        known=int(mated.sum()),
        resolved=allowed >= 1,
    )


def identify(
    probes: ArrayLike,
    gallery: ArrayLike,
    *,
    probe_labels: ArrayLike,
    gallery_labels: ArrayLike,
    distractors: VectorBlocks = (),
    fpirs: Sequence[float] = DEFAULT_FPIRS,
    ranks: Sequence[int] = DEFAULT_RANKS,
    name: str = "",
    device: str | torch.device = "cpu",
) -> Identification:
    """Search and rate: CMC at every rank, and TPIR at every FPIR and rank.

    Arguments as for `search_gallery`. With distractors this is the Trillion-Pairs form.
    """
    found = search_gallery(
        probes,
        gallery,
        probe_labels=probe_labels,
        gallery_labels=gallery_labels,
        distractors=distractors,
        device=device,
    )
    return rate_search(found, gallery_labels, fpirs=fpirs, ranks=ranks, name=name)


def rate_search(
    found: SearchResult,
    gallery_labels: ArrayLike,
    *,
    fpirs: Sequence[float] = DEFAULT_FPIRS,
    ranks: Sequence[int] = DEFAULT_RANKS,
    name: str = "",
) -> Identification:
    """Every rate of a search that was made; raises EvaluationError for an empty gallery or no probes at all."""
    if not found.gallery or not len(found):
        raise EvaluationError(f"identification needs probes and a gallery, got {len(found)} and {found.gallery} rows")
    known = int(found.mated.sum())
    unknown = len(found) - known
    points: tuple[IdentificationPoint, ...] = ()
    if known and unknown:
        targets = sorted(set(fpirs), reverse=True)
        points = tuple(tpir_at_fpir(found, fpir, rank=rank) for fpir in targets for rank in _checked_ranks(ranks))
    return Identification(
        name=name,
        gallery=found.gallery,
        subjects=len(np.unique(array_of(gallery_labels))),
        distractors=found.distractors,
        known=known,
        unknown=unknown,
        cmc=cmc(found, ranks) if known else (),
        points=points,
    )


def first_image_gallery(labels: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of a gallery and of its probes out of one labelled set.

    Gallery: the first image of each person with two or more. Probes: all other images; those of people with a single
    image are unknown.
    """
    values = array_of(labels)
    _, first, counts = np.unique(values, return_index=True, return_counts=True)
    gallery = np.sort(first[counts > 1]).astype(np.int64)
    return gallery, np.setdiff1d(np.arange(len(values), dtype=np.int64), gallery)


def allowed_count(rate: float, count: int) -> int:
    """The largest k with k / count <= rate, free of the rounding of rate * count."""
    if not 0 <= rate < 1:
        raise EvaluationError(f"a target rate must be at least 0 and below 1, got {rate}")
    allowed = int(rate * count)
    allowed += (allowed + 1) / count <= rate
    return allowed - (allowed / count > rate)


def _checked_ranks(ranks: Sequence[int]) -> list[int]:
    if not len(ranks) or min(ranks) < 1:
        raise EvaluationError(f"ranks must be whole numbers of at least 1, got {list(ranks)}")
    return sorted({int(rank) for rank in ranks})


def _point_line(point: IdentificationPoint) -> str:
    positives = f"{point.false_positives:,} of {point.unknown:,}"
    hits = f"{point.hits:,} of {point.known:,}"
    remark = "" if point.resolved else "  (too few unknown probes for this FPIR)"
    return (
        f"{point.target:<9g} {point.rank:5d}   {point.tpir:10.2%}  {point.threshold:9.4f}  {positives:>16}"
        f"  {hits:>16}{remark}"
    )
