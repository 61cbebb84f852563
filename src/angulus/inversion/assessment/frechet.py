"""How far apart are two clouds of features, as Gaussians?

    d^2 = |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))

with means m and covariances S (divided by n - 1), without shrinkage (Dowson and Landau 1982; Heusel et al. 2017 call it
FID on Inception features). Here the features are those of a recogniser, so that it asks whether inverted images are
spread like real faces, in the recogniser's eyes. tr (S_1 S_2)^(1/2) is the sum of the roots of the eigenvalues of
S_1^(1/2) S_2 S_1^(1/2), all real and not negative, in float64.

A covariance of d dimensions needs more than d images; the figure is biased upwards by few images, and only to be
compared between sets of the same size.
"""

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError


def least_images(dimensions: int) -> int:
    """The smallest number of images whose covariance can have full rank: d + 1."""
    return dimensions + 1


def frechet_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Squared Frechet distance of two sets of features [n, d] and [m, d]; both need at least d + 1 rows.

    Raises EvaluationError for fewer, saying how many are needed, and for other shapes.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1]:
        raise EvaluationError(
            f"features must be two matrices with as many columns, got {list(one.shape)} and {list(two.shape)}"
        )
    least = least_images(one.shape[1])
    if min(len(one), len(two)) < least:
        raise EvaluationError(
            f"a Frechet distance of {one.shape[1]} dimensions needs at least {least} images on both sides, got "
            f"{len(one)} and {len(two)}"
        )
    gap = one.mean(axis=0) - two.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(side, rowvar=False)) for side in (one, two)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ covariances[1] @ root)
    traces = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(gap @ gap + traces - 2 * np.sqrt(np.maximum(product, 0)).sum())
