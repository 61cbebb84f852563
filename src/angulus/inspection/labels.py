"""Which labels look wrong inside one identity: images that look like nobody's, and identities of several people?

    outlying image   its mean cosine to the other images of its identity is below t: it looks less like them than the
                     most alike hundredth of pairs of two people look like each other
    several people   two-means on the sphere cuts the images in two parts of at least 2, each held together (mean cosine
                     inside at or above the threshold of FAR 1e-3), whose mean cosine to each other is below t

t is the threshold of FAR 1e-2 over pairs of images of two people, drawn from this very set (at most 4,000 images).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_IMAGES = 4
MOST_IMAGES = 2_000
MOST_SAMPLED = 4_000
_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Cosines of two images: that of FAR 1e-2 (`loose`) and of FAR 1e-3 (`strict`) among pairs of two people."""

    loose: float
    strict: float


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """An image (row) and its mean cosine to the other images of its identity (label)."""

    row: int
    label: int
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """An identity that falls into two parts; rows: the smaller. across, inside: mean cosines, the lesser of both."""

    label: int
    images: int
    rows: tuple[int, ...]
    across: float
    inside: float


def image_bounds(vectors: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int = 0) -> Bounds | None:
    """The thresholds of a set of unit vectors [n, d]; None where it has too few pairs of two people."""
    rows = np.random.default_rng(seed).permutation(len(labels))[:MOST_SAMPLED]
    cosines = vectors[rows] @ vectors[rows].T
    upper = np.triu(labels[rows][:, None] != labels[rows], 1)
    impostors = cosines[upper]
    if len(impostors) < 1000:
        return None
    loose, strict = np.quantile(impostors, [0.99, 0.999])
    return Bounds(loose=float(loose), strict=float(strict))


def find_outliers(vectors: NDArray[np.float32], labels: NDArray[np.int64], bounds: Bounds) -> list[Outlier]:
    """Images of identities of three or more that look like none of the others, the most outlying first."""
    found = []
    for label, rows in _groups(labels, 3):
        own = vectors[rows]
        similar = (own @ own.sum(axis=0) - 1) / (len(rows) - 1)
        found += [
            Outlier(row=int(rows[place]), label=label, similarity=float(similar[place]))
            for place in np.flatnonzero(similar < bounds.loose)
        ]
    return sorted(found, key=lambda outlier: outlier.similarity)


def find_mixtures(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], bounds: Bounds, *, seed: int = 0
) -> list[Mixture]:
    """Identities whose images fall into two parts that look like two people, the clearest first."""
    random = np.random.default_rng(seed)
    found = []
    for label, rows in _groups(labels, LEAST_IMAGES):
        if len(rows) > MOST_IMAGES:
            rows = np.sort(random.choice(rows, MOST_IMAGES, replace=False))
        mixture = _split(label, rows, vectors[rows], bounds)
        if mixture is not None:
            found.append(mixture)
    return sorted(found, key=lambda mixture: mixture.across - mixture.inside)


def two_means(cosines: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which images [n] are in the second part, from the cosines [n, n] of all to all; begun at the least alike two."""
    first, second = np.unravel_index(int(np.argmin(cosines)), cosines.shape)
    part = cosines[second] > cosines[first]
    for _ in range(_ROUNDS):
        sizes = np.array([(~part).sum(), part.sum()])
        if not sizes.all():
            break
        sums = np.stack([cosines[~part].sum(axis=0), cosines[part].sum(axis=0)])
        # squared length of each sum, so that centres have length 1
        norms = np.sqrt([sums[0][~part].sum(), sums[1][part].sum()]).clip(1e-6)
        moved = sums[1] / norms[1] > sums[0] / norms[0]
        if (moved == part).all():
            break
        part = moved
    return part


def _split(label: int, rows: NDArray[np.int64], own: NDArray[np.float32], bounds: Bounds) -> Mixture | None:
    cosines = own @ own.T
    part = two_means(cosines)
    if min(part.sum(), (~part).sum()) < 2:
        return None
    across = float(cosines[np.ix_(part, ~part)].mean())
    inside = min(_inside(cosines[np.ix_(each, each)]) for each in (part, ~part))
    if across >= bounds.loose or inside < bounds.strict:
        return None
    smaller = part if part.sum() <= (~part).sum() else ~part
    return Mixture(label=label, images=len(rows), rows=tuple(rows[smaller].tolist()), across=across, inside=inside)


def _inside(cosines: NDArray[np.float32]) -> float:
    """Mean cosine of pairs of two different images."""
    count = len(cosines)
    return float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))


def _groups(labels: NDArray[np.int64], least: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    for label, rows in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
        if len(rows) >= least:
            yield label, rows
