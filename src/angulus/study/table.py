"""From the figures of finished runs to a table: mean and spread over the seeds, as Markdown, JSON and a plot."""

import logging
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from angulus.config import to_dict
from angulus.config.suggestions import did_you_mean
from angulus.study.cells import Cell, Cells, told_apart
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
SEVERAL_SEEDS = (
    "Mean +- sample standard deviation over the seeds. Bold: the best mean of a column and all that a paired t-test"
    " over the seeds (95 %) cannot tell from it; nothing where it tells none apart."
)
ONE_SEED = "One seed each: nothing is bold, since one seed cannot tell a difference from chance."


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a table shows. cells: by row and column. seeds: how many each row is to have; done: how many it has.

    failed: row, seed and what went wrong.
    """

    title: str
    columns: tuple[str, ...]
    cells: Cells
    seeds: int
    done: Mapping[str, int]
    failed: tuple[tuple[str, int, str], ...] = ()


def write_outputs(plan: "Plan", outcomes: "Mapping[Job, Outcome]") -> None:
    """Write table.md, study.json and plot.svg, each whole or not at all."""
    table = table_of(plan, outcomes)
    write_json(plan.out / "study.json", summary(plan, outcomes, table))
    write_shown(plan.out, table)


def write_shown(folder: Path, table: Table) -> None:
    """Write table.md and plot.svg, each whole or not at all."""
    write_text(folder / "table.md", markdown(table))
    panels = [panel_of(column, table.cells) for column in table.columns]
    write_text(folder / "plot.svg", draw(table.title, tuple(table.cells), panels))


def table_of(plan: "Plan", outcomes: "Mapping[Job, Outcome]") -> Table:
    """The table of what has finished, and of what failed."""
    columns = columns_of(plan, outcomes)
    done = [(job, outcome.figures) for job, outcome in outcomes.items() if outcome.is_done]
    figures = {row: {job.seed: values for job, values in done if job.row == row} for row in plan.rows}
    failed = [(job.row, job.seed, outcome.error) for job, outcome in outcomes.items() if outcome.error is not None]
    return Table(
        title=plan.title,
        columns=columns,
        cells=cells_of(figures, columns),
        seeds=len(plan.seeds),
        done={row: len(seeds) for row, seeds in figures.items()},
        failed=tuple(failed),
    )


def cells_of(figures: "Mapping[str, Mapping[int, Mapping[str, float]]]", columns: Sequence[str]) -> Cells:
    """The cells from figures by row, seed and name."""
    return {
        row: {
            column: Cell(by_seed={seed: values[column] for seed, values in seeds.items() if column in values})
            for column in columns
        }
        for row, seeds in figures.items()
    }


def columns_of(plan: "Plan", outcomes: "Mapping[Job, Outcome]") -> tuple[str, ...]:
    """The columns that the study names, or every figure there is; warns of names that no finished run has."""
    known = list(dict.fromkeys(name for outcome in outcomes.values() for name in outcome.figures))
    for column in plan.columns:
        if known and column not in known:
            hint = did_you_mean(column, known) or f"; there are {', '.join(known)}"
            log.warning("columns: no run has the figure %s%s", column, hint)
    return plan.columns or tuple(known)


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


def best_rows(column: str, cells: Cells) -> set[str]:
    """The rows with the best mean and those that the seeds cannot tell from it; empty where they tell none apart."""
    measured = [row for row in cells if cells[row][column].by_seed]
    if len(measured) < 2 or last_part(column) == "seconds":
        return set()
    choose = min if less_is_better(column) else max
    best = choose(measured, key=lambda row: cells[row][column].mean)
    alike = {row for row in measured if not told_apart(cells[row][column], cells[best][column])}
    return set() if len(alike) == len(measured) else alike


def markdown(table: Table) -> str:
    """The table as Markdown, with what is missing and what failed below it."""
    columns, cells = table.columns, table.cells
    best = {column: best_rows(column, cells) for column in columns}
    lines = [f"# {table.title}", "", "| run | " + " | ".join([*map(title_of, columns), "seeds"]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(columns) + 1))
    for row, done in table.done.items():
        texts = [text_of(cells[row][column], column) for column in columns]
        marked = [f"**{text}**" if row in best[column] else text for column, text in zip(columns, texts, strict=True)]
        counted = str(done) if done == table.seeds else f"{done} of {table.seeds}"
        lines.append(f"| {escaped(row)} | " + " | ".join([*marked, counted]) + " |")
    lines += ["", SEVERAL_SEEDS if table.seeds > 1 else ONE_SEED, ""]
    if table.failed:
        lines += ["Failed:", "", *(f"- {escaped(row)}, seed {seed}: {error}" for row, seed, error in table.failed), ""]
    lines += ["![each seed as a dot, the mean as a line](plot.svg)", ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def panel_of(column: str, cells: Cells) -> Panel:
    factor = 100.0 if is_share(column) else 1.0
    values = {row: tuple(factor * value for value in cells[row][column].values) for row in cells}
    return Panel(title=title_of(column), values=values)


def summary(plan: "Plan", outcomes: "Mapping[Job, Outcome]", table: Table) -> dict[str, Any]:
    """Everything about a study for JSON: the rows, every run with its recipe, and where it was run."""
    return {
        "title": plan.title,
        "columns": list(table.columns),
        "rows": {
            row: {column: numbers_of(cell) for column, cell in cells.items()} for row, cells in table.cells.items()
        },
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
