"""What each step of scoring brings: one line a step, in the columns of the field.

actDCF and Cllr read the scores of a line as log-likelihood ratios, which only calibration makes of them: what they lose
in the last line was miscalibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from angulus.evaluation.rates.costs import VOXCELEB_001, VOXCELEB_005, CostModel
from angulus.evaluation.rates.roc import EqualErrorRate
from angulus.evaluation.rates.step_costs import Costs
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.verification_intervals import Confidence

STEP_COLUMNS = (*("EER", "minDCF(0.01)", "minDCF(0.05)", "actDCF(0.01)", "actDCF(0.05)", "min Cllr", "Cllr"),)
_SHOWN = (VOXCELEB_001, VOXCELEB_005)


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """The figures after one step and those before it; confidence: of EER and minDCF, None where there are none."""

    name: str
    eer: EqualErrorRate
    costs: Costs
    confidence: Confidence | None = None

    def min_dcf(self, model: CostModel) -> float:
        """minDCF at a setting."""
        return next(cost.cost for cost in self.costs.dcf if cost.model == model)

    def act_dcf(self, model: CostModel) -> float:
        """actDCF at a setting."""
        return next(cost.cost for cost in self.costs.actual if cost.model == model)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        intervals = None if self.confidence is None else self.confidence.as_dict()
        return {
            **{"name": self.name, "eer": self.eer.as_dict(), "costs": self.costs.as_dict()},
            "intervals": intervals,
        }

    def cells(self) -> list[str]:
        """A text for each of STEP_COLUMNS."""
        sure = self.confidence
        rate = f"{100 * self.eer.rate:.2f}{_around(None if sure is None else sure.eer, 100, 2)}"
        least = [
            f"{self.min_dcf(model):.4f}{_around(None if sure is None else sure.cost(model.name), 1, 4)}"
            for model in _SHOWN
        ]
        actual = [f"{self.act_dcf(model):.4f}" for model in _SHOWN]
        cllr = "-" if self.costs.cllr is None else f"{self.costs.cllr:.4f}"
        return [rate, *least, *actual, f"{self.costs.min_cllr:.4f}", cllr]


def _around(interval: Interval | None, scale: float, digits: int) -> str:
    if interval is None:
        return ""
    return f" ({scale * interval.low:.{digits}f} to {scale * interval.high:.{digits}f})"


def step_lines(steps: Sequence[StepFigures]) -> list[str]:
    """The figures as aligned lines of text; nothing without steps."""
    if not steps:
        return []
    rows = [["scoring", *STEP_COLUMNS], *([step.name, *step.cells()] for step in steps)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return [*lines, "EER in percent; actDCF and Cllr read the scores as log-likelihood ratios, which calibration makes"]
