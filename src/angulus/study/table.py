"""From the figures of finished runs to a table: mean and spread over the seeds, as Markdown, JSON and a plot."""

import logging
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from angulus.config import to_dict
from angulus.config.suggestions import did_you_mean
from angulus.study.plot import Panel, draw
from angulus.training.storage.atomic_files import write_json, write_text
from angulus.version import __version__

if TYPE_CHECKING:
    from angulus.study.outcome import Outcome
    from angulus.study.plan import Job, Plan

log = logging.getLogger(__name__)

# The last part of a figure's name: shares that read better as percentages, and figures of which less is better.
_SHARES = ("accuracy", "tar", "eer", "far", "frr")
_LESS_IS_BETTER = ("eer", "frr", "far", "loss", "seconds")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of one row. values: one for each finished seed."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """NaN where no seed has finished."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def spread(self) -> float:
        """Sample standard deviation over the seeds; NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


Cells = Mapping[str, Mapping[str, Cell]]


def write_outputs(plan: "Plan", outcomes: "Mapping[Job, Outcome]") -> None:
    """Write table.md, study.json and plot.svg, each whole or not at all."""
    columns = columns_of(plan, outcomes)
    cells = {row: {column: cell_of(row, column, outcomes) for column in columns} for row in plan.rows}
    write_json(plan.out / "study.json", summary(plan, outcomes, cells, columns))
    write_text(plan.out / "table.md", markdown(plan, outcomes, cells, columns))
    panels = [panel_of(column, cells) for column in columns]
    write_text(plan.out / "plot.svg", draw(plan.title, plan.rows, panels))


def columns_of(plan: "Plan", outcomes: "Mapping[Job, Outcome]") -> tuple[str, ...]:
    """The columns that the study names, or every figure there is; warns of names that no finished run has."""
    known = list(dict.fromkeys(name for outcome in outcomes.values() for name in outcome.figures))
    for column in plan.columns:
        if known and column not in known:
            hint = did_you_mean(column, known) or f"; there are {', '.join(known)}"
            log.warning("columns: no run has the figure %s%s", column, hint)
    return plan.columns or tuple(known)


def cell_of(row: str, column: str, outcomes: "Mapping[Job, Outcome]") -> Cell:
    done = [outcome.figures for job, outcome in outcomes.items() if job.row == row and outcome.is_done]
    values = [figures[column] for figures in done if column in figures]
    return Cell(values=tuple(values))


def last_part(column: str) -> str:
    """ "tar" of "held-out/tar@0.01"."""
    return column.rpartition("/")[2].partition("@")[0].strip()


def is_share(column: str) -> bool:
    return last_part(column) in _SHARES


def less_is_better(column: str) -> bool:
    return last_part(column).rpartition(" ")[2] in _LESS_IS_BETTER


def title_of(column: str) -> str:
    return f"{column} (%)" if is_share(column) else column


def text_of(cell: Cell, column: str) -> str:
    """ "93.12 +- 0.40", with as many digits as the spread leaves meaningful; "-" where no run has finished."""
    if not cell.values:
        return "-"
    factor = 100.0 if is_share(column) else 1.0
    mean, spread = cell.mean * factor, cell.spread * factor
    digits = 2 if is_share(column) else digits_for(mean, spread)
    text = f"{mean:.{digits}f}"
    return text if math.isnan(spread) else f"{text} +- {spread:.{digits}f}"


def digits_for(mean: float, spread: float) -> int:
    """Decimals that show two digits of the spread, or four of the mean."""
    size = spread if spread > 0 else abs(mean) / 100
    return min(6, max(0, 1 - math.floor(math.log10(size)))) if size > 0 else 0


def best_row(column: str, cells: Cells) -> str | None:
    """The row with the best mean; None where fewer than two rows have one."""
    means = {row: cells[row][column].mean for row in cells if cells[row][column].values}
    if len(means) < 2 or last_part(column) == "seconds":
        return None
    choose = min if less_is_better(column) else max
    return choose(means, key=lambda row: means[row])


def markdown(plan: "Plan", outcomes: "Mapping[Job, Outcome]", cells: Cells, columns: Sequence[str]) -> str:
    """The table as Markdown, with what is missing and what failed below it."""
    best = {column: best_row(column, cells) for column in columns}
    lines = [f"# {plan.title}", "", "| run | " + " | ".join([*map(title_of, columns), "seeds"]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(columns) + 1))
    for row in plan.rows:
        texts = [text_of(cells[row][column], column) for column in columns]
        marked = [f"**{text}**" if best[column] == row else text for column, text in zip(columns, texts, strict=True)]
        done = sum(outcome.is_done for job, outcome in outcomes.items() if job.row == row)
        counted = str(done) if done == len(plan.seeds) else f"{done} of {len(plan.seeds)}"
        lines.append(f"| {escaped(row)} | " + " | ".join([*marked, counted]) + " |")
    lines += ["", "Mean +- sample standard deviation over the seeds; the best mean of each column is bold.", ""]
    failed = [(job, outcome) for job, outcome in outcomes.items() if outcome.error is not None]
    if failed:
        lines += ["Failed:", ""]
        lines += [f"- {escaped(job.row)}, seed {job.seed}: {outcome.error}" for job, outcome in failed]
        lines.append("")
    lines += ["![each seed as a dot, the mean as a line](plot.svg)", ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def panel_of(column: str, cells: Cells) -> Panel:
    factor = 100.0 if is_share(column) else 1.0
    values = {row: tuple(factor * value for value in cells[row][column].values) for row in cells}
    return Panel(title=title_of(column), values=values)


def summary(plan: "Plan", outcomes: "Mapping[Job, Outcome]", cells: Cells, columns: Sequence[str]) -> dict[str, Any]:
    """Everything about a study for JSON: the rows, every run with its recipe, and where it was run."""
    return {
        "title": plan.title,
        "columns": list(columns),
        "rows": {row: {column: numbers_of(cells[row][column]) for column in columns} for row in plan.rows},
        "runs": [run_of(job, outcome) for job, outcome in outcomes.items()],
        "environment": {
            "angulus": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        },
    }


def numbers_of(cell: Cell) -> dict[str, Any]:
    plain = {"mean": cell.mean, "standard_deviation": cell.spread}
    return {
        **{name: None if math.isnan(value) else value for name, value in plain.items()},
        "values": list(cell.values),
    }


def run_of(job: "Job", outcome: "Outcome") -> dict[str, Any]:
    state = "done" if outcome.is_done else "failed" if outcome.error is not None else "missing"
    finite = {name: value if math.isfinite(value) else None for name, value in outcome.figures.items()}
    return {
        **{"row": job.row, "seed": job.seed, "state": state, "error": outcome.error},
        **{"folder": f"runs/{job.folder.name}", "fingerprint": job.fingerprint},
        "figures": finite,
        "recipe": {**to_dict(job.experiment), "out": None},
    }
