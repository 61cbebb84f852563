"""Re-ranking by k-reciprocal neighbours: two images are alike when they are among each other's nearest, and their sets
of such neighbours overlap.

With d the squared Euclidean distance of unit vectors, each row divided by its largest value, over queries and gallery
together, and N(p, k) an image p and its k nearest others:

    R(p, k)   = {q in N(p, k) with p in N(q, k)}                               k-reciprocal neighbours
    R*(p)     = R(p, k1) with every R(q, k1/2), q in R(p, k1), of which more than 2/3 lie in R(p, k1)
    V(p, q)   = exp(-d(p, q)) for q in R*(p), divided by their sum, else 0
    V'(p)     = mean of V over p and its k2 - 1 nearest                        local query expansion
    J(p, g)   = 1 - overlap / (2 - overlap), overlap = sum of min(V'(p), V'(g))  Jaccard distance
    result    = (1 - original) J + original d

Among equal distances the lower row number is nearer (queries come before the gallery); an image is always its own
nearest. k1/2 is rounded half to even. Z. Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding,
CVPR 2017, with its k1 = 20, k2 = 6, original = 0.3.

Memory: the neighbours' encodings (some hundred numbers an image) and one block of rows x images; the time grows with
the square of the number of images. No matrix of all images by all is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError

_BLOCK_ROWS = 128

Sparse = tuple[NDArray[np.int64], NDArray[np.float64]]
"""The images of non-zero weight, ascending, and their weights."""


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """k1: neighbours that must be mutual. k2: images averaged in the expansion. original: share of the distance d."""

    k1: int = 20
    k2: int = 6
    original: float = 0.3

    def __post_init__(self) -> None:
        for name, least, value in (("k1", 1, self.k1), ("k2", 1, self.k2)):
            if value < least:
                raise EvaluationError(f"{name} must be at least {least}, got {value}")
        if not 0 <= self.original <= 1:
            raise EvaluationError(f"original must lie in 0..1, got {self.original}")

    def as_dict(self) -> dict[str, int | float]:
        """JSON-ready."""
        return asdict(self)

    def describe(self) -> str:
        """In words."""
        return f"k-reciprocal re-ranking (k1={self.k1}, k2={self.k2}, original={self.original:g})"


def reranked_blocks(
    queries: NDArray[np.float32], gallery: NDArray[np.float32] | None, options: Reranking
) -> Iterator[NDArray[np.float32]]:
    """Re-ranked distances [block, g], block by block; smaller is more alike.

    queries, gallery: unit vectors float32 [q, d], [g, d]; None for a set that is searched in itself (g = q).
    """
    vectors = queries if gallery is None else np.concatenate([queries, gallery])
    first = 0 if gallery is None else len(queries)
    near, largest = _neighbours(vectors, max(options.k1, options.k2 - 1))
    encodings = _expanded(_encodings(vectors, near[:, : options.k1 + 1], largest, options.k1), near, options.k2)
    columns = _by_image(encodings, first)
    for rows, distances in _distances(vectors, len(queries)):
        shown = distances[:, first:] / largest[rows, None]
        jaccard = np.stack([_jaccard(encodings[row], columns, shown.shape[1]) for row in rows])
        yield ((1 - options.original) * jaccard + options.original * shown).astype(np.float32)


def _distances(vectors: NDArray[np.float32], count: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Row numbers and squared distances [b, n] of the first `count` images; an image is at 0 from itself."""
    for start in range(0, count, _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, count))
        distances = np.maximum(2 - 2 * (vectors[rows] @ vectors.T), 0)
        distances[np.arange(len(rows)), rows] = 0
        yield rows, distances


def _neighbours(vectors: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each image and its `count` nearest others [n, count + 1], nearest first, and the largest distance of its row."""
    width = min(count + 1, len(vectors))
    near = np.empty((len(vectors), width), dtype=np.int64)
    largest = np.empty(len(vectors), dtype=np.float32)
    for rows, distances in _distances(vectors, len(vectors)):
        largest[rows] = distances.max(axis=1)
        for row, values in zip(rows, distances, strict=True):
            values[row] = -1
            candidates = np.flatnonzero(values <= np.partition(values, width - 1)[width - 1])
            near[row] = candidates[np.argsort(values[candidates], kind="stable")][:width]
    return near, np.where(largest == 0, 1, largest).astype(np.float32)


def _encodings(
    vectors: NDArray[np.float32], near: NDArray[np.int64], largest: NDArray[np.float32], k1: int
) -> list[Sparse]:
    """V: the weights of each image's expanded set of reciprocal neighbours."""
    wide = _reciprocal(near)
    narrow = _reciprocal(near[:, : round(k1 / 2) + 1])
    found = []
    for row, own in enumerate(wide):
        members = set(own)
        for candidate in own:
            others = narrow[candidate]
            if 3 * len(own & others) > 2 * len(others):
                members |= others
        images = np.array(sorted(members), dtype=np.int64)
        distances = np.maximum(2 - 2 * (vectors[images] @ vectors[row]), 0)
        distances[images == row] = 0
        weights = np.exp(-(distances / largest[row]).astype(np.float64))
        found.append((images, weights / weights.sum()))
    return found


def _reciprocal(near: NDArray[np.int64]) -> list[set[int]]:
    """Of each image's neighbours those that have it among their own; itself is one of them."""
    sets = [set(row) for row in near.tolist()]
    return [{other for other in own if row in sets[other]} for row, own in enumerate(sets)]


def _expanded(encodings: Sequence[Sparse], near: NDArray[np.int64], k2: int) -> list[Sparse]:
    """V': the mean of the encodings of each image and its k2 - 1 nearest."""
    found = []
    for row in near[:, :k2]:
        images, places = np.unique(np.concatenate([encodings[other][0] for other in row]), return_inverse=True)
        weights = np.bincount(places, weights=np.concatenate([encodings[other][1] for other in row]))
        found.append((images, weights / len(row)))
    return found


def _by_image(encodings: Sequence[Sparse], first: int) -> list[Sparse]:
    """The other way about: for each image, which gallery images (counted from `first`) give it which weight."""
    gallery = encodings[first:]
    owners = np.repeat(np.arange(len(gallery)), [len(images) for images, _ in gallery])
    images = np.concatenate([images for images, _ in gallery])
    weights = np.concatenate([weights for _, weights in gallery])
    order = np.argsort(images, kind="stable")
    ends = np.cumsum(np.bincount(images, minlength=len(encodings)))[:-1]
    return list(zip(np.split(owners[order], ends), np.split(weights[order], ends), strict=True))


def _jaccard(encoding: Sparse, columns: Sequence[Sparse], count: int) -> NDArray[np.float64]:
    overlap = np.zeros(count)
    for image, weight in zip(*encoding, strict=True):
        owners, weights = columns[image]
        overlap[owners] += np.minimum(weights, weight)
    return 1 - overlap / (2 - overlap)
