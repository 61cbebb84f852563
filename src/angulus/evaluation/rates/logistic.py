"""Logistic regression of a yes or no from vectors, by Newton's method in float64.

Minimises   |w|^2 / 2 + strength * sum over i of log(1 + exp(-s_i (w . x_i + b))),   s_i = +-1,

the objective of scikit-learn's LogisticRegression with C = strength; the intercept b is not penalised. The objective
is strictly convex once both answers occur, so that the minimum is one point whatever computes it. A step costs n d^2
multiplications; the vectors are read in blocks and never copied as a whole.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError

_BLOCK_ROWS = 4096
_MOST_STEPS = 100
_MOST_HALVINGS = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearProbe:
    """Says yes where vectors @ weight + intercept > 0; weight float64 [d]."""

    weight: NDArray[np.float64]
    intercept: float

    def decide(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """The logits [n] of vectors [n, d]."""
        return np.concatenate(
            [block.astype(np.float64) @ self.weight + self.intercept for block in _blocks(vectors)] or [np.empty(0)]
        )


def fit_probe(
    vectors: NDArray[np.floating], yes: NDArray[np.bool_], *, strength: float = 1.0, tolerance: float = 1e-8
) -> LinearProbe:
    """The probe of least objective for vectors [n, d] and their answers [n].

    tolerance: it ends when no entry of the gradient is larger than tolerance x (1 + strength n). Raises EvaluationError
    when only one answer occurs, or when the steps do not end.
    """
    if strength <= 0:
        raise EvaluationError(f"strength must be above 0, got {strength}")
    if yes.all() or not yes.any():
        raise EvaluationError(f"a probe needs both answers, got {len(yes)} times {'yes' if yes.any() else 'no'}")
    signs = np.where(yes, 1.0, -1.0)
    point = np.zeros(vectors.shape[1] + 1)
    value, gradient, curvature = _derivatives(vectors, signs, point, strength)
    for _ in range(_MOST_STEPS):
        if np.abs(gradient).max() <= tolerance * (1 + strength * len(signs)):
            return LinearProbe(weight=point[:-1], intercept=float(point[-1]))
        step = np.linalg.solve(curvature, gradient).astype(np.float64)
        point = _line_search(vectors, signs, point, step, value, float(gradient @ step), strength)
        value, gradient, curvature = _derivatives(vectors, signs, point, strength)
    raise EvaluationError(
        f"the probe did not reach its minimum in {_MOST_STEPS} steps; make strength (now {strength:g}) smaller"
    )


def _line_search(
    vectors: NDArray[np.floating],
    signs: NDArray[np.float64],
    point: NDArray[np.float64],
    step: NDArray[np.float64],
    value: float,
    slope: float,
    strength: float,
) -> NDArray[np.float64]:
    """Halve the step until the objective falls by a ten-thousandth of what its slope promises (Armijo's rule)."""
    size = 1.0
    for _ in range(_MOST_HALVINGS):
        moved = point - size * step
        if _value(vectors, signs, moved, strength) <= value - 1e-4 * size * slope + 1e-12 * abs(value):
            return moved
        size /= 2
    return point - step


def _value(
    vectors: NDArray[np.floating], signs: NDArray[np.float64], point: NDArray[np.float64], strength: float
) -> float:
    logits = LinearProbe(weight=point[:-1], intercept=float(point[-1])).decide(vectors)
    return float(point[:-1] @ point[:-1]) / 2 + strength * float(np.logaddexp(0, -signs * logits).sum())


def _derivatives(
    vectors: NDArray[np.floating], signs: NDArray[np.float64], point: NDArray[np.float64], strength: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Objective, gradient [d + 1] and matrix of second derivatives [d + 1, d + 1]; the intercept comes last."""
    penalty = np.append(np.ones(len(point) - 1), 0.0)
    value = float((penalty * point) @ point) / 2
    gradient, curvature = penalty * point, np.diag(penalty)
    start = 0
    for block in _blocks(vectors):
        rows = np.column_stack([block.astype(np.float64), np.ones(len(block))])
        own = signs[start : start + len(block)]
        margins = own * (rows @ point)
        value += strength * float(np.logaddexp(0, -margins).sum())
        doubt = np.exp(-np.logaddexp(0, margins))  # 1 / (1 + exp(margin)), without overflow
        gradient = gradient - strength * (rows.T @ (own * doubt))
        curvature = curvature + strength * (rows.T * (doubt * (1 - doubt))) @ rows
        start += len(block)
    return value, gradient, curvature


def _blocks(vectors: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    return [vectors[start : start + _BLOCK_ROWS] for start in range(0, len(vectors), _BLOCK_ROWS)]
