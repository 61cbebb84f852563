"""At what threshold are how many strangers let in and how many owners turned away: rates of a set of scores.

One rule holds everywhere: a pair is accepted when its score is strictly greater than the threshold. With m genuine and
n impostor scores,

    TAR(t) = #{genuine > t} / m        true accept rate, in ISO/IEC 19795-1 true match rate, TMR
    FAR(t) = #{impostor > t} / n       false accept rate, in ISO/IEC 19795-1 false match rate, FMR
    FRR(t) = 1 - TAR(t)                false reject rate, in ISO/IEC 19795-1 false non-match rate, FNMR

Rates are float64 quotients of counts; equal scores are accepted or rejected together.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.scores.cosines import Scores

ACCEPT_RULE = "a pair is accepted when its score is greater than the threshold"


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """The rates at one threshold, with the counts behind them.

    target: the FAR that was asked for, None when the threshold was given. resolved: False when there are fewer than
    1 / target impostor pairs, so that not even one false accept is allowed and the figure says little.
    """

    target: float | None
    threshold: float
    false_accepts: int
    impostors: int
    true_accepts: int
    genuine: int
    resolved: bool = True

    @property
    def far(self) -> float:
        """False accept rate (FMR)."""
        return self.false_accepts / self.impostors

    @property
    def tar(self) -> float:
        """True accept rate (TMR)."""
        return self.true_accepts / self.genuine

    @property
    def frr(self) -> float:
        """False reject rate (FNMR)."""
        return (self.genuine - self.true_accepts) / self.genuine

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; each rate under its biometric and its ISO name."""
        return {
            "target_far": self.target,
            "threshold": self.threshold,
            **{"far": self.far, "fmr": self.far, "tar": self.tar, "tmr": self.tar, "frr": self.frr, "fnmr": self.frr},
            **{"false_accepts": self.false_accepts, "impostors": self.impostors},
            **{"true_accepts": self.true_accepts, "genuine": self.genuine},
            "resolved": self.resolved,
            "rule": ACCEPT_RULE,
        }


@dataclass(frozen=True, kw_only=True)
class EqualErrorRate:
    """Where FAR and FRR are equal: `rate` by linear interpolation between the two neighbouring points of the ROC.

    threshold, far and frr belong to the nearer of these two points.
    """

    rate: float
    threshold: float
    far: float
    frr: float

    def as_dict(self) -> dict[str, float]:
        """JSON-ready."""
        return {"eer": self.rate, "threshold": self.threshold, "far": self.far, "frr": self.frr}


@dataclass(frozen=True, kw_only=True, eq=False)
class RocCurve:
    """Points of the ROC [k], float64, from the strictest threshold (nothing accepted) to the loosest (everything)."""

    threshold: NDArray[np.float64]
    far: NDArray[np.float64]
    tar: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.threshold)

    def as_dict(self) -> dict[str, list[float]]:
        """JSON-ready."""
        return {"threshold": self.threshold.tolist(), "far": self.far.tolist(), "tar": self.tar.tolist()}


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreHistogram:
    """How many genuine and impostor scores fall into each bin; edges [b + 1], counts [b]."""

    edges: NDArray[np.float64]
    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]

    def as_dict(self) -> dict[str, list[float] | list[int]]:
        """JSON-ready."""
        return {"edges": self.edges.tolist(), "genuine": self.genuine.tolist(), "impostor": self.impostor.tolist()}


def rates_at(scores: Scores, threshold: float) -> OperatingPoint:
    """The rates at a given threshold."""
    return OperatingPoint(
        target=None,
        threshold=float(threshold),
        false_accepts=_count_above(scores.impostor, threshold),
        impostors=len(scores.impostor),
        true_accepts=_count_above(scores.genuine, threshold),
        genuine=len(scores.genuine),
    )


def tar_at_far(scores: Scores, far: float) -> OperatingPoint:
    """The rates at the smallest threshold whose FAR does not exceed `far` (0 <= far < 1).

    Let k be the largest count of false accepts with k / n <= far; the threshold is the (k + 1)-th largest impostor
    score. Equal impostor scores may make the FAR achieved smaller than the target, never larger.
    """
    count = len(scores.impostor)
    allowed = allowed_false_accepts(far, count)
    point = rates_at(scores, float(scores.impostor[count - 1 - allowed]))
    return replace(point, target=float(far), resolved=allowed >= 1)


def allowed_false_accepts(far: float, impostors: int) -> int:
    """The largest count k of false accepts with k / impostors <= far."""
    if not 0 <= far < 1:
        raise EvaluationError(f"far must be at least 0 and below 1, got {far}")
    allowed = int(far * impostors)
    allowed += (allowed + 1) / impostors <= far  # 0.29 * 100 is 28.999..., and 29 / 100 <= 0.29
    allowed -= allowed / impostors > far
    return int(allowed)


