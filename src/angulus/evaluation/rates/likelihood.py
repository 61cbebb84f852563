"""How much more probable is a score if both images show one person? Scores as log-likelihood ratios, and their cost.

    logistic    llr = slope score + offset, fitted so that sum of -log p(truth) is least at a given prior
                (linear calibration, Bruemmer and du Preez 2006)
    PAV         the best increasing function of the score: isotonic regression by pooling adjacent violators
    Cllr        1/2 (mean over genuine of log2(1 + exp(-llr)) + mean over impostors of log2(1 + exp(llr))), in bits:
                0 is perfect, 1 says nothing; min Cllr is that of the PAV, the rest is miscalibration

Natural logarithms in llr, float64 throughout.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.logits import inverse_logit, logit
from angulus.json_files import parse_json

_STEPS = 100
_LEAST = 1e-3  # of a step of Newton; where no more of it helps, steps are damped instead
_SLOPE = 1e-9  # of a loss at its minimum


@dataclass(frozen=True, kw_only=True)
class LinearCalibration:
    """llr = slope score + offset, fitted at `prior`, the probability of a genuine pair."""

    slope: float
    offset: float
    prior: float

    def llr(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Natural log-likelihood ratios of the scores."""
        return self.slope * np.asarray(scores, dtype=np.float64) + self.offset

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"kind": "linear", **asdict(self)}

    def to_json(self) -> str:
        """Text that `from_json` reads back, for deployment."""
        return json.dumps(self.as_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; EvaluationError when it is something else."""
        return cls(**read_fields(cls, text))


@dataclass(frozen=True, kw_only=True)
class StepCalibration:
    """llr as an increasing step function: `values[k]` for scores from `starts[k]` up to the next start.

    Scores below the first start have the first value. Values at the ends may be infinite (JSON holds them as text).
    """

    starts: tuple[float, ...]
    values: tuple[float, ...]

    def llr(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Natural log-likelihood ratios of the scores."""
        place = np.searchsorted(np.array(self.starts), np.asarray(scores, dtype=np.float64), side="right") - 1
        return np.array(self.values)[np.maximum(place, 0)]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: values as text where they are infinite."""
        values = [value if math.isfinite(value) else str(value) for value in self.values]
        return {"kind": "steps", "starts": list(self.starts), "values": values}

    def to_json(self) -> str:
        """Text that `from_json` reads back, for deployment."""
        return json.dumps(self.as_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; EvaluationError when it is something else."""
        fields = read_fields(cls, text)
        return cls(starts=tuple(fields["starts"]), values=tuple(float(value) for value in fields["values"]))


def fit_logistic(genuine: ArrayLike, impostor: ArrayLike, *, prior: float = 0.5) -> LinearCalibration:
    """Fit `LinearCalibration` by Newton's method with halved steps; genuine [g] and impostor [i] scores.

    Raises EvaluationError when the scores separate both kinds perfectly: the best slope is then infinite.
    """
    own, other = _both(genuine, impostor)
    if not 0 < prior < 1:
        raise EvaluationError(f"prior must lie between 0 and 1, got {prior:g}")
    if own.min() >= other.max() or own.max() <= other.min():
        raise EvaluationError(
            "logistic calibration needs scores of both kinds that overlap, got perfectly separated ones;"
            " give more pairs, or use the steps of fit_pav"
        )
    scores = np.concatenate([own, other])
    centre, scale = float(scores.mean()), float(scores.std())
    design = np.stack([(scores - centre) / scale, np.ones_like(scores)], axis=1)
    weights = np.concatenate([np.full(len(own), prior / len(own)), np.full(len(other), (1 - prior) / len(other))])
    signs = np.concatenate([np.ones(len(own)), -np.ones(len(other))])
    slope, offset = (float(value) for value in least_loss(design, weights, signs, float(logit(prior))))
    return LinearCalibration(slope=slope / scale, offset=offset - slope * centre / scale, prior=prior)


def fit_pav(genuine: ArrayLike, impostor: ArrayLike) -> StepCalibration:
    """Fit `StepCalibration`: the increasing function of the score that fits best, whatever the prior."""
    own, other = _both(genuine, impostor)
    scores, place = np.unique(np.concatenate([own, other]), return_inverse=True)
    hits = np.bincount(place[: len(own)], minlength=len(scores)).astype(np.float64)
    misses = np.bincount(place[len(own) :], minlength=len(scores)).astype(np.float64)
    fitted = pool_adjacent_violators(hits / (hits + misses), hits + misses)
    first = np.flatnonzero(np.diff(fitted, prepend=-1.0))
    values = logit(fitted[first]) - math.log(len(own) / len(other))
    return StepCalibration(starts=tuple(scores[first].tolist()), values=tuple(values.tolist()))


def pool_adjacent_violators(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The non-decreasing sequence nearest to `values` in weighted squares (Ayer et al. 1955), in linear time."""
    sums: list[float] = []
    masses: list[float] = []
    lengths: list[int] = []
    for total, mass in zip((values * weights).tolist(), weights.tolist(), strict=True):
        length = 1
        while sums and sums[-1] * mass >= total * masses[-1]:
            total, mass, length = total + sums.pop(), mass + masses.pop(), length + lengths.pop()
        sums.append(total)
        masses.append(mass)
        lengths.append(length)
    return np.repeat(np.array(sums) / np.array(masses), lengths)


def cllr(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Cost of log-likelihood ratios in bits; arguments are llr, which may be infinite."""
    own, other = (np.asarray(values, dtype=np.float64) for values in (genuine, impostor))
    if not len(own) or not len(other) or np.isnan(own).any() or np.isnan(other).any():
        raise EvaluationError("Cllr needs llr of both kinds without NaN; check the scores")
    return float((np.logaddexp(0, -own).mean() + np.logaddexp(0, other).mean()) / (2 * math.log(2)))


def min_cllr(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """The least Cllr that an increasing function of the scores can have (that of the PAV)."""
    steps = fit_pav(genuine, impostor)
    return cllr(steps.llr(genuine), steps.llr(impostor))


def least_loss(
    design: NDArray[np.float64], weights: NDArray[np.float64], signs: NDArray[np.float64], shift: float
) -> NDArray[np.float64]:
    """The x [k] of least sum_i weights_i log(1 + exp(-signs_i (design_i x + shift))); design [n, k], by Newton."""

    def loss(at: NDArray[np.float64]) -> float:
        return float(weights @ np.logaddexp(0, -signs * (design @ at + shift)))

    found = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = inverse_logit(design @ found + shift)
        gradient = design.T @ (weights * (chance - (signs > 0)))
        curvature = (design * (weights * chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size, before = 1.0, loss(found)
        while loss(found - size * step) > before and size > _LEAST:
            size /= 2
        least = 1e-12 * (1 + np.abs(found).max())
        is_done = np.abs(size * step).max() < least
        if size <= _LEAST or (is_done and np.abs(gradient).max() > _SLOPE):
            # so flat here, in some direction, that the parabola through it says nothing of the minimum
            size, step = 1.0, _damped(loss, found, gradient, curvature)
            is_done = np.abs(step).max() < least
        found = found - size * step
        if is_done:
            break
    return found


def _damped(
    loss: Callable[[NDArray[np.float64]], float],
    found: NDArray[np.float64],
    gradient: NDArray[np.float64],
    curvature: NDArray[np.float64],
) -> NDArray[np.float64]:
    """A step that lowers the loss: the more damped, the shorter and the closer to the gradient; zero at the minimum."""
    before, damping = loss(found), 1e-12
    while damping < 1e12:
        step = np.asarray(np.linalg.solve(curvature + damping * np.eye(len(found)), gradient), dtype=np.float64)
        if loss(found - step) < before:
            return step
        damping *= 10
    return np.zeros_like(found)


def _both(genuine: ArrayLike, impostor: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found = []
    for name, values in (("genuine", genuine), ("impostor", impostor)):
        scores = np.asarray(values, dtype=np.float64)
        if scores.ndim != 1 or len(scores) == 0:
            raise EvaluationError(f"{name} scores must be a list of at least one, got the shape {list(scores.shape)}")
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            raise EvaluationError(f"{name} scores must be finite, got {scores[bad[0]]} in row {bad[0]}")
        found.append(scores)
    return found[0], found[1]


def read_fields(kind: type, text: str) -> dict[str, Any]:
    """The fields of a frozen dataclass from the JSON text of its `as_dict`."""
    try:
        values = parse_json(text)
        names = [field.name for field in fields(kind)]
        return {name: values[name] for name in names}
    except (ValueError, KeyError, TypeError) as problem:
        raise EvaluationError(f"this is no stored {kind.__name__}: {problem!r}; write it with to_json") from problem
