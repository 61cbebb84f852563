"""Scores and the quality of both sides as one log-likelihood ratio: is a low score of two seconds of speech low?

    llr = slope score + sum_k weight_k measure_k + offset

fitted as `likelihood.fit_logistic` is, by the least prior-weighted cost: prior mean_g log(1 + e^-(llr + logit prior)) +
(1 - prior) mean_i log(1 + e^(llr + logit prior)). Two measures come of each quality q of a recording (its seconds of
speech, the norm of its embedding): log of the lesser and of the greater q of a trial, so that the order of its sides
changes nothing. Without measures it is linear calibration.

References: Bruemmer and du Preez 2006 (the cost); Mandasari, Saeidi, McLaren and van Leeuwen 2013, "Quality measure
functions for calibration of speaker recognition systems in various duration conditions" (measures of both sides).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.likelihood import least_loss, read_fields
from angulus.evaluation.rates.logits import logit


@dataclass(frozen=True, kw_only=True)
class QualityCalibration:
    """llr = slope score + weights . measures + offset, fitted at `prior`; measures: the name of each weight's."""

    slope: float
    weights: tuple[float, ...]
    offset: float
    measures: tuple[str, ...]
    prior: float

    def llr(self, scores: ArrayLike, measures: ArrayLike) -> NDArray[np.float64]:
        """Natural log-likelihood ratios [p] of scores [p] and measures [p, m]."""
        values, beside = np.asarray(scores, dtype=np.float64), np.asarray(measures, dtype=np.float64)
        _check_shape(values, beside, self.measures)
        return self.slope * values + beside @ np.array(self.weights, dtype=np.float64) + self.offset

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found = asdict(self)
        return {"kind": "quality", **found, "weights": list(self.weights), "measures": list(self.measures)}

    def to_json(self) -> str:
        """Text that `from_json` reads back."""
        return json.dumps(self.as_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; EvaluationError when it is something else."""
        fields = read_fields(cls, text)
        try:
            weights, measures = (tuple(fields[name]) for name in ("weights", "measures"))
            numbers = {name: float(fields[name]) for name in ("slope", "offset", "prior")}
            found = cls(**numbers, weights=tuple(float(w) for w in weights), measures=tuple(map(str, measures)))
        except (TypeError, ValueError) as problem:
            raise EvaluationError(f"this is no stored calibration: {problem}") from problem
        if len(weights) != len(measures) or not np.isfinite([*numbers.values(), *found.weights]).all():
            raise EvaluationError(
                f"this is no stored calibration: it must have a finite weight for each measure, got {len(weights)}"
                f" weights and {len(measures)} measures"
            )
        return found

    def line(self) -> str:
        """The calibration as a line of text."""
        named = zip(self.weights, self.measures, strict=True)
        beside = "".join(f" {weight:+.3f} {name}" for weight, name in named)
        return f"log-likelihood ratio = {self.slope:.3f} score{beside} {self.offset:+.3f}"


def fit_quality(
    scores: ArrayLike, same: ArrayLike, measures: ArrayLike, names: Sequence[str], *, prior: float = 0.5
) -> QualityCalibration:
    """Fit `QualityCalibration` to scores [p] of trials, same bool [p], and measures [p, m] with their names [m].

    A measure that is equal in all trials has the weight 0. Raises EvaluationError where scores and measures separate
    both kinds perfectly, the best slope being infinite.
    """
    values, kind = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=bool)
    beside = np.asarray(measures, dtype=np.float64)
    _check_shape(values, beside, names)
    if not 0 < prior < 1:
        raise EvaluationError(f"prior must lie between 0 and 1, got {prior:g}")
    if kind.all() or not kind.any():
        raise EvaluationError(
            f"calibration needs trials of both kinds, got {int(kind.sum())} genuine and {int((~kind).sum())} impostor"
        )
    columns = np.column_stack([values, beside])
    bad = np.flatnonzero(~np.isfinite(columns).all(axis=1))
    if len(bad):
        raise EvaluationError(f"scores and measures must be finite, got NaN or infinity in trial {bad[0]}")
    centre, spread = columns.mean(axis=0), columns.std(axis=0)
    moves = spread > 1e-9 * np.maximum(np.abs(centre), 1.0)
    scale = np.where(moves, spread, 1.0)
    design = np.column_stack([np.where(moves, (columns - centre) / scale, 0.0), np.ones(len(values))])
    weights = np.where(kind, prior / kind.sum(), (1 - prior) / (~kind).sum())
    found = least_loss(design, weights, np.where(kind, 1.0, -1.0), float(logit(prior)))
    _check_overlap(design @ found, kind)
    slopes = found[:-1] / scale
    return QualityCalibration(
        slope=float(slopes[0]),
        weights=tuple(slopes[1:].tolist()),
        offset=float(found[-1] - slopes @ centre),
        measures=tuple(names),
        prior=prior,
    )


def quality_measures(values: ArrayLike, left: ArrayLike, right: ArrayLike, name: str) -> NDArray[np.float64]:
    """Log of the lesser and of the greater quality of both sides [p, 2]; values [n], rows left and right [p].

    Raises EvaluationError naming the quality for a value that is not above 0.
    """
    quality = np.asarray(values)
    if quality.dtype.kind not in "biuf":
        raise EvaluationError(f"the quality {name} must be a number above 0, and the column holds text")
    sides = [quality.astype(np.float64)[np.asarray(rows)] for rows in (left, right)]
    for rows, side in zip((left, right), sides, strict=True):
        bad = np.flatnonzero(~((side > 0) & np.isfinite(side)))
        if len(bad):
            row = np.asarray(rows)[bad[0]]
            raise EvaluationError(f"the quality {name} must be a number above 0, got {side[bad[0]]:g} in row {row}")
    return np.log(np.column_stack([np.minimum(*sides), np.maximum(*sides)]))


def measure_names(name: str) -> tuple[str, str]:
    """What the two measures of a quality are called."""
    return (f"log lesser {name}", f"log greater {name}")


def _check_shape(scores: NDArray[np.float64], measures: NDArray[np.float64], names: Sequence[str]) -> None:
    if scores.ndim != 1 or measures.shape != (len(scores), len(names)):
        raise EvaluationError(
            f"measures must have the shape [trials, measures], here [{scores.size}, {len(names)}]"
            f" ({', '.join(names) or 'none'}), got {list(measures.shape)}"
        )


def _check_overlap(found: NDArray[np.float64], kind: NDArray[np.bool_]) -> None:
    if found[kind].min() >= found[~kind].max():
        raise EvaluationError(
            "logistic calibration needs scores of both kinds that overlap, got perfectly separated ones; give more"
            " trials, or fewer quality measures"
        )
