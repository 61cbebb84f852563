"""Who is looked for where, and which gallery images count: the rules of retrieval and re-identification.

Everywhere, an image of a negative label is junk: it is taken out of every list. Where the queries are the gallery, each
query is taken out of its own list. Beyond that,

"plain"        (CUB, Cars, SOP, faces) every image counts
"market-1501"  images of the query's person by the query's own camera are taken out of its list; label 0 is a
               distractor, which stays in the list and is always wrong. (-1 marks junk detections)
"msmt17"       the same exclusion by camera; there are no distractors, 0 is a person

Where people have names, these decide and not the numbers behind them: "0", "0000" is the label 0 and "-1" the label -1.

Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015; Wei et al., Person Transfer GAN to Bridge
Domain Gap for Person Re-Identification, CVPR 2018 (MSMT17).
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.embeddings.shared_images import shared_rows
from angulus.errors import EvaluationError

_WHOLE = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class RetrievalRule:
    """Which gallery images count; distractors: labels that are never right."""

    name: str
    exclude_same_camera: bool = False
    distractors: tuple[int, ...] = ()


PLAIN = RetrievalRule(name="plain")
MARKET_1501 = RetrievalRule(name="market-1501", exclude_same_camera=True, distractors=(0,))
MSMT17 = RetrievalRule(name="msmt17", exclude_same_camera=True)
RETRIEVAL_RULES = {rule.name: rule for rule in (PLAIN, MARKET_1501, MSMT17)}


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchTask:
    """Labels int64 of q queries and g gallery images, their cameras (numbers or names, or None) and the rule.

    same: the queries are the gallery, row by row. own: int64 [q], the row of each query's own image in the gallery,
    which is taken out of its list; -1 where it is not there. Raises EvaluationError for unlike lengths or missing
    cameras.
    """

    rule: RetrievalRule
    query_labels: NDArray[np.int64]
    gallery_labels: NDArray[np.int64]
    query_cameras: NDArray | None = None
    gallery_cameras: NDArray | None = None
    same: bool = False
    own: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        sides = {
            "query": (self.query_labels, self.query_cameras),
            "gallery": (self.gallery_labels, self.gallery_cameras),
        }
        for name, (labels, cameras) in sides.items():
            if cameras is None and self.rule.exclude_same_camera:
                raise EvaluationError(
                    f"the rule {self.rule.name!r} needs the camera of each {name} image, a column named 'camera';"
                    " add it, or use the rule 'plain'"
                )
            if cameras is not None and cameras.shape != labels.shape:
                raise EvaluationError(f"{name} cameras must have {len(labels)} entries, got {list(cameras.shape)}")
        if self.same and len(self.query_labels) != len(self.gallery_labels):
            raise EvaluationError(
                f"queries that are the gallery must be as many as its {len(self.gallery_labels)} images,"
                f" got {len(self.query_labels)}"
            )

    def sides(self, query: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For one query: which gallery images [g] are right, and which are wrong; all others do not count."""
        label = self.query_labels[query]
        own = self.gallery_labels == label
        if label < 0 or label in self.rule.distractors:
            own = np.zeros_like(own)
        counted = self.gallery_labels >= 0
        if self.rule.exclude_same_camera and self.query_cameras is not None and self.gallery_cameras is not None:
            counted &= ~(own & (self.gallery_cameras == self.query_cameras[query]))
        if self.same:
            counted[query] = False
        elif self.own is not None and self.own[query] >= 0:
            counted[self.own[query]] = False
        return own & counted, counted & ~own

    def notes(self) -> tuple[str, ...]:
        """What the rule leaves out and how much, in words."""
        lines = []
        for what, marked in (
            ("junk (label -1)", lambda labels: labels < 0),
            ("distractors, which are never right", lambda labels: np.isin(labels, self.rule.distractors)),
        ):
            images, queries = (int(marked(labels).sum()) for labels in (self.gallery_labels, self.query_labels))
            if images or queries:
                label = f" (label {', '.join(map(str, self.rule.distractors))})" if "distractors" in what else ""
                lines.append(f"{what}{label}: {images:,} gallery images; {queries:,} queries are not searched for")
        if self.own is not None and (shared := int((self.own >= 0).sum())):
            lines.append(f"{shared:,} queries are in the gallery too; each is taken out of its own list")
        return tuple(lines)

    def why_nothing(self) -> str:
        """Why no query has a right image in the gallery."""
        searched = (self.query_labels >= 0) & ~np.isin(self.query_labels, self.rule.distractors)
        present = searched & np.isin(self.query_labels, self.gallery_labels)
        start = (
            f"none of the {len(self.query_labels)} queries has a right image in the gallery under the rule"
            f" {self.rule.name!r}; "
        )
        if not searched.any():
            return f"{start}all of them are junk or distractors (label -1 or {self.rule.distractors}); check the labels"
        if not present.any():
            return f"{start}none of their people is in the gallery; check that both sets name or number people alike"
        if self.rule.exclude_same_camera:
            return (
                f"{start}every candidate of the {int(present.sum())} queries whose people are in the gallery is"
                " excluded by the same-camera rule: check the column camera, or use the rule 'plain'"
            )
        return f"{start}each of the people in both has one image alone, the query itself; give people more images"


def numbered_by_names(
    queries: EmbeddingSet, gallery: EmbeddingSet, rule: RetrievalRule
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of both sides in common numbers that a rule understands: whole numbers of people are taken by name.

    A name that is a negative number is the label -1, one that is a distractor of the rule is that label, and everybody
    else has a number that no rule speaks of.
    """
    assert queries.labels is not None
    assert gallery.labels is not None
    if queries.identities is None or gallery.identities is None:
        if (queries.identities is None) != (gallery.identities is None) and rule.distractors:
            raise EvaluationError(
                f"the rule {rule.name!r} speaks of the label {rule.distractors[0]}, and one of both sets names people"
                " while the other numbers them; store both with names, or both with numbers"
            )
        return queries.labels, gallery.labels
    numbers: dict[str, int] = {}
    beyond = max(rule.distractors, default=-1) + 1
    for name in (*gallery.identities, *queries.identities):
        value = int(name) if _WHOLE.fullmatch(name) else None
        if value is not None and (value < 0 or value in rule.distractors):
            numbers[name] = max(value, -1)
        elif name not in numbers:
            numbers[name] = beyond = beyond + 1
    sides = []
    for side in (queries, gallery):
        table = np.array([numbers[name] for name in side.identities or ()], dtype=np.int64)
        labels = np.asarray(side.labels)
        sides.append(np.where(labels < 0, -1, table[labels]) if len(table) else labels)
    return sides[0], sides[1]


def search_task(queries: EmbeddingSet, gallery: EmbeddingSet | None, rule: RetrievalRule) -> SearchTask:
    """The task of two sets, or of one that is searched in itself; their columns "camera" are the cameras.

    Where both sets name identities, the names say who is who; else the numbers do.
    """
    found = queries if gallery is None else gallery
    for name, each in (("queries", queries), ("gallery", found)):
        if each.labels is None:
            raise EvaluationError(f"retrieval needs labels, and the {name} have none; give both sets labels")
    assert queries.labels is not None
    assert found.labels is not None
    labels = numbered_by_names(queries, found, rule)
    return SearchTask(
        rule=rule,
        query_labels=labels[0],
        gallery_labels=labels[1],
        query_cameras=queries.columns.get("camera"),
        gallery_cameras=found.columns.get("camera"),
        same=gallery is None,
        own=None if gallery is None else shared_rows(queries, gallery, *labels),
    )
