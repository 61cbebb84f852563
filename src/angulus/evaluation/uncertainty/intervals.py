"""Between which values does a rate lie: intervals for counts, quantiles they need, and intervals from replicates.

Counts of independent trials: Wilson (1927) and Clopper-Pearson (1934). Comparisons of faces are not independent trials;
`uncertainty` puts an effective number in the place of the count of pairs, or makes replicates by drawing people anew,
and `interval_of` turns replicates into an interval. Quantiles of the beta and Student distributions come from the
incomplete beta function (continued fraction, Numerical Recipes 6.4), inverted by bisection in float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.logits import inverse_logit, logit

Method = Literal["logit-t", "percentile", "bca"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and the values between which it lies at confidence `level` (0 to 1).

    method: how it was made. effective: how many independent people (or pairs of people) the figure is worth, None where
    it is not known. note: a sentence when the interval must be read with care, else empty.
    """

    estimate: float
    low: float
    high: float
    level: float
    method: str
    effective: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("low", "high"):  # an end that is the estimate but for rounding is the estimate
            if abs(getattr(self, name) - self.estimate) < 1e-12:
                object.__setattr__(self, name, self.estimate)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"estimate": self.estimate, "low": self.low, "high": self.high, "level": self.level},
            **{"method": self.method, "effective": self.effective, "note": self.note},
        }

    def text(self, digits: int = 2) -> str:
        """The figure in percent with its interval, as "97.03 % (95.90 to 97.84)"."""
        low, estimate, high = (f"{100 * value:.{digits}f}" for value in (self.low, self.estimate, self.high))
        return f"{estimate} % ({low} to {high})"


def wilson(errors: float, trials: float, *, level: float = 0.95) -> Interval:
    """Wilson's score interval for `errors` of `trials` independent trials; both may be fractions."""
    _check_counts(errors, trials, level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate = errors / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2) / (1 + z * z / trials)
    low = 0.0 if errors == 0 else max(centre - half, 0.0)
    high = 1.0 if errors == trials else min(centre + half, 1.0)
    return Interval(estimate=rate, low=low, high=high, level=level, method="wilson", effective=trials)


def clopper_pearson(errors: float, trials: float, *, level: float = 0.95) -> Interval:
    """The exact binomial interval; it covers at least `level`, whatever the rate. Effective numbers are allowed."""
    _check_counts(errors, trials, level)
    tail = (1 - level) / 2
    low = 0.0 if errors == 0 else beta_quantile(tail, errors, trials - errors + 1)
    high = 1.0 if errors == trials else beta_quantile(1 - tail, errors + 1, trials - errors)
    return Interval(
        estimate=errors / trials, low=low, high=high, level=level, method="clopper-pearson", effective=trials
    )


def interval_of(
    estimate: float,
    replicates: NDArray[np.float64],
    *,
    level: float = 0.95,
    method: Method = "logit-t",
    freedom: float = math.inf,
    spread: float = 1.0,
    smallest: float = 1e-9,
    influence: NDArray[np.float64] | None = None,
    effective: float | None = None,
    note: str = "",
) -> Interval:
    """Interval of a rate strictly between 0 and 1 from its bootstrap replicates [b].

    "logit-t" (default): estimate +- t sd on the scale log(p / (1 - p)), sd that of the replicates times `spread` (the
    jackknife's correction for people of large weight), t Student's quantile with `freedom` degrees. "percentile": the
    quantiles of the replicates. "bca": quantiles corrected for bias and acceleration (Efron 1987); needs influence [s].
    smallest: replicates at 0 or 1 are moved inside by so much.
    """
    if method not in METHODS:
        raise EvaluationError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    _check_level(level)
    if method == "logit-t":
        values = logit(np.clip(replicates, smallest, 1 - smallest))
        half = student_quantile((1 + level) / 2, freedom) * spread * float(values.std(ddof=1))
        centre = logit(estimate)
        low, high = (float(inverse_logit(centre + side * half)) for side in (-1, 1))
    else:
        ends = np.array([(1 - level) / 2, (1 + level) / 2])
        if method == "bca":
            if influence is None:
                raise EvaluationError("method 'bca' needs the influence of each subject, got none; use 'percentile'")
            ends = _bca_levels(estimate, replicates, influence, ends)
        low, high = (float(value) for value in np.quantile(replicates, ends))
    return Interval(estimate=estimate, low=low, high=high, level=level, method=method, effective=effective, note=note)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The value below which a Beta(a, b) variable falls with this probability; a, b above 0."""
    return _bisect(lambda value: incomplete_beta(a, b, value) < probability, 0.0, 1.0)


def student_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t for a probability of at least 0.5; the normal one from a million degrees on."""
    if freedom > 1e6:
        return NormalDist().inv_cdf(probability)
    return _bisect(lambda value: 1 - student_tail(value, freedom) < probability, 0.0, 1e9)


def student_tail(value: float, freedom: float) -> float:
    """Probability that Student's t exceeds `value` (at least 0)."""
    if freedom > 1e6:
        return 0.5 * math.erfc(value / math.sqrt(2))
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + value * value)) / 2


def incomplete_beta(a: float, b: float, value: float) -> float:
    """Probability that a Beta(a, b) variable is at most `value` (the regularised incomplete beta function)."""
    if value <= 0 or value >= 1:
        return float(value >= 1)
    if value > (a + 1) / (a + b + 2):
        return 1 - _left_of_the_mean(b, a, 1 - value)
    return _left_of_the_mean(a, b, value)


def _left_of_the_mean(a: float, b: float, value: float) -> float:
    """The same by its continued fraction, which converges quickly there."""
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(value) + b * math.log1p(-value)
    return math.exp(front) * _beta_fraction(a, b, value) / a


def _beta_fraction(a: float, b: float, value: float) -> float:
    """Lentz's method for the continued fraction of the incomplete beta function."""
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * value / (a + 1) or tiny)
    result = d
    for step in range(1, 100_000):
        for top in (
            step * (b - step) * value / ((a + 2 * step - 1) * (a + 2 * step)),
            -(a + step) * (a + b + step) * value / ((a + 2 * step) * (a + 2 * step + 1)),
        ):
            d = 1 / (1 + top * d or tiny)
            c = 1 + top / c or tiny
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return result


def _bisect(too_small: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(400):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return high


def _bca_levels(
    estimate: float, replicates: NDArray[np.float64], influence: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    normal = NormalDist()
    below = float(np.mean(replicates < estimate) + np.mean(replicates == estimate) / 2)
    bias = normal.inv_cdf(min(max(below, 1e-3), 1 - 1e-3))
    squares = float((influence**2).sum())
    acceleration = float((influence**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    moved = [bias + normal.inv_cdf(float(end)) for end in ends]
    return np.array([normal.cdf(bias + value / max(1 - acceleration * value, 1e-3)) for value in moved])


def _check_counts(errors: float, trials: float, level: float) -> None:
    _check_level(level)
    if not (trials > 0 and 0 <= errors <= trials):
        raise EvaluationError(f"errors must lie between 0 and the number of trials, got {errors:g} of {trials:g}")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise EvaluationError(f"level must lie between 0 and 1, as 0.95, got {level:g}")
