"""Is a score high, or does this image score high with everyone? Scores relative to a cohort of other people.

With mean and standard deviation of an image's cosines to a cohort (people who are in no pair),

    z-norm   (s - mean_left) / std_left        left: the enrolled image
    t-norm   (s - mean_right) / std_right      right: the probe
    s-norm   half the sum of both
    AS-norm  s-norm with mean and std of the `top` highest cohort cosines of each image

References: Auckenthaler, Carey and Lloyd-Thomas 2000 (z, t); Kenny 2010 (s); Matejka et al. 2017 (adaptive). Computed
in blocks: memory O(block x cohort).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError

Normalization = Literal["z", "t", "s"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)
_BLOCK_SCORES = 8_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class CohortStatistics:
    """Mean and standard deviation (divided by their number) of each image's cosines to a cohort: float64 [n]."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.mean)


def cohort_statistics(
    vectors: NDArray[np.float32], cohort: NDArray[np.float32], *, top: int | None = None
) -> CohortStatistics:
    """Statistics of unit vectors [n, d] against a cohort of unit vectors [c, d].

    top: use only the so many highest cosines of each image (AS-norm; 200 to 400 are usual), None uses all. Raises
    EvaluationError when fewer than 2 are used or all used cosines of an image are equal.
    """
    used = len(cohort) if top is None else top
    if not 2 <= used <= len(cohort):
        raise EvaluationError(f"top must be at least 2 and at most the cohort's {len(cohort)}, got {used}")
    for name, matrix in (("vectors", vectors), ("cohort", cohort)):
        bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        if len(bad):
            raise EvaluationError(f"{name} must be finite, got NaN or infinity in row {bad[0]} ({len(bad)} such rows)")
    mean, std = np.empty(len(vectors)), np.empty(len(vectors))
    rows = max(1, _BLOCK_SCORES // len(cohort))
    for start in range(0, len(vectors), rows):
        part = slice(start, start + rows)
        cosines = vectors[part] @ cohort.T
        if used < len(cohort):
            cosines = np.partition(cosines, len(cohort) - used, axis=1)[:, len(cohort) - used :]
        mean[part] = cosines.mean(axis=1, dtype=np.float64)
        std[part] = cosines.std(axis=1, dtype=np.float64)
    flat = np.flatnonzero(std <= 1e-7)
    if len(flat):
        raise EvaluationError(
            f"the cohort's cosines must differ, those of row {flat[0]} are all equal ({len(flat)} such rows);"
            " use another cohort or a larger top"
        )
    return CohortStatistics(mean=mean, std=std)


def normalized_scores(
    scores: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    statistics: CohortStatistics,
    *,
    kind: Normalization = "s",
    right_statistics: CohortStatistics | None = None,
) -> NDArray[np.float64]:
    """Scores [p] of pairs of rows (left, right) relative to the cohort; AS-norm is "s" with statistics of the top.

    right_statistics: where the right rows belong to another set (probes), None takes `statistics` for both.
    """
    if kind not in NORMALIZATIONS:
        raise EvaluationError(f"kind must be one of {', '.join(NORMALIZATIONS)}, got {kind!r}")
    values = np.asarray(scores, dtype=np.float64)
    found = []
    for name, rows, of in (("left", left, statistics), ("right", right, right_statistics or statistics)):
        index = np.asarray(rows, dtype=np.int64)
        if index.shape != values.shape:
            raise EvaluationError(f"{name} must have one row for each of the {len(values)} scores, got {len(index)}")
        if len(index) and (index.min() < 0 or index.max() >= len(of)):
            raise EvaluationError(f"{name} must name rows 0 to {len(of) - 1} of the statistics, got {index.max()}")
        found.append((values - of.mean[index]) / of.std[index])
    return found[0] if kind == "z" else found[1] if kind == "t" else (found[0] + found[1]) / 2
