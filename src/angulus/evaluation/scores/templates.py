"""One vector for a template, which is a set of images of one person: frames to media, media to template (IJB-A/B/C).

    x_i   = embedding of image i                        raw, or divided by its norm (`keep_norms=False`)
    x_i   = detector score_i x_i                        when detector scores are given
    m_j   = mean of x_i over the images of medium j     a video's frames count as one medium
    t     = sum of m_j over the media, divided by its norm

A medium of one image is that image. The mean of media and their sum have the same direction. Norms and detector scores
act as weights: what a network or a detector was unsure of counts less. They weigh within the mean (divided by the
number of images, not by the sum of weights), as in insightface's eval_ijbc.py, whose flags are: N1 raw norms kept
(`use_norm_score`), N0 normalised first; D1 detector scores (`use_detector_score`), D0 without; F0 the plain image, F1
plain and mirrored end to end, F2 plain and mirrored added (`EmbeddingSet.combined("plain" | "concat" | "sum")`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError

_BLOCK_IMAGES = 4096
_DENSE_IDS = 2**22

WithoutFace = Literal["error", "reject"]
"""What is done with a template that no image speaks for: an error, or a failure to enrol that is always rejected."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Templates:
    """t pooled templates. ids: int64 [t], ascending. vectors: unit float32 [t, d]. images, media: counts int64 [t].

    failed: int64 [f], the ids of templates without a face, which have no vector: failures to enrol.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    images: NDArray[np.int64]
    media: NDArray[np.int64]
    failed: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: ArrayLike) -> NDArray[np.int32]:
        """The row of each template id [p]; raises EvaluationError for an id that no image belongs to."""
        wanted = np.asarray(ids)
        top = int(self.ids[-1]) + 1
        if len(wanted) > len(self.ids) and self.ids[0] >= 0 and top <= _DENSE_IDS:  # a table is quicker than a search
            table = np.zeros(top, dtype=np.int32)
            table[self.ids] = np.arange(len(self.ids))
            found = table[np.clip(wanted, 0, top - 1)]
        else:
            found = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1).astype(np.int32)
        missing = np.flatnonzero(self.ids[found] != wanted)
        if len(missing):
            if wanted[missing[0]] in self.failed:
                raise EvaluationError(f"template {wanted[missing[0]]} has no face and thus no vector; leave it out")
            raise EvaluationError(
                f"template {wanted[missing[0]]} has no images among the {len(self.ids)} templates that were pooled;"
                " check that list and metadata belong together"
            )
        return found


def pool_templates(
    embeddings: ArrayLike,
    templates: ArrayLike,
    media: ArrayLike,
    *,
    keep_norms: bool = True,
    detector_scores: ArrayLike | None = None,
    without_face: WithoutFace = "error",
) -> Templates:
    """Pool images into templates, in blocks: memory O(templates + block).

    embeddings: raw [n, d]; templates, media: whole numbers [n], the template and the medium of each image (the same
    medium number in two templates is two media). detector_scores: [n], not negative. Raises EvaluationError for NaN,
    naming the row, and for a template whose images cancel out or weigh nothing, unless without_face="reject" counts it
    among the failures to enrol.
    """
    values = np.asarray(embeddings)
    if values.ndim != 2 or not len(values):
        raise EvaluationError(f"embeddings must have the shape [images, dimensions], got {list(values.shape)}")
    template_of, medium_of = _whole("templates", templates, len(values)), _whole("media", media, len(values))
    weights = None if detector_scores is None else _weights(detector_scores, len(values))
    order = np.lexsort((medium_of, template_of))
    starts = _starts(template_of[order])
    medium_starts = np.union1d(starts, _starts(medium_of[order]))
    pooled = np.empty((len(starts), values.shape[1]), dtype=np.float32)
    for first, last in _blocks(starts, len(values)):
        begin, end = starts[first], starts[last] if last < len(starts) else len(values)
        rows = order[begin:end]
        block = _weighted(values, rows, keep_norms, weights, without_face)
        inner = medium_starts[np.searchsorted(medium_starts, begin) : np.searchsorted(medium_starts, end)] - begin
        sums = np.add.reduceat(block, inner, axis=0) / np.diff(inner, append=len(rows))[:, None]
        of_template = np.searchsorted(inner, starts[first:last] - begin)
        ids = template_of[order[starts[first:last]]]
        pooled[first:last] = _unit(np.add.reduceat(sums, of_template, axis=0), ids, without_face)
    kept, ids = np.isfinite(pooled[:, 0]), template_of[order[starts]]
    if not kept.any():
        raise EvaluationError(f"none of the {len(ids)} templates has a face; check the embeddings and detector scores")
    return Templates(
        ids=ids[kept],
        vectors=pooled if kept.all() else pooled[kept],
        images=np.diff(starts, append=len(values))[kept],
        media=np.diff(np.searchsorted(medium_starts, starts), append=len(medium_starts))[kept],
        failed=ids[~kept],
    )


def _weighted(
    values: NDArray[np.floating],
    rows: NDArray[np.int64],
    keep_norms: bool,
    weights: NDArray[np.float64] | None,
    without_face: WithoutFace,
) -> NDArray[np.float64]:
    """The images of these rows, float64, as they enter the means."""
    block = values[rows].astype(np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", block, block))
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise EvaluationError(f"embeddings must be finite, got NaN or infinity in row {rows[bad[0]]}")
    if not keep_norms:
        if not norms.all() and without_face == "error":
            raise EvaluationError(
                f"an embedding must have a direction, got all zeros in row {rows[int(np.argmin(norms))]};"
                " remove the image, keep the norms, or count templates without a face as failures (without_face=reject)"
            )
        block /= np.where(norms == 0, 1, norms)[:, None]
    if weights is not None:
        block *= weights[rows, None]
    return block


def _unit(sums: NDArray[np.float64], ids: NDArray[np.int64], without_face: WithoutFace) -> NDArray[np.float64]:
    """Unit vectors; NaN for a sum of zero where such templates are rejected."""
    norms = np.linalg.norm(sums, axis=1)
    if not norms.all() and without_face == "reject":
        return np.where(norms[:, None] == 0, np.nan, sums / np.where(norms == 0, 1, norms)[:, None])
    if not norms.all():
        raise EvaluationError(
            f"a template must have a direction, got a sum of zero for template {ids[int(np.argmin(norms))]};"
            " its images have zero weight or cancel out; count such templates as failures with without_face=reject"
        )
    return sums / norms[:, None]


def _blocks(starts: NDArray[np.int64], count: int) -> Iterator[tuple[int, int]]:
    """(first, end) numbers of templates that hold about _BLOCK_IMAGES images together, at least one template."""
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + _BLOCK_IMAGES, side="right")) - 1)
        last = len(starts) if count - starts[first] <= _BLOCK_IMAGES else last
        yield first, last
        first = last


def _starts(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where runs of equal values begin."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _whole(name: str, values: ArrayLike, count: int) -> NDArray[np.int64]:
    numbers = np.asarray(values)
    if numbers.shape != (count,) or not np.issubdtype(numbers.dtype, np.integer):
        raise EvaluationError(
            f"{name} must be whole numbers, one for each of the {count} images, got {numbers.dtype}"
            f" {list(numbers.shape)}"
        )
    return numbers.astype(np.int64)


def _weights(values: ArrayLike, count: int) -> NDArray[np.float64]:
    weights = np.asarray(values, dtype=np.float64)
    if weights.shape != (count,):
        raise EvaluationError(
            f"detector_scores must have one entry for each of the {count} images, got {list(weights.shape)}"
        )
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise EvaluationError(f"detector_scores must be at least 0 and finite, got {weights[bad[0]]} in row {bad[0]}")
    return weights
