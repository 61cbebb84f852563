"""How well are templates told apart: IJB's listed comparisons (1:1) and its search in two galleries (1:N).

1:1: TAR at FAR over the listed pairs of templates, FAR 1e-1 to 1e-6. 1:N: every probe is searched in gallery G1 and in
gallery G2 (S1 and S2 in IJB-B), whose people do not overlap; in each, probes of people in the other one are unknown.
CMC and TPIR at FPIR are the mean of the two, and each is shown (Maze et al., "IARPA Janus Benchmark - C", ICB 2018).
Some tools join both galleries into one search instead, in which nobody is unknown; those figures are others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.identification import DEFAULT_FPIRS, DEFAULT_RANKS, Identification, rate_search
from angulus.evaluation.rates.roc import (
    ACCEPT_RULE,
    EqualErrorRate,
    OperatingPoint,
    area_under_roc,
    equal_error_rate,
    tars_at_fars,
)
from angulus.evaluation.scores.cosines import Scores
from angulus.evaluation.scores.listed import listed_scores
from angulus.evaluation.scores.search import SearchResult, search_gallery
from angulus.evaluation.scores.template_pairs import TemplateGallery, TemplatePairs
from angulus.evaluation.scores.templates import Templates

_REJECTED = -2.0  # below every cosine, and so below every threshold

IJB_FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True, kw_only=True)
class TemplateVerification:
    """TAR at each FAR, largest FAR first, EER and AUC over the listed pairs.

    failed: templates without a face. rejected: how many genuine and impostor pairs have one, and are never accepted.
    """

    templates: int
    genuine: int
    impostors: int
    points: tuple[OperatingPoint, ...]
    eer: EqualErrorRate
    auc: float
    failed: int = 0
    rejected: tuple[int, int] = (0, 0)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"templates": self.templates, "genuine": self.genuine, "impostors": self.impostors},
            "tar_at_far": [point.as_dict() for point in self.points],
            "eer": self.eer.as_dict(),
            "auc": self.auc,
            **{"failures_to_enrol": self.failed, "rejected_pairs": list(self.rejected)},
            "rule": ACCEPT_RULE,
        }

    def table(self) -> str:
        """The figures as lines of text."""
        lines = [
            f"{self.templates:,} templates, {self.genuine:,} genuine and {self.impostors:,} impostor pairs;"
            f" {ACCEPT_RULE}",
            *self.failures(),
            f"EER {self.eer.rate:.3%} (threshold {self.eer.threshold:.4f}), AUC {self.auc:.6f}",
            "FAR (FMR) <=  TAR (TMR)  threshold     false accepts        true accepts",
        ]
        for point in self.points:
            accepts = f"{point.false_accepts:,} of {point.impostors:,}"
            trues = f"{point.true_accepts:,} of {point.genuine:,}"
            remark = "" if point.resolved else "  (too few impostor pairs for this FAR)"
            lines.append(
                f"{point.target:9g}    {point.tar:9.2%}  {point.threshold:9.4f}  {accepts:>16}  {trues:>18}{remark}"
            )
        return "\n".join(lines)

    def failures(self) -> list[str]:
        """What is counted as rejected, in words."""
        if not self.failed:
            return []
        return [
            f"{self.failed:,} templates without a face (failures to enrol): {self.rejected[0]:,} genuine and"
            f" {self.rejected[1]:,} impostor pairs count as rejected"
        ]


@dataclass(frozen=True, kw_only=True)
class TwoGalleries:
    """The search of one set of probes in two galleries; failed: probes and gallery templates without a face."""

    galleries: tuple[Identification, Identification]
    failed: tuple[int, int] = (0, 0)

    def mean_tpir(self, fpir: float, rank: int = 1) -> float:
        """Mean over both galleries."""
        return sum(found.tpir(fpir, rank) for found in self.galleries) / 2

    def mean_cmc(self) -> dict[int, float]:
        """Closed-set rate by rank, the mean over both galleries."""
        first, second = (found.cmc for found in self.galleries)
        return {one.rank: (one.rate + other.rate) / 2 for one, other in zip(first, second, strict=True)}

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: the means as published, and each gallery."""
        points = self.galleries[0].points
        return {
            "cmc": [{"rank": rank, "rate": rate} for rank, rate in self.mean_cmc().items()],
            "tpir_at_fpir": [
                {"target_fpir": point.target, "rank": point.rank, "tpir": self.mean_tpir(point.target, point.rank)}
                for point in points
            ],
            "failures_to_enrol": {"probes": self.failed[0], "gallery": self.failed[1]},
            "galleries": [found.as_dict() for found in self.galleries],
        }

    def table(self) -> str:
        """The figures as lines of text."""
        lines = ["mean of both galleries"]
        if any(self.failed):
            lines.append(
                f"templates without a face (failures to enrol): {self.failed[0]:,} probes and {self.failed[1]:,} of the"
                " galleries; they are never found"
            )
        lines += [f"rank {rank:<4d} {rate:9.2%}" for rank, rate in self.mean_cmc().items()]
        lines += [
            f"FPIR <= {point.target:<6g} rank {point.rank:<4d} TPIR {self.mean_tpir(point.target, point.rank):9.2%}"
            for point in self.galleries[0].points
        ]
        return "\n\n".join(["\n".join(lines), *(found.table() for found in self.galleries)])


