"""Is the artefact the same model? Vectors, scores, error rates, time and size, before and after.

The distance of two vectors is 1 - cosine. Beyond the tolerance an artefact is refused.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError, EvaluationError
from angulus.evaluation.uncertainty.rate_intervals import tar_at_far_intervals
from angulus.export.calibration import scored
from angulus.export.comparison import BothVectors, Compute, Vectors
from angulus.runtime.preparation import Crops

TOLERANCES = {"float32": 1e-5, "float16": 1e-3, "int8": 0.05}
"""Largest distance of a vector to the original's, where the user names none."""
BATCHES = (1, 2, 7, 64)
TIMED = (1, 32)
MOST_PAIRS = 200_000
_LONGEST = 3.0
_REPEATS = 15


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Largest and mean distance of some images."""

    images: int
    largest: float
    mean: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"images": self.images, "largest": self.largest, "mean": self.mean}


def distance(before: Vectors, after: Vectors) -> Distance:
    """Of vectors of length 1 [n, d]; infinite where one is no number."""
    cosines = (before.astype(np.float64) * after.astype(np.float64)).sum(1)
    lengths = np.linalg.norm(before.astype(np.float64), axis=1) * np.linalg.norm(after.astype(np.float64), axis=1)
    found = np.nan_to_num(1 - cosines / lengths, nan=np.inf).clip(min=0)
    return Distance(images=len(found), largest=float(found.max()), mean=float(found.mean()))


def distances_at(crops: Crops, before: Vectors, compute: Callable[[Crops], Vectors]) -> dict[int, Distance]:
    """The distance of the same images [n] at each of BATCHES at once; those that fill no batch are left out."""
    found = {}
    for size in BATCHES:
        whole = max(len(crops) // size * size, min(size, len(crops)))
        parts = [compute(crops[start : start + size]) for start in range(0, whole, size)]
        found[size] = distance(before[:whole], np.concatenate(parts)[:whole])
    return found


def check_tolerance(found: float, allowed: float, precision: str) -> None:
    """Raise BundleError where a distance is beyond the tolerance."""
    if found <= allowed:
        return
    finer = {"int8": "--precision float16, other faces after --quantize-on", "float16": "--precision float32"}
    ways = ", ".join(way for way in (finer.get(precision), f"--tolerance {_rounded_up(found)}") if way)
    raise BundleError(
        f"the vectors of the {precision} file must lie within {allowed:g} (1 - cosine) of the original's, the farthest"
        f" is {found:.3g} away, so that nothing was written; try {ways}"
    )


def score_changes(both: BothVectors, seed: int = 0) -> dict[str, Any]:
    """By how much the scores of pairs change: all pairs, or as many drawn ones as are worth it. Empty for one image."""
    count = len(both.before)
    if count < 2:
        return {}
    left, right = _pairs(count, seed)
    before, after = (np.einsum("nd,nd->n", side[left], side[right]) for side in (both.before, both.after))
    change = np.abs(after.astype(np.float64) - before)
    return {
        **{"pairs": len(change), "drawn": len(change) < count * (count - 1) // 2},
        **{"largest": float(change.max()), "mean": float(change.mean())},
        "quantile_99": float(np.quantile(change, 0.99)),
    }


def verification_changes(both: BothVectors, far: float) -> dict[str, Any] | None:
    """TAR at a FAR with its interval, its threshold, and EER, before and after; None where they cannot be had."""
    if both.labels is None:
        return None
    try:
        return {"far": far, **{name: _verified(getattr(both, name), both.labels, far) for name in ("before", "after")}}
    except EvaluationError:
        return None


def seconds_of(compute: Compute, crops: Crops) -> dict[str, float]:
    """Median seconds an image takes at each of TIMED at once."""
    found = {}
    for size in TIMED:
        batch = np.resize(crops, (size, *crops.shape[1:]))
        compute(batch)
        found[str(size)] = _median_seconds(lambda batch=batch: compute(batch)) / size
    return found


def _median_seconds(call: Callable[[], object]) -> float:
    taken: list[float] = []
    while len(taken) < 3 or (len(taken) < _REPEATS and sum(taken) < _LONGEST):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def _verified(vectors: Vectors, labels: NDArray[np.int64], far: float) -> dict[str, Any]:
    counted, scores = scored(vectors, labels, far)
    point = tar_at_far_intervals(scores, (far,))[0]
    return {"tar": point.tar.as_dict(), "threshold": point.threshold, "eer": counted.equal_error_rate().rate}


def _pairs(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if count * (count - 1) // 2 <= MOST_PAIRS:
        left, right = np.triu_indices(count, 1)
        return left, right
    left, right = np.random.default_rng(seed).integers(count, size=(2, MOST_PAIRS))
    return left[left != right], right[left != right]


def _rounded_up(value: float) -> str:
    if not np.isfinite(value):
        return "with a larger number"
    power = 10.0 ** np.floor(np.log10(value))
    return f"{np.ceil(value / power + 1e-9) * power:.0e}".replace("e-0", "e-")
