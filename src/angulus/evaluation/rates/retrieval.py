"""Which images does a query bring up first: image retrieval and re-identification, streamed by blocks of queries.

Every query is compared with the whole gallery; the figures of `ranking` are means over the queries that have at least
one right image to find, and the other queries are counted and left out. A rule of `search_tasks` says which gallery
images count for a query. The memory is one block of queries x gallery, with at most 16 million scores.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.embeddings import EmbeddingSet, View, as_set
from angulus.errors import EvaluationError
from angulus.evaluation.rates.ranking import (
    PRECISION_FORMS,
    TIE_RULE,
    PrecisionForm,
    average_precision,
    average_precision_at_r,
    inverse_penalty,
    precision_at_r,
    ranks_of_matches,
)
from angulus.evaluation.scores.reranking import Reranking, reranked_blocks
from angulus.evaluation.scores.search_tasks import PLAIN, RetrievalRule, SearchTask, search_task
from angulus.evaluation.scores.streaming.shares import Share, blocks_of, check_share

_BLOCK_SCORES = 1 << 24
_BLOCK_ROWS = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryFigures:
    """The figures of each query that has something to find, in order.

    rows: the query's row [q]. first_rank: rank of its first right image [q]. right: how many there are [q].
    average_precisions, r_precisions, average_precisions_at_r, inverse_penalties: float64 [q].
    """

    rows: NDArray[np.int64]
    first_rank: NDArray[np.int64]
    right: NDArray[np.int64]
    average_precisions: NDArray[np.float64]
    average_precisions_at_r: NDArray[np.float64]
    r_precisions: NDArray[np.float64]
    inverse_penalties: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class RetrievalResult(QueryFigures):
    """The figures of one retrieval.

    without_match: queries with nothing to find, left out of every figure.
    notes: what the rule left out, and how much.
    """

    rule: RetrievalRule
    form: PrecisionForm
    reranking: Reranking | None
    gallery: int
    without_match: int
    at: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def queries(self) -> int:
        """Queries that have something to find."""
        return len(self.rows)

    def hits(self, rank: int) -> int:
        """Queries whose first right image stands at this rank or before it."""
        return int((self.first_rank <= rank).sum())

    def recall(self, rank: int) -> float:
        """Recall@rank, which is the CMC at this rank."""
        return self.hits(rank) / self.queries

    @property
    def mean_average_precision(self) -> float:
        """mAP in the form of `form`."""
        return float(self.average_precisions.mean())

    @property
    def mean_average_precision_at_r(self) -> float:
        """mAP@R."""
        return float(self.average_precisions_at_r.mean())

    @property
    def r_precision(self) -> float:
        """Mean R-precision."""
        return float(self.r_precisions.mean())

    @property
    def mean_inverse_penalty(self) -> float:
        """mINP."""
        return float(self.inverse_penalties.mean())

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"rule": self.rule.name, "ties": TIE_RULE, "average_precision": self.form},
            "reranking": None if self.reranking is None else self.reranking.as_dict(),
            **{"queries": self.queries, "without_match": self.without_match, "gallery": self.gallery},
            "recall": [{"rank": k, "hits": self.hits(k), "recall": self.recall(k)} for k in self.at],
            **{"map": self.mean_average_precision, "map_at_r": self.mean_average_precision_at_r},
            **{"r_precision": self.r_precision, "minp": self.mean_inverse_penalty},
            "notes": list(self.notes),
        }

    def table(self) -> str:
        """The figures as lines of text."""
        reranked = "" if self.reranking is None else f", {self.reranking.describe()}"
        lines = [
            f"retrieval, rule {self.rule.name}{reranked}: {self.queries:,} queries ({self.without_match:,} more have"
            f" nothing to find), {self.gallery:,} in the gallery; {TIE_RULE}"
        ]
        lines += self.notes
        lines += [f"Recall@{k:<5}{self.recall(k):8.2%}  {self.hits(k):,} of {self.queries:,}" for k in self.at]
        lines.append(f"mAP         {self.mean_average_precision:8.2%}  ({self.form})")
        lines.append(f"mAP@R       {self.mean_average_precision_at_r:8.2%}")
        lines.append(f"R-precision {self.r_precision:8.2%}")
        lines.append(f"mINP        {self.mean_inverse_penalty:8.2%}")
        return "\n".join(lines)


def retrieve(
    queries: EmbeddingSet,
    gallery: EmbeddingSet | None = None,
    *,
    rule: RetrievalRule = PLAIN,
    view: View | None = None,
    at: Sequence[int] = (1, 5, 10),
    form: PrecisionForm = "plain",
    reranking: Reranking | None = None,
) -> RetrievalResult:
    """Search each query in a gallery by cosine; without a gallery each image is searched among all the others.

    Labels must mean the same people in both sets: where both name identities, the names decide. Cameras are the columns
    named "camera". view: "sum" where both sets have mirrored images, if left out.

    An image that is in both sets is taken out of its own list. Where people have names, the rule goes by the names.

    Raises EvaluationError for sets without labels, a gallery of one person, cameras that a rule needs, unlike
    dimensions and zero embeddings.
    """
    _check_options(at, form)
    sides = retrieval_sides(queries, gallery, rule, view)
    if reranking is None:
        return retrieval_of(figures_of(sides, form), sides.task, at=at, form=form)
    distances = reranked_blocks(sides.one, None if gallery is None else sides.other, reranking)
    blocks = (-block for block in distances)
    return retrieval_of_scores(blocks, sides.task, at=at, form=form, reranking=reranking)


@dataclass(frozen=True, kw_only=True, eq=False)
class RetrievalSides:
    """Unit vectors of the queries [q, d] and of the gallery [g, d], and which images count for whom."""

    one: NDArray[np.float32]
    other: NDArray[np.float32]
    task: SearchTask
    view: View


def retrieval_sides(
    queries: EmbeddingSet, gallery: EmbeddingSet | None, rule: RetrievalRule, view: View | None
) -> RetrievalSides:
    """Who is searched where. Raises EvaluationError as `retrieve` does."""
    queries = as_set(queries)
    found = queries if gallery is None else as_set(gallery)
    task = search_task(queries, gallery, rule)
    people = np.unique(task.gallery_labels[task.gallery_labels >= 0])
    if len(people) == 1 and (task.query_labels == people[0]).any():
        raise EvaluationError(
            "retrieval needs a gallery of at least two people, got one: one person cannot be told from others; give a"
            " gallery with other people in it"
        )
    if view is None:
        view = "plain" if queries.flipped is None or found.flipped is None else "sum"
    one = queries.unit(view)
    other = one if gallery is None else found.unit(view)
    if one.shape[1] != other.shape[1]:
        raise EvaluationError(f"queries have {one.shape[1]} dimensions and the gallery has {other.shape[1]}")
    return RetrievalSides(one=one, other=other, task=task, view=view)


def figures_of(sides: RetrievalSides, form: PrecisionForm, share: Share = (0, 1)) -> QueryFigures:
    """The figures of the queries in the blocks that fall to one part (`shares`)."""
    check_share(share)
    size = max(1, min(_BLOCK_ROWS, _BLOCK_SCORES // max(len(sides.other), 1)))
    starts = blocks_of(share, len(sides.one), size)
    numbered = (
        (start + place, scores)
        for start in starts
        for place, scores in enumerate(_checked(sides.one[start : start + size] @ sides.other.T, start))
    )
    return query_figures(numbered, sides.task, form)


def retrieval_of_scores(
    blocks: Iterable[ArrayLike],
    task: SearchTask,
    *,
    at: Sequence[int] = (1, 5, 10),
    form: PrecisionForm = "plain",
    reranking: Reranking | None = None,
) -> RetrievalResult:
    """The figures of scores [block, g] given block by block, in the order of the queries; higher is more alike.

    reranking: only noted in the result. Raises EvaluationError for NaN (naming the query), blocks that do not fit the
    task, and when no query has a right image.
    """
    _check_options(at, form)
    return retrieval_of(query_figures(_rows(blocks, task), task, form), task, at=at, form=form, reranking=reranking)


def retrieval_of(
    found: QueryFigures,
    task: SearchTask,
    *,
    at: Sequence[int] = (1, 5, 10),
    form: PrecisionForm = "plain",
    reranking: Reranking | None = None,
) -> RetrievalResult:
    """The result of all queries. Raises EvaluationError when no query has a right image."""
    if not len(found.rows):
        raise EvaluationError(task.why_nothing())
    return RetrievalResult(
        rule=task.rule,
        form=form,
        reranking=reranking,
        gallery=len(task.gallery_labels),
        without_match=len(task.query_labels) - len(found.rows),
        at=tuple(at),
        notes=task.notes(),
        **vars(found),
    )


def query_figures(
    numbered: Iterable[tuple[int, NDArray[np.floating]]], task: SearchTask, form: PrecisionForm
) -> QueryFigures:
    """The figures of queries, each with its row and its scores [g]."""
    rows, ranks = [], []
    for row, scores in numbered:
        right, wrong = task.sides(row)
        if right.any():
            rows.append(row)
            ranks.append(ranks_of_matches(scores[right], scores[wrong]))
    return QueryFigures(
        rows=np.array(rows, dtype=np.int64),
        first_rank=np.array([found[0] for found in ranks], dtype=np.int64),
        right=np.array([len(found) for found in ranks], dtype=np.int64),
        average_precisions=np.array([average_precision(found, form) for found in ranks], dtype=np.float64),
        average_precisions_at_r=np.array([average_precision_at_r(found) for found in ranks], dtype=np.float64),
        r_precisions=np.array([precision_at_r(found) for found in ranks], dtype=np.float64),
        inverse_penalties=np.array([inverse_penalty(found) for found in ranks], dtype=np.float64),
    )


def _check_options(at: Sequence[int], form: PrecisionForm) -> None:
    if form not in PRECISION_FORMS:
        raise EvaluationError(f"form must be one of {', '.join(PRECISION_FORMS)}, got {form!r}")
    if not at or min(at) < 1:
        raise EvaluationError(f"at must list ranks of at least 1, got {list(at)}")


def _rows(blocks: Iterable[ArrayLike], task: SearchTask) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """Each query's number and its scores [g], checked."""
    queries, images = len(task.query_labels), len(task.gallery_labels)
    row = 0
    for block in blocks:
        scores = np.asarray(block)
        if scores.ndim != 2 or scores.shape[1] != images or row + len(scores) > queries:
            raise EvaluationError(
                f"scores must have the shape [{queries}, {images}] in blocks of rows, got {list(scores.shape)}"
                f" after {row} rows"
            )
        for values in _checked(scores, row):
            yield row, values
            row += 1
    if row != queries:
        raise EvaluationError(f"scores must have a row for each of the {queries} queries, got {row}")


def _checked(scores: NDArray[np.floating], row: int) -> NDArray[np.floating]:
    """Scores [block, g] of the queries from `row` on. Raises EvaluationError for NaN."""
    bad = np.flatnonzero(np.isnan(scores).any(axis=1))
    if len(bad):
        raise EvaluationError(f"scores must not be NaN, got NaN for query {row + bad[0]}; check the embeddings")
    return scores