def descending(fars: Sequence[float]) -> list[float]:
    """Each of some rates once, the largest first. Raises EvaluationError for what are no rates."""
    if isinstance(fars, str) or not isinstance(fars, Iterable) or not all(isinstance(far, Real) for far in fars):
        raise EvaluationError(f"fars must be rates, as (0.01, 0.001), got {fars!r}")
    return sorted(set(fars), reverse=True)


def tars_at_fars(scores: Scores, fars: Sequence[float]) -> tuple[OperatingPoint, ...]:
    """`tar_at_far` for several targets, largest first."""
    return tuple(tar_at_far(scores, far) for far in descending(fars))


def equal_error_rate(scores: Scores) -> EqualErrorRate:
    """The rate at which FAR and FRR are equal, exact on the polygon through all points of the ROC."""
    strict = min(
        float(values[index])
        for values in (scores.genuine, scores.impostor)
        if (index := bisect_left(range(len(values)), True, key=lambda i, v=values: _gap(scores, v[i]) <= 0))
        < len(values)
    )
    loose = max(_next_below(scores.genuine, strict), _next_below(scores.impostor, strict))
    if loose == -np.inf:  # below every score: everything is accepted
        loose = _below(strict)
    points = [rates_at(scores, threshold) for threshold in (loose, strict)]
    gaps = [point.far - point.frr for point in points]
    share = gaps[0] / (gaps[0] - gaps[1])
    rate = points[0].far + share * (points[1].far - points[0].far)
    nearer = points[0] if abs(gaps[0]) < abs(gaps[1]) else points[1]
    return EqualErrorRate(rate=rate, threshold=nearer.threshold, far=nearer.far, frr=nearer.frr)


def area_under_roc(scores: Scores) -> float:
    """Probability that a genuine pair outscores an impostor pair, equal scores counting half (Mann-Whitney)."""
    below = np.searchsorted(scores.impostor, scores.genuine, side="left").sum(dtype=np.int64)
    up_to = np.searchsorted(scores.impostor, scores.genuine, side="right").sum(dtype=np.int64)
    return (int(below) + int(up_to)) / (2 * len(scores.genuine) * len(scores.impostor))


def roc_curve(scores: Scores, *, most_points: int = 600) -> RocCurve:
    """The ROC: every point when there are few scores, else about `most_points`, dense where FAR or FRR is small."""
    if len(scores.genuine) + len(scores.impostor) <= most_points:
        picked = np.concatenate([scores.genuine, scores.impostor])
    else:
        picked = np.concatenate([_spread(values, most_points // 2) for values in (scores.genuine, scores.impostor)])
    ends = [_below(min(scores.genuine[0], scores.impostor[0])), max(scores.genuine[-1], scores.impostor[-1])]
    thresholds = np.unique(np.concatenate([picked, np.array(ends, dtype=np.float32)]))[::-1]
    accepted = [
        len(values) - np.searchsorted(values, thresholds, side="right") for values in (scores.impostor, scores.genuine)
    ]
    return RocCurve(
        threshold=thresholds.astype(np.float64),
        far=accepted[0] / len(scores.impostor),
        tar=accepted[1] / len(scores.genuine),
    )


def score_histogram(scores: Scores, *, bins: int = 80) -> ScoreHistogram:
    """Counts of both kinds of scores in equal bins from the lowest score to the highest."""
    low = min(float(scores.genuine[0]), float(scores.impostor[0]))
    high = max(float(scores.genuine[-1]), float(scores.impostor[-1]))
    edges = np.linspace(low, high, bins + 1) if high > low else np.linspace(low - 0.5, low + 0.5, bins + 1)
    inner = edges[1:-1].astype(np.float32)  # float32 like the scores, or the search would copy them all to float64
    counts = [
        np.diff(np.searchsorted(values, inner, side="left"), prepend=0, append=len(values))
        for values in (scores.genuine, scores.impostor)
    ]
    return ScoreHistogram(edges=edges, genuine=counts[0], impostor=counts[1])


def _count_above(values: NDArray[np.float32], threshold: float) -> int:
    # The largest float32 at or below the threshold accepts the same scores, and keeps the search in float32.
    bound = np.float32(threshold)
    if float(bound) > threshold:
        bound = np.nextafter(bound, np.float32(-np.inf))
    return len(values) - int(np.searchsorted(values, bound, side="right"))


def _gap(scores: Scores, threshold: float) -> float:
    """FAR minus FRR: falls as the threshold rises."""
    point = rates_at(scores, float(threshold))
    return point.far - point.frr


def _next_below(values: NDArray[np.float32], threshold: float) -> float:
    index = int(np.searchsorted(values, np.float32(threshold), side="left"))
    return float(values[index - 1]) if index else -np.inf


def _below(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(-np.inf)))


def _spread(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """About `count` of the sorted values: evenly, and with ranks in geometric steps from both ends."""
    third = max(count // 3, 2)
    steps = np.geomspace(1, len(values), third).astype(np.int64) - 1
    even = np.linspace(0, len(values) - 1, third).astype(np.int64)
    return values[np.unique(np.concatenate([even, steps, len(values) - 1 - steps]))]
