"""What `angulus evaluate` tells of a verification: on the terminal, as a page, a table and a file of figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from angulus.cli.options import Figures, Page, Table, save_text
from angulus.cli.printing.evaluation_pages import verification_page
from angulus.evaluation import CalibratedThreshold, VerificationResult
from angulus.evaluation.report.comparison_table import markdown_table
from angulus.evaluation.report.page import Gallery
from angulus.evaluation.report.recommendation import recommended
from angulus.evaluation.uncertainty.breakdown import Breakdown


@dataclass(frozen=True, kw_only=True)
class VerificationAccount:
    """Where a result goes. curves: keep the points of ROC and histogram in the JSON file."""

    page: Page
    table: Table
    figures: Figures
    curves: bool

    def tell(
        self,
        result: VerificationResult,
        facts: dict[str, Any],
        seconds: float,
        *,
        broken: Sequence[Breakdown] = (),
        calibrated: Sequence[CalibratedThreshold] = (),
        galleries: Callable[[], list[Gallery]] = list,
    ) -> None:
        """Print a result and write what was asked for. galleries: the hardest pairs, made where a page is wanted."""
        advice = recommended(result, calibrated)
        content: dict[str, Any] = {**facts, "seconds": round(seconds, 2)}
        for shown in (result, *broken, *calibrated):
            print(shown.table())
        print(advice.sentence)
        left_out = () if self.curves else ("roc", "histogram")
        content |= {key: value for key, value in result.as_dict().items() if key not in left_out}
        content["recommended"] = advice.as_dict()
        if broken:
            content["breakdowns"] = [each.as_dict() for each in broken]
        verification_page(self.page.report, result, facts, galleries, broken, calibrated)
        save_text(self.table.markdown, lambda: markdown_table([result]))
        self.figures.save(content)
