"""The folder of a run: its recipe, its surroundings, its metrics, and what came out.

recipe.json        the experiment with nothing left open
environment.json   versions, commit, device, fingerprint of the data
classes.json       names of the identities, in the order of the classes
metrics.jsonl      one line each for a log interval and an evaluation
diagnosis.jsonl    what `angulus doctor` reads: a line for each stretch of the run, its beginning and end
checkpoints/       to resume from
model/, best/      the network at the end, and where the held-out figure was best
result.json        figures by name
report.html        for a reader
"""

import json
import logging
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from angulus.data import decoder
from angulus.errors import CheckpointError
from angulus.files import open_in_place, read_regular
from angulus.json_files import parse_json, read_json
from angulus.training.recipe.fine_tuning import NEUTRAL
from angulus.training.recipe.serialization import as_now, differences
from angulus.training.storage.atomic_files import write_json, write_text
from angulus.version import __version__

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a finished run gives: its folder, its figures by name ("held-out/eer"), its report."""

    folder: Path
    figures: dict[str, float]
    report: Path


class Metrics:
    """metrics.jsonl: rows are appended as they come and cut back to a step on resume."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[dict[str, Any]]:
        """All rows that are whole; a line that was cut off by a crash, or that is no row, is passed over.

        Raises CheckpointError where the file cannot be read.
        """
        try:
            content = read_regular(self.path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(
                f"{self.path} cannot be read: {error.strerror}; remove it, or resume later"
            ) from error
        found = [row_of(line) for line in content.decode("utf-8", "replace").splitlines()]
        rows = [row for row in found if row is not None]
        if len(rows) < len(found):
            log.warning("%s has lines that are no rows of a run, %d, left out", self.path, len(found) - len(rows))
        return rows

    def cut(self, step: int, total: int) -> None:
        """Forget the rows after a step, and the figures of the end of a run that has `total` steps."""
        rows = [row for row in self.rows() if row["step"] <= step]
        kept = [json.dumps(row) for row in rows if row["step"] < total or "loss" in row]
        write_text(self.path, "".join(f"{line}\n" for line in kept))

    def loss_at(self, step: int, total: int) -> float | None:
        """The loss that was written last at a step or before it.

        At the end of a run of `total` steps only that of the last one counts: None, with a warning, where it was lost.
        """
        found = next(
            (row for row in reversed(self.rows()) if row["step"] <= step and row.get("loss") is not None), None
        )
        if step == total and (found is None or found["step"] < total):
            log.warning("%s has lost the row of the last step: the figures go without a loss", self.path)
            return None
        return None if found is None else found["loss"]

    def append(self, row: dict[str, Any]) -> None:
        try:
            with os.fdopen(open_in_place(self.path), "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise CheckpointError(
                f"{self.path} could not be written: {error.strerror}; resume the run later"
            ) from error


def row_of(line: str) -> dict[str, Any] | None:
    """A row of metrics, None for what is none."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    is_row = isinstance(row, dict) and type(row.get("step")) is int and row["step"] >= 0
    return row if is_row and all(is_figure(value) or value is None for value in row.values()) else None


def is_figure(value: Any) -> bool:
    """True for a number, as figures are; JSON has no truth values that count as numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def environment(device: torch.device, data_fingerprint: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """What a figure may depend on besides the recipe.

    choices: what was chosen by the device, each with the reason.
    """
    return {
        "angulus": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "decoder": decoder(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "commit": commit(),
        "data": data_fingerprint,
        "choices": dict(choices),
    }


def commit() -> str | None:
    """The commit of a source checkout of Angulus, with "+changes" where it was edited, or None."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=12", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def finished_figures(folder: Path) -> dict[str, float] | None:
    """The figures of the run in a folder, None where it has not come to its end."""
    path = folder / "result.json"
    try:
        figures = dict(read_json(path)["figures"])
        other = [name for name, value in figures.items() if not is_figure(value)]
        if other:
            raise ValueError(f"{', '.join(other[:3])} must be a number")
        return figures
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): the end of the run is done again", path, error)
        return None


def told_reasons(folder: Path) -> list[Any]:
    """What the run in a folder said of its settings when it began; nothing where it did not."""
    try:
        told = list(read_json(folder / "environment.json")["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [one for one in told if isinstance(one, dict) and isinstance(one.get("key"), str)]


def start_folder(folder: Path, recipe: dict[str, Any], resume: bool) -> None:
    """Create the folder of a run, or check that the run in it is this one.

    Raises CheckpointError when there is a run and resume is False, or when its recipe is another.
    """
    path = folder / "recipe.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, recipe)
        return
    if not resume:
        raise CheckpointError(
            f"{folder} already holds a run: resume it with --resume, or choose another folder with out="
        )
    try:
        before = as_now(dict(read_json(path)))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is no recipe of a run ({error}): the run cannot be resumed") from error
    if "fine_tuning" not in before:
        before["fine_tuning"] = NEUTRAL
    if isinstance(before.get("train"), dict):  # fields that came after the run began are as they are now
        before["train"] = {**recipe["train"], **before["train"]}
    different = differences({**before, "out": None}, {**recipe, "out": None})  # a folder may be moved
    if different:
        raise CheckpointError(
            f"{folder} holds a run with another recipe; resume it unchanged or choose another folder with out=. "
            f"Different: {'; '.join(different[:5])}"
        )
