"""Who is looked for where, and which gallery images count: the rules of retrieval and re-identification.

Everywhere, an image of a negative label is junk: it is taken out of every list. Where the queries are the gallery, each
query is taken out of its own list. Beyond that,

"plain"        (CUB, Cars, SOP, faces) every image counts
"market-1501"  images of the query's person by the query's own camera are taken out of its list; label 0 is a
               distractor, which stays in the list and is always wrong. (-1 marks junk detections)
"msmt17"       the same exclusion by camera; there are no distractors, 0 is a person

Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015; Wei et al., Person Transfer GAN to Bridge
Domain Gap for Person Re-Identification, CVPR 2018 (MSMT17).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError


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

    same: the queries are the gallery, row by row. Raises EvaluationError for unlike lengths or missing cameras.
    """

    rule: RetrievalRule
    query_labels: NDArray[np.int64]
    gallery_labels: NDArray[np.int64]
    query_cameras: NDArray | None = None
    gallery_cameras: NDArray | None = None
    same: bool = False

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
        return own & counted, counted & ~own


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
    return SearchTask(
        rule=rule,
        query_labels=_renumbered(queries, found),
        gallery_labels=found.labels,
        query_cameras=queries.columns.get("camera"),
        gallery_cameras=found.columns.get("camera"),
        same=gallery is None,
    )


def _renumbered(queries: EmbeddingSet, gallery: EmbeddingSet) -> NDArray[np.int64]:
    """The queries' labels in the numbers of the gallery; people whom it does not know get numbers above its own."""
    assert queries.labels is not None
    if queries.identities is None or gallery.identities is None or queries.identities == gallery.identities:
        return queries.labels
    numbers = {name: number for number, name in enumerate(gallery.identities)}
    for name in queries.identities:
        numbers.setdefault(name, len(numbers))
    table = np.array([numbers[name] for name in queries.identities], dtype=np.int64)
    return np.where(queries.labels < 0, queries.labels, table[queries.labels])
