"""Which images go, given the evidence: a rule says how suspicious each is, in degrees, and an angle says from where on.

    subcenter  angle to the dominant center of its class (ArcFace, TPAMI 2021, section 3.2: beyond 75 degrees)
    strict     the same, and every image that is nearest to a non-dominant center goes, also within the angle
    nearest    angle to the nearest center of its class; with one center per class there is no other rule of the paper
    combined   2 own - other: the angle to the dominant center, and how much farther that is than the nearest
               other class: own + (own - other)

An image goes where its suspicion is above the angle. The angle "auto" is fitted to the set: two normal distributions
explain the suspicions, and the angle is where an image is as likely of the upper one as of the lower one.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import DataError
from angulus.purification.evidence import Angles

Rule = Literal["subcenter", "strict", "nearest", "combined"]
RULES: tuple[Rule, ...] = get_args(Rule)
PUBLISHED_ANGLE = 75.0
_BEYOND = 360.0  # more than any angle and than any combination of two
_ROUNDS = 500
_LEAST_SHARE = 0.002  # of the images in the upper distribution; less is none


@dataclass(frozen=True, kw_only=True)
class TwoGroups:
    """Two normal distributions that were fitted to the suspicions: shares, means and deviations, the lower first.

    angle: where both are as likely.  is_two: whether two explain the set better than one (by BIC) and lie apart.
    """

    shares: tuple[float, float]
    means: tuple[float, float]
    deviations: tuple[float, float]
    angle: float
    is_two: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """suspicion: float64 [n], degrees.  angle: from where on images go.  dropped: bool [n].  fit: of the angle "auto"."""

    suspicion: NDArray[np.float64]
    angle: float
    dropped: NDArray[np.bool_]
    fit: TwoGroups | None = None


def decide(angles: Angles, rule: Rule, angle: float | Literal["auto"]) -> Verdict:
    """Which images a rule drops. Raises DataError for an unknown rule or an angle that is none."""
    scores = suspicion(angles, rule)
    if angle != "auto":
        if not 0.0 <= angle <= 180.0:
            raise DataError(f"angle must be between 0 and 180 degrees, or auto, got {angle}")
        return Verdict(suspicion=scores, angle=float(angle), dropped=scores > angle)
    fit = two_groups(scores[scores < _BEYOND])
    limit = fit.angle if fit.is_two else float(scores[scores < _BEYOND].max(initial=0.0))
    return Verdict(suspicion=scores, angle=limit, dropped=scores > limit, fit=fit)


def suspicion(angles: Angles, rule: Rule) -> NDArray[np.float64]:
    """How suspicious each image is under a rule, degrees [n]; 360 for one that goes whatever the angle."""
    if rule not in RULES:
        raise DataError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if rule == "nearest":
        return angles.nearest_angle
    if rule == "combined":
        return 2 * angles.dominant_angle - angles.other_angle
    if rule == "strict":
        return np.where(angles.is_dominant, angles.dominant_angle, _BEYOND)
    return angles.dominant_angle


def default_angle(rule: Rule) -> float | Literal["auto"]:
    """The published angle, which is one to a center; what combines several is fitted."""
    return "auto" if rule == "combined" else PUBLISHED_ANGLE


def two_groups(values: ArrayLike) -> TwoGroups:
    """Fit two normal distributions to values [n] (EM, float64, from the split with the least variance inside)."""
    data = np.sort(np.asarray(values, dtype=np.float64))
    if len(data) < 8 or data[0] == data[-1]:
        middle = float(data.mean()) if len(data) else 0.0
        return TwoGroups(shares=(1.0, 0.0), means=(middle, middle), deviations=(0.0, 0.0), angle=middle, is_two=False)
    upper = (data > least_variance_split(data)).astype(np.float64)
    least = 1e-3 * data.std()
    shares, means, deviations = _moments(data, upper, least)
    before = -np.inf
    for _ in range(_ROUNDS):
        joint = shares * _density(data[:, None], means, deviations)
        total = joint.sum(axis=1) + 1e-300
        likelihood = float(np.log(total).sum())
        shares, means, deviations = _moments(data, joint[:, 1] / total, least)
        if likelihood - before < 1e-9 * abs(likelihood):
            break
        before = likelihood
    one = float(np.log(_density(data, data.mean(), data.std()) + 1e-300).sum())
    better = 2 * (likelihood - one) > 3 * np.log(len(data))  # three numbers more than one distribution has
    apart = means[1] - means[0] > max(deviations)
    pair = [(float(array[0]), float(array[1])) for array in (shares, means, deviations)]
    return TwoGroups(
        shares=pair[0],
        means=pair[1],
        deviations=pair[2],
        angle=_crossing(shares, means, deviations),
        is_two=bool(better and apart and shares[1] > _LEAST_SHARE),
    )


def least_variance_split(data: NDArray[np.float64]) -> float:
    """The value that splits sorted data into two groups with the least variance inside (Otsu 1979)."""
    counts = np.arange(1, len(data))
    sums = np.cumsum(data)
    low, high = sums[:-1] / counts, (sums[-1] - sums[:-1]) / (len(data) - counts)
    between = counts * (len(data) - counts) * (high - low) ** 2
    place = int(between.argmax())
    return float((data[place] + data[place + 1]) / 2)


def _moments(
    data: NDArray[np.float64], upper: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    weights = np.stack([1 - upper, upper], axis=1)
    totals = np.maximum(weights.sum(axis=0), 1e-9)
    means = (weights * data[:, None]).sum(axis=0) / totals
    spread = (weights * (data[:, None] - means) ** 2).sum(axis=0) / totals
    return totals / len(data), means, np.maximum(np.sqrt(spread), least)


def _density(data: NDArray[np.float64], mean: ArrayLike, deviation: ArrayLike) -> NDArray[np.float64]:
    z = (data - mean) / np.asarray(deviation)
    return np.exp(-0.5 * z * z) / (np.asarray(deviation) * np.sqrt(2 * np.pi))


def _crossing(
    shares: NDArray[np.float64], means: NDArray[np.float64], deviations: NDArray[np.float64]
) -> float:
    """The value between the means where both distributions are as likely."""
    grid = np.linspace(means[0], means[1], 2001)
    joint = shares * _density(grid[:, None], means, deviations)
    return float(grid[int((joint[:, 1] >= joint[:, 0]).argmax())])
