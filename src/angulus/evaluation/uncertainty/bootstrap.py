"""From replicates to an interval: the options of a bootstrap, and what is done where few people or no error speak."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from angulus.evaluation.scores.subjects import Weights, draw_weights
from angulus.evaluation.uncertainty.intervals import Interval, Method, clopper_pearson, interval_of
from angulus.evaluation.uncertainty.replicates import Spread

FEW = 10.0  # below so many independent errors (or people) an interval says so
# Of fewer people most draws are the same few people again, and an interval would be far too narrow.
FEWEST_PEOPLE = 5


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals are made: how many replicates, from which seed, at which confidence, by which method."""

    replicates: int = 1000
    seed: int = 0
    level: float = 0.95
    method: Method = "logit-t"

    def weights(self, subjects: int) -> Weights:
        """The replicates' weights of people: the same for the same seed and number of people."""
        return draw_weights(subjects, self.replicates, self.seed)


def complement(interval: Interval) -> Interval:
    """The interval of one less the figure."""
    return Interval(
        **{"estimate": 1 - interval.estimate, "low": 1 - interval.high, "high": 1 - interval.low},
        **{"level": interval.level, "method": interval.method},
        **{"effective": interval.effective, "note": interval.note},
    )


def finish(
    spread: Spread, replicates: NDArray[np.float64], weights: Weights, options: Bootstrap, ratio: float = 1.0
) -> Interval:
    """The interval of a rate from its replicates, with a note where too few people carry it."""
    kept = np.isfinite(replicates)
    if kept.sum() < 2:
        return of_units(spread, options.level, "people")
    influence = None
    if options.method == "bca":  # covariance of figure and weights: the infinitesimal jackknife (Efron 2014)
        moved = replicates[kept] - replicates[kept].mean()
        influence = (moved @ weights[kept].astype(np.float64)) / kept.sum()
    note = ""
    if spread.effective_errors < FEW or spread.units < FEW:
        note = (
            f"few people carry this figure (worth {spread.effective_errors:.1f} independent errors,"
            f" {spread.units:.1f} equal people); the interval may be too narrow"
        )
    return interval_of(
        spread.rate,
        replicates[kept],
        level=options.level,
        method=options.method,
        **{"freedom": spread.freedom, "spread": ratio},
        **{"influence": influence, "effective": spread.rate * (1 - spread.rate) / spread.variance, "note": note},
    )


def of_units(spread: Spread, level: float, what: str) -> Interval:
    """Where nothing varies: Clopper-Pearson for as many trials as there are people (or couples) that count."""
    units = max(spread.units, 1.0)
    found = clopper_pearson(spread.rate * units, units, level=level)
    note = f"nothing varies between people; Clopper-Pearson for {units:.0f} {what} that count"
    return Interval(
        **{"estimate": spread.rate, "low": found.low, "high": found.high, "level": level},
        **{"method": "clopper-pearson by people", "effective": units, "note": note},
    )


def bounded(interval: Interval, units: float) -> Interval:
    """No wider than if each person's trials all went the same way: Clopper-Pearson for as many trials as people count.

    With few people Student's t would span nearly everything.
    """
    if interval.method != "logit-t" or units < 1:
        return interval
    widest = clopper_pearson(interval.estimate * units, units, level=interval.level)
    return replace(interval, low=max(interval.low, widest.low), high=min(interval.high, widest.high))