def verify_templates(
    templates: Templates,
    pairs: TemplatePairs,
    *,
    fars: Sequence[float] = IJB_FARS,
    device: str | torch.device = "cpu",
) -> TemplateVerification:
    """TAR at FAR, EER and AUC of listed pairs of templates; raises EvaluationError for an unknown template id."""
    rejected = np.zeros(len(pairs), dtype=bool)
    if len(templates.failed):
        rejected = np.isin(pairs.left, templates.failed) | np.isin(pairs.right, templates.failed)
    cosines = np.full(len(pairs), _REJECTED, dtype=np.float32)
    listed = pairs if not rejected.any() else _kept(pairs, ~rejected)
    cosines[~rejected] = listed_scores(templates.vectors, listed.left, listed.right, find=templates.rows, device=device)
    genuine, impostor = _parted(cosines, pairs.same)
    genuine.sort()  # in place: Scores keeps a sorted array as it is
    impostor.sort()
    scores = Scores(genuine, impostor)
    return TemplateVerification(
        templates=len(templates),
        genuine=len(genuine),
        impostors=len(impostor),
        points=tars_at_fars(scores, fars),
        eer=equal_error_rate(scores),
        auc=area_under_roc(scores),
        failed=len(templates.failed),
        rejected=(int((rejected & pairs.same).sum()), int((rejected & ~pairs.same).sum())),
    )


def search_two_galleries(
    templates: Templates,
    probes: TemplateGallery,
    galleries: tuple[TemplateGallery, TemplateGallery],
    *,
    names: tuple[str, str] = ("G1", "G2"),
    fpirs: Sequence[float] = DEFAULT_FPIRS,
    ranks: Sequence[int] = DEFAULT_RANKS,
    device: str | torch.device = "cpu",
) -> TwoGalleries:
    """Search the probes in both galleries; raises EvaluationError when a subject is in both, or a gallery has no mate.

    A template listed more than once in a gallery or among the probes counts once.
    """
    probes, first, second = (_distinct(part) for part in (probes, *galleries))
    both = np.intersect1d(first.subjects, second.subjects)
    if len(both):
        raise EvaluationError(
            f"the two galleries must not share people, got subject {both[0]} in both ({len(both)} such subjects)"
        )
    found = []
    for name, gallery in zip(names, (first, second), strict=True):
        searched = _search(templates, probes, gallery, device)
        result = rate_search(searched, gallery.subjects, fpirs=fpirs, ranks=ranks, name=name)
        if not result.known or not result.unknown:
            raise EvaluationError(
                f"gallery {name} needs known and unknown probes, got {result.known} and {result.unknown}"
            )
        found.append(result)
    lost = [int(np.isin(part.templates, templates.failed).sum()) for part in (probes, first, second)]
    return TwoGalleries(galleries=(found[0], found[1]), failed=(lost[0], lost[1] + lost[2]))


def _search(
    templates: Templates, probes: TemplateGallery, gallery: TemplateGallery, device: str | torch.device
) -> SearchResult:
    """The search of a gallery. What has no face is found by nobody and finds nobody: it comes last of all."""
    there, enrolled = (~np.isin(part.templates, templates.failed) for part in (probes, gallery))
    found = search_gallery(
        templates.vectors[templates.rows(probes.templates[there])],
        templates.vectors[templates.rows(gallery.templates[enrolled])],
        probe_labels=probes.subjects[there],
        gallery_labels=gallery.subjects[enrolled],
        device=device,
    )
    if there.all() and enrolled.all():
        return found
    lost = np.isin(probes.subjects, gallery.subjects)
    lost[there] &= ~found.mated

    def spread(values: NDArray, missing: float) -> NDArray:
        every = np.full((len(there), *values.shape[1:]), missing, dtype=values.dtype)
        every[there] = values
        return every

    return SearchResult(
        rows=spread(found.rows, -1),
        scores=spread(found.scores, -np.inf),
        mate_rows=np.where(lost, 0, spread(found.mate_rows, -1)),
        mate_scores=np.where(lost, np.float32(_REJECTED), spread(found.mate_scores, -np.inf)),
        above=np.where(lost, len(enrolled), spread(found.above, 0)),
        tied=spread(found.tied, 0),
        nonmate_rows=spread(found.nonmate_rows, -1),
        nonmate_scores=spread(found.nonmate_scores, _REJECTED),
        gallery=len(enrolled),
        distractors=found.distractors,
    )


def _kept(pairs: TemplatePairs, kept: NDArray[np.bool_]) -> TemplatePairs:
    return TemplatePairs(left=pairs.left[kept], right=pairs.right[kept], same=pairs.same[kept])


def _parted(cosines: NDArray[np.float32], same: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Genuine and impostor scores; the latter move to the front of `cosines`, so that no second copy is made."""
    genuine, filled = cosines[same], 0
    for start in range(0, len(cosines), 2**20):
        part = cosines[start : start + 2**20][~same[start : start + 2**20]]
        cosines[filled : filled + len(part)] = part
        filled += len(part)
    return genuine, cosines[:filled]


def _distinct(part: TemplateGallery) -> TemplateGallery:
    ids, first = np.unique(part.templates, return_index=True)
    changed = np.flatnonzero(part.subjects[first][np.searchsorted(ids, part.templates)] != part.subjects)
    if len(changed):
        raise EvaluationError(
            f"a template must belong to one subject, got two for template {part.templates[changed[0]]}"
        )
    return TemplateGallery(templates=ids, subjects=part.subjects[first])
