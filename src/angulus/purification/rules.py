"""Which images go, given the evidence: a rule says how suspicious each is, in degrees, and an angle says from where on.

    subcenter  angle to the dominant center of its class (ArcFace, TPAMI 2021, section 3.2: beyond 75 degrees)
    strict     the same, and every image that is nearest to a non-dominant center goes, also within the angle
    nearest    angle to the nearest center of its class; with one center per class there is no other rule of the paper
    combined   dominant + nearest - other - views / 4: both angles to the own class, less that to the nearest other
               class; an image whose mirror image lies far from it is a hard one, and is forgiven a little

An image goes where its suspicion is above the angle. The angle "auto" is fitted to the set. What a wrong label looks
like is known without knowing one: it is the suspicion g that an image has under the label of another class, drawn at
random. With the observed suspicions h, the share w of wrong labels and p, the probability that a label is wrong:

    w = 2 P(h > median of g)      right labels hardly reach that far (Storey 2002)
    p(x) = w g(x) / h(x)          made increasing; 1 - the local false discovery rate (Efron 2004)

and images go from where p is 1/2 on. Right labels may be spread in any way, which two normal distributions would not
allow: hard images lie far out. The combined rule only orders the images; as many go as the angles to the dominant
centers say, since an image that took a center for itself hides from the other evidence.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError
from angulus.purification.evidence import Angles

Rule = Literal["subcenter", "strict", "nearest", "combined"]
RULES: tuple[Rule, ...] = get_args(Rule)
PUBLISHED_ANGLE = 75.0
_FORGIVEN = 0.25  # of the angle between the views of an image
_BEYOND = 360.0  # more than any angle and than any combination of two
_LOWEST, _HIGHEST, _STEP = -180.0, 360.0, 0.5  # degrees of the grid on which densities are compared
_SMOOTH = 2.0  # degrees, at least


@dataclass(frozen=True, kw_only=True, eq=False)
class WrongLabels:
    """What was fitted: share of wrong labels; angle from which on a label is rather wrong than right, None: nowhere.

    grid: degrees [m], and probability [m] that a label of this suspicion is wrong, increasing.
    """

    share: float
    angle: float | None
    grid: NDArray[np.float64]
    probability: NDArray[np.float64]

    def at(self, suspicion: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability that labels of these suspicions are wrong."""
        return np.interp(suspicion, self.grid, self.probability)


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """suspicion: float64 [n], degrees.  angle: beyond it images go.  dropped: bool [n].

    fit: what the set says of its wrong labels, whether or not the angle is taken from it.
    """

    suspicion: NDArray[np.float64]
    angle: float
    dropped: NDArray[np.bool_]
    fit: WrongLabels


def decide(angles: Angles, rule: Rule, angle: float | Literal["auto"]) -> Verdict:
    """Which images a rule drops. Raises DataError for an unknown rule or an angle that is none."""
    scores = suspicion(angles, rule)
    fit = fitted(angles, rule, scores)
    if angle == "auto":
        limit = _BEYOND - 1 if fit.angle is None else fit.angle
    elif 0.0 <= angle <= 180.0:
        limit = float(angle)
    else:
        raise DataError(f"angle must be between 0 and 180 degrees, or auto, got {angle}")
    return Verdict(suspicion=scores, angle=limit, dropped=scores > limit, fit=fit)


def fitted(angles: Angles, rule: Rule, scores: NDArray[np.float64]) -> WrongLabels:
    """What the set says of its wrong labels under a rule."""
    if (angles.chance_angle >= 180.0).all():  # there is no other class
        return wrong_labels(scores, np.zeros(0))
    far = wrong_labels(angles.dominant_angle, angles.chance_angle)
    if rule == "nearest":
        return wrong_labels(scores, angles.chance_nearest)
    if rule != "combined":
        return far
    # where the drawn class is the nearest other one, the next one is not known: the drawn one does for it
    rest = np.where(angles.chance_is_other, angles.chance_angle, angles.other_angle)
    own = angles.chance_angle + angles.chance_nearest - _FORGIVEN * angles.views_angle
    fit = wrong_labels(scores, own - np.minimum(angles.nearest_angle, rest))
    return moved(fit, scores, far.share)


def moved(fit: WrongLabels, scores: NDArray[np.float64], share: float) -> WrongLabels:
    """The same with the angle beyond which a given share of the images lies, and probabilities that agree with it."""
    ordered = np.sort(scores)
    count = round(share * len(scores))
    if not count:
        return replace(fit, share=share, angle=None, probability=np.minimum(fit.probability, 0.5))
    angle = float(ordered[-count - 1] + ordered[-count]) / 2 if count < len(scores) else float(ordered[0]) - 1
    beyond = fit.grid > angle
    probability = np.where(beyond, np.maximum(fit.probability, 0.5), np.minimum(fit.probability, 0.5))
    return replace(fit, share=share, angle=angle, probability=probability)


def suspicion(angles: Angles, rule: Rule) -> NDArray[np.float64]:
    """How suspicious each image is under a rule, degrees [n]; 360 for one that goes whatever the angle."""
    if rule not in RULES:
        raise DataError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if rule == "nearest":
        return angles.nearest_angle
    if rule == "combined":
        own = angles.dominant_angle + angles.nearest_angle
        return own - angles.other_angle - _FORGIVEN * angles.views_angle
    if rule == "strict":
        return np.where(angles.is_dominant, angles.dominant_angle, _BEYOND)
    return angles.dominant_angle


def default_angle(rule: Rule) -> float | Literal["auto"]:
    """The published angle, which is one to a center; what combines several is fitted."""
    return "auto" if rule == "combined" else PUBLISHED_ANGLE


def wrong_labels(observed: NDArray[np.float64], by_chance: NDArray[np.float64]) -> WrongLabels:
    """How many labels are wrong, and from where on: observed suspicions [n] against those of labels at random [m]."""
    grid = np.arange(_LOWEST, _HIGHEST + _STEP, _STEP)
    if not len(by_chance) or not len(observed):
        return WrongLabels(share=0.0, angle=None, grid=grid, probability=np.zeros(len(grid)))
    share = float(min(1.0, 2 * (observed > np.median(by_chance)).mean()))
    expected, seen = share * density(by_chance, grid), density(observed, grid)
    ratio = np.divide(expected, seen, out=np.zeros(len(grid)), where=seen > 0)
    reached = np.maximum.accumulate(np.clip(ratio, 0.0, 1.0) * (grid >= observed.min()))
    likely = np.flatnonzero(reached >= 0.5)
    angle = float(grid[likely[0]]) if len(likely) else None
    return WrongLabels(share=share, angle=angle, grid=grid, probability=reached)


def density(values: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth density of values on the grid (normal kernel, Silverman's width, at least 2 degrees)."""
    low, high = np.percentile(values, [25, 75])
    width = max(_SMOOTH, 0.9 * min(values.std(), (high - low) / 1.34) * len(values) ** -0.2)
    edges = np.append(grid - _STEP / 2, grid[-1] + _STEP / 2)
    counts = np.histogram(values, bins=edges)[0] / (len(values) * _STEP)
    reach = np.arange(-4 * width, 4 * width + _STEP, _STEP)
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    return np.convolve(counts, kernel / kernel.sum(), mode="same")
