"""Least detection costs and least Cllr of any number of scores: exact for few, from counts by steps for many.

The steps are those of `streaming` (1.5e-5 of the cosine). A threshold at the end of a step accepts exactly the steps
above it, so every cost that is found can be had; `error` says by how much a threshold inside a step could be better at
most. Min Cllr treats the scores of one step as equal.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.all_pairs import AllPairs
from angulus.evaluation.rates.costs import (
    SRE08,
    VOXCELEB_001,
    VOXCELEB_005,
    CostModel,
    DetectionCost,
    act_dcf,
    min_dcf,
    weighed,
)
from angulus.evaluation.rates.likelihood import cllr, min_cllr, pool_adjacent_violators
from angulus.evaluation.scores.cosines import Scores
from angulus.evaluation.scores.streaming.steps import BINS, bins_of, upper_ends

COST_MODELS = (SRE08, VOXCELEB_001, VOXCELEB_005)
MOST_EXACT = 100_000


@dataclass(frozen=True, kw_only=True)
class Costs:
    """minDCF at each named setting, and min Cllr in bits. error: how much lower a minDCF may be at most (0: exact).

    actual, cllr: actDCF at the same settings and Cllr of log-likelihood ratios; empty and None of other scores.
    """

    dcf: tuple[DetectionCost, ...]
    min_cllr: float
    error: float
    actual: tuple[DetectionCost, ...] = ()
    cllr: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "min_dcf": [cost.as_dict() for cost in self.dcf],
            "min_dcf_error": self.error,
            "min_cllr": self.min_cllr,
            "act_dcf": [cost.as_dict() for cost in self.actual],
            "cllr": self.cllr,
        }

    def lines(self) -> list[str]:
        """The figures as lines of text."""
        named = [f"minDCF       {cost.cost:8.4f} ({cost.model.name})" for cost in self.dcf]
        named += [f"actDCF       {cost.cost:8.4f} ({cost.model.name})" for cost in self.actual]
        actual = [] if self.cllr is None else [f"Cllr         {self.cllr:8.4f} bits"]
        return [*named, f"min Cllr     {self.min_cllr:8.4f} bits", *actual]


def costs_of(scores: Scores | AllPairs) -> Costs:
    """The costs of scores that are held or counted."""
    if isinstance(scores, Scores) and len(scores.genuine) + len(scores.impostor) <= MOST_EXACT:
        found = tuple(min_dcf(scores.genuine, scores.impostor, model) for model in COST_MODELS)
        return Costs(dcf=found, min_cllr=min_cllr(scores.genuine, scores.impostor), error=0.0)
    genuine = np.bincount(bins_of(scores.genuine), minlength=BINS)
    counts = scores.kept.counts if isinstance(scores, AllPairs) else _counted(scores.impostor)
    costs = [min_dcf_of_counts(genuine, counts, model) for model in COST_MODELS]
    return Costs(
        dcf=tuple(cost for cost, _ in costs),
        min_cllr=min_cllr_of_counts(genuine, counts),
        error=max(error for _, error in costs),
    )


def costs_of_list(genuine: NDArray[np.float64], impostor: NDArray[np.float64], *, are_llr: bool) -> Costs:
    """The exact costs of listed scores of any scale; are_llr: what log-likelihood ratios cost as they are, too."""
    return Costs(
        dcf=tuple(min_dcf(genuine, impostor, model) for model in COST_MODELS),
        min_cllr=min_cllr(genuine, impostor),
        error=0.0,
        actual=tuple(act_dcf(genuine, impostor, model) for model in COST_MODELS) if are_llr else (),
        cllr=cllr(genuine, impostor) if are_llr else None,
    )


def min_dcf_of_counts(
    genuine: NDArray[np.int64], impostor: NDArray[np.int64], model: CostModel
) -> tuple[DetectionCost, float]:
    """The least cost at the end of a step, and by how much a threshold inside a step may be below it.

    genuine, impostor: int64 [BINS], how many scores fall into each step.
    """
    own, other = int(genuine.sum()), int(impostor.sum())
    if not own or not other:
        raise EvaluationError(f"a cost needs scores of both kinds, got {own} and {other}")
    misses = np.append(0, genuine.cumsum())  # by number of steps rejected
    accepts = other - np.append(0, impostor.cumsum())
    weights = (model.cost_miss * model.prior / own, model.cost_false * (1 - model.prior) / other)
    costs = weights[0] * misses + weights[1] * accepts
    best = len(costs) - 1 - int(np.argmin(costs[::-1]))
    inside = weights[0] * misses[:-1] + weights[1] * accepts[1:]  # no threshold within a step can cost less
    threshold = None if best == 0 else float(upper_ends(np.array([best - 1]))[0])
    found = weighed(model, threshold, (int(misses[best]), own, int(accepts[best]), other))
    scale = found.cost / costs[best] if costs[best] > 0 else 0.0
    return found, max(0.0, float(costs[best] - inside.min()) * scale)


def min_cllr_of_counts(genuine: NDArray[np.int64], impostor: NDArray[np.int64]) -> float:
    """Cllr of the best increasing function of the step (isotonic regression)."""
    seen = np.flatnonzero(genuine + impostor)
    own, other = genuine[seen].astype(np.float64), impostor[seen].astype(np.float64)
    fitted = pool_adjacent_violators(own / (own + other), own + other)
    with np.errstate(divide="ignore"):
        llr = np.log(fitted) - np.log1p(-fitted) - math.log(own.sum() / other.sum())
    missed = np.logaddexp(0, -llr[own > 0]) @ own[own > 0] / own.sum()
    accepted = np.logaddexp(0, llr[other > 0]) @ other[other > 0] / other.sum()
    return float(missed + accepted) / (2 * math.log(2))


def _counted(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    counts = np.zeros(BINS, dtype=np.int64)
    for start in range(0, len(scores), 2**22):
        counts += np.bincount(bins_of(scores[start : start + 2**22]), minlength=BINS)
    return counts
