"""How well are the trials of one group told apart, at thresholds of their own? EER and minDCF, with intervals.

A breakdown judges all groups at one threshold; these are the figures of each group for itself, as papers on short
recordings give them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.evaluation.rates.costs import VOXCELEB_001, VOXCELEB_005
from angulus.evaluation.rates.roc import equal_error_rate
from angulus.evaluation.rates.step_costs import Costs, costs_of, costs_of_list
from angulus.evaluation.scores.cosines import Scores
from angulus.evaluation.scores.pairs import Pairs
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.verification_intervals import (
    MOST_TAIL,
    Confidence,
    confidence_of_all,
    confidence_of_pairs,
)

MODELS = (VOXCELEB_001, VOXCELEB_005)
"""The settings of minDCF that are shown."""


@dataclass(frozen=True, kw_only=True)
class GroupFigures:
    """EER and minDCF (by the name of its setting) of the trials of a group.

    None where the group has no trials of one kind; intervals are None as well where people are too few, or too many to
    be drawn anew in seconds.
    """

    group: str
    genuine: int
    impostors: int
    people: int
    eer: float | None
    min_dcf: dict[str, float]
    eer_interval: Interval | None
    min_dcf_intervals: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @property
    def columns(self) -> list[str]:
        """EER in percent and each minDCF as texts, with their intervals; "-" where there is none."""
        if self.eer is None:
            return ["-"] * (1 + len(MODELS))
        rates = [f"{100 * self.eer:.2f} %{_around(self.eer_interval, 100, 2)}"]
        for model in MODELS:
            rates.append(f"{self.min_dcf[model.name]:.4f}{_around(self.min_dcf_intervals.get(model.name), 1, 4)}")
        return rates

    def line(self) -> str:
        """The figures as a line of text."""
        eer, *costs = self.columns
        named = ", ".join(f"minDCF({model.prior:g}) {cost}" for model, cost in zip(MODELS, costs, strict=True))
        trials = f"{self.genuine:,} genuine, {self.impostors:,} impostor"
        return f"EER  {self.group:24} {eer}, {named}  ({trials})"


def figures_of_trials(
    group: str, scores: NDArray[Any], pairs: Pairs, people: Sequence[NDArray[np.int64]], bootstrap: Bootstrap
) -> GroupFigures:
    """Of listed trials [p] and the people of both sides."""
    counts = int(pairs.same.sum()), int((~pairs.same).sum())
    worth = len(np.unique(np.concatenate(list(people))))
    if not all(counts):
        return _none(group, counts, worth)
    values = np.asarray(scores)
    own, other = values[pairs.same], values[~pairs.same]
    eer = equal_error_rate(Scores(genuine=own, impostor=other)).rate
    costs = costs_of_list(own.astype(np.float64), other.astype(np.float64), are_llr=False)
    sides = (people[0], people[1])
    how: dict[str, Any] = {"correct": None, "fars": (), "eer": eer, "options": bootstrap}
    return _figures(group, counts, worth, eer, costs, confidence_of_pairs(values, pairs, sides, **how))


def figures_within(
    group: str, vectors: NDArray[np.float32], labels: NDArray[np.int64], bootstrap: Bootstrap
) -> GroupFigures:
    """Of all pairs of the unit vectors [n, d] of a group with their labels [n]."""
    sizes = np.unique(labels[labels >= 0], return_counts=True)[1].astype(np.int64)
    genuine = int((sizes * (sizes - 1) // 2).sum())
    impostors = int((sizes.sum() ** 2 - (sizes**2).sum()) // 2)
    if not genuine or not impostors:
        return _none(group, (genuine, impostors), len(sizes))
    found = all_pairs(vectors, labels, fars=(0.01,), tail=min(impostors, MOST_TAIL), screen=None)
    eer = found.equal_error_rate().rate
    confidence = confidence_of_all(found, labels, (0.01,), bootstrap, everything=False)
    return _figures(group, (genuine, impostors), len(sizes), eer, costs_of(found), confidence)


def _figures(
    group: str, counts: tuple[int, int], people: int, eer: float, costs: Costs, confidence: Confidence
) -> GroupFigures:
    intervals = {model.name: confidence.cost(model.name) for model in MODELS}
    return GroupFigures(
        **{"group": group, "genuine": counts[0], "impostors": counts[1], "people": people, "eer": eer},
        min_dcf={cost.model.name: cost.cost for cost in costs.dcf if cost.model in MODELS},
        eer_interval=confidence.eer,
        min_dcf_intervals={name: found for name, found in intervals.items() if found is not None},
    )


def _none(group: str, counts: tuple[int, int], people: int) -> GroupFigures:
    return GroupFigures(
        **{"group": group, "genuine": counts[0], "impostors": counts[1], "people": people, "eer": None},
        **{"min_dcf": {}, "eer_interval": None, "min_dcf_intervals": {}},
    )


def _around(interval: Interval | None, scale: float, digits: int) -> str:
    if interval is None:
        return ""
    return f" ({scale * interval.low:.{digits}f} to {scale * interval.high:.{digits}f})"
