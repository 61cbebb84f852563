"""One figure of one row over the seeds, and whether two of them differ by more than the seeds do."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from angulus.evaluation.uncertainty.intervals import student_quantile

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of one row. by_seed: its value for each finished seed."""

    by_seed: Mapping[int, float]

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(self.by_seed.values())

    @property
    def mean(self) -> float:
        """NaN where no seed has finished."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def spread(self) -> float:
        """Sample standard deviation over the seeds; NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


Cells = Mapping[str, Mapping[str, Cell]]


def told_apart(one: Cell, other: Cell, level: float = LEVEL) -> bool:
    """Whether the mean difference over the seeds that both have lies outside Student's interval around 0.

    Paired, since runs with one seed share people, order and first weights. Fewer than two common seeds tell nothing.
    """
    seeds = [seed for seed in one.by_seed if seed in other.by_seed]
    if len(seeds) < 2:
        return False
    differences = [one.by_seed[seed] - other.by_seed[seed] for seed in seeds]
    if not all(map(math.isfinite, differences)):
        return False
    half = student_quantile((1 + level) / 2, len(seeds) - 1) * statistics.stdev(differences) / math.sqrt(len(seeds))
    return abs(statistics.fmean(differences)) > half
