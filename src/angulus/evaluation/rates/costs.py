"""What do wrong decisions cost at a given prior? The detection cost of the NIST speaker evaluations.

    DCF(t) = cost_miss prior FRR(t) + cost_false (1 - prior) FAR(t), divided by the cost of deciding without looking,
             min(cost_miss prior, cost_false (1 - prior))

minDCF takes the best threshold on the tested scores; actDCF takes Bayes' threshold, log(cost_false (1 - prior) /
(cost_miss prior)), on log-likelihood ratios, and so pays for miscalibration. Accepted means greater than the threshold.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from angulus.errors import EvaluationError
from angulus.evaluation.scores.subjects import finite


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """What a miss and a false accept cost, and how probable a genuine trial is."""

    name: str
    prior: float
    cost_miss: float = 1.0
    cost_false: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1 or self.cost_miss <= 0 or self.cost_false <= 0:
            raise EvaluationError(
                "a cost model needs a prior between 0 and 1 and costs above 0,"
                f" got {self.prior:g}, {self.cost_miss:g} and {self.cost_false:g}"
            )

    @property
    def bayes_threshold(self) -> float:
        """The natural log-likelihood ratio above which accepting is cheaper."""
        return math.log(self.cost_false * (1 - self.prior) / (self.cost_miss * self.prior))

    def cost(self, frr: float, far: float) -> float:
        """Normalised cost of these error rates."""
        blind = min(self.cost_miss * self.prior, self.cost_false * (1 - self.prior))
        return (self.cost_miss * self.prior * frr + self.cost_false * (1 - self.prior) * far) / blind


SRE08 = CostModel(name="SRE08", prior=0.01, cost_miss=10.0)
VOXCELEB_001 = CostModel(name="VoxCeleb 0.01", prior=0.01)
VOXCELEB_005 = CostModel(name="VoxCeleb 0.05", prior=0.05)


@dataclass(frozen=True, kw_only=True)
class DetectionCost:
    """A normalised cost with the threshold, the rates and the counts behind it (threshold None: accept everything)."""

    model: CostModel
    cost: float
    threshold: float | None
    misses: int
    genuine: int
    false_accepts: int
    impostors: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **asdict(self),
            **{"frr": self.misses / self.genuine, "far": self.false_accepts / self.impostors},
            "rule": "a pair is accepted when its score is greater than the threshold",
        }


def min_dcf(genuine: ArrayLike, impostor: ArrayLike, model: CostModel = VOXCELEB_005) -> DetectionCost:
    """The least cost over all thresholds, the strictest where several are best; genuine [g], impostor [i] scores."""
    own, other = _both(genuine, impostor)
    thresholds = np.concatenate([[-np.inf], np.unique(np.concatenate([own, other]))])
    misses = np.searchsorted(own, thresholds, side="right")
    accepts = len(other) - np.searchsorted(other, thresholds, side="right")
    weights = (model.cost_miss * model.prior / len(own), model.cost_false * (1 - model.prior) / len(other))
    costs = weights[0] * misses + weights[1] * accepts
    best = len(costs) - 1 - int(np.argmin(costs[::-1]))
    counts = (int(misses[best]), len(own), int(accepts[best]), len(other))
    return weighed(model, None if best == 0 else float(thresholds[best]), counts)


def act_dcf(genuine: ArrayLike, impostor: ArrayLike, model: CostModel = VOXCELEB_005) -> DetectionCost:
    """The cost at Bayes' threshold; the arguments are log-likelihood ratios (natural logarithms)."""
    own, other = (np.asarray(values, dtype=np.float64) for values in (genuine, impostor))
    if not len(own) or not len(other) or np.isnan(own).any() or np.isnan(other).any():
        raise EvaluationError("actDCF needs llr of both kinds without NaN; check the scores")
    threshold = model.bayes_threshold
    counts = (int((own <= threshold).sum()), len(own), int((other > threshold).sum()), len(other))
    return weighed(model, threshold, counts)


def weighed(model: CostModel, threshold: float | None, counts: tuple[int, int, int, int]) -> DetectionCost:
    """The cost of counts (misses, genuine, false accepts, impostors) at a threshold."""
    misses, genuine, accepts, impostors = counts
    return DetectionCost(
        **{"model": model, "cost": model.cost(misses / genuine, accepts / impostors), "threshold": threshold},
        **{"misses": misses, "genuine": genuine, "false_accepts": accepts, "impostors": impostors},
    )


def _both(genuine: ArrayLike, impostor: ArrayLike) -> list[np.ndarray]:
    found = [np.sort(finite(name, values)) for name, values in (("genuine", genuine), ("impostor", impostor))]
    if not len(found[0]) or not len(found[1]):
        raise EvaluationError(f"a cost needs scores of both kinds, got {len(found[0])} and {len(found[1])}")
    return found
