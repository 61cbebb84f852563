"""What a run recorded, ready for rules: its recipe, its metrics, and the lines of diagnosis.jsonl by kind."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from angulus.errors import CheckpointError
from angulus.json_files import read_json
from angulus.training.recording.record_file import Records
from angulus.training.storage.run_folder import Metrics

Row = Mapping[str, Any]

FEW_PEOPLE = 5
"""Fewer are hardly a task: the softmax is soon certain of them, and images that are not learned yet look wrong."""
ENOUGH_PAIRS = 200
"""So many pairs make a figure of them more than chance."""
OLDER = "this run was made before diagnosis.jsonl: only its metrics could be looked at"
UNBEGUN = "this run has not come to its first step (folds train before it): there is nothing to look at"


@dataclass(frozen=True, kw_only=True)
class Record:
    """recipe: as recipe.json has it.  metrics: lines of metrics.jsonl.  lines: those of diagnosis.jsonl.

    classes: names of the identities in the order of the classes.  finished: whether the run came to its end.
    """

    recipe: Row
    metrics: Sequence[Row]
    lines: Sequence[Row] = ()
    classes: Sequence[str] = ()
    finished: bool = True
    notes: tuple[str, ...] = field(default=())

    def of(self, kind: str) -> list[Row]:
        return [line for line in self.lines if line["kind"] == kind]

    @property
    def start(self) -> Row:
        """What the run began with; {} where it did not say."""
        return next(iter(self.of("start")), {})

    @property
    def stretches(self) -> list[Row]:
        return self.of("stretch")

    @property
    def judged(self) -> list[Row]:
        """Verifications, of those who are held out and of some who are trained on."""
        return self.of("judged") or [row for row in self.metrics if "held-out/auc" in row]

    @property
    def end(self) -> Row:
        return next(iter(reversed(self.of("end"))), {})

    @property
    def failure(self) -> str | None:
        """The sentence with which the run stopped because something was not finite."""
        return next((line.get("sentence", "") for line in reversed(self.of("failed"))), None)

    @property
    def logged(self) -> list[Row]:
        """Lines of metrics of training steps."""
        return [row for row in self.metrics if row.get("loss") is not None]

    def by_stage(self) -> list[tuple[str, "Record"]]:
        """A record of each stage that has begun, as of a run of its own, with its name; the whole under "" for one.

        Steps count from the beginning of the stage. How the classes lie at the end is in the last.
        """
        begun = self.of("stage")
        if not begun:
            return [("", self)]
        firsts = [0, *(line["step"] for line in begun)]
        starts = [self.start, *({**self.start, **line} for line in begun)]
        names = ["the first", *(str(line.get("name")) for line in begun)]
        found: list[tuple[str, Record]] = []
        for number, (first, end) in enumerate(zip(firsts, [*firsts[1:], math.inf], strict=True)):
            kinds = ("stretch", "judged") if end < math.inf else ("stretch", "judged", "end", "failed")
            part = [line for line in self.lines if line["kind"] in kinds and belongs(line, first, end)]
            lines = [{**starts[number], "kind": "start"}, *({**line, "step": line["step"] - first} for line in part)]
            metrics = [row for row in self.metrics if belongs(row, first, end)]
            recipe = self.recipe if not number else of_stage(self.recipe, number)
            found.append((names[number], replace(self, recipe=recipe, metrics=metrics, lines=lines)))
        return found

    def setting(self, key: str, default: Any = None) -> Any:
        """A value of the recipe by its dotted key."""
        found: Any = self.recipe
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return default
            found = found[part]
        return default if found is None else found

    def name_of(self, number: int) -> str:
        return self.classes[number] if 0 <= number < len(self.classes) else f"class {number}"


def belongs(line: Row, first: int, end: float) -> bool:
    """Whether a line is of the steps of a stage; a verification at a border belongs to both stages."""
    is_of_steps = line.get("kind") == "stretch" or line.get("loss") is not None
    return first < line["step"] <= end or (line["step"] == first and not is_of_steps)


def of_stage(recipe: Row, number: int) -> Row:
    """The recipe as a later stage has it, counted from 1 for the first of `stages`; sections are laid over sections.

    The head learns alone only in a stage that says so itself.
    """
    found = dict(recipe)
    stages = recipe.get("stages")
    for stage in stages[:number] if isinstance(stages, list) else ():
        if not isinstance(stage, Mapping):
            continue
        of_its_own = {"fine_tuning": {"head_epochs": 0}, "train": {"epochs": stage.get("epochs")}}
        found |= {name: {**section_of(found, name), **changed} for name, changed in of_its_own.items()}
        for name, section in stage.items():
            before = found.get(name)
            if isinstance(section, Mapping):
                said = {key: value for key, value in section.items() if value is not None}
                is_alike = isinstance(before, Mapping) and said.get("name", before.get("name")) == before.get("name")
                found[name] = {**before, **said} if is_alike else said
    return found


def section_of(recipe: Row, name: str) -> Row:
    section = recipe.get(name)
    return section if isinstance(section, Mapping) else {}


def read_record(folder: Path) -> Record:
    """What is in the folder of a run, finished or not. Raises CheckpointError where it is no run."""
    try:
        recipe = dict(read_json(folder / "recipe.json"))
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{folder} is no folder of a run: it has no recipe.json; name the one that train printed"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'recipe.json'} cannot be read ({error}); it must be the recipe of a run"
        ) from error
    lines = Records(folder).rows()
    metrics = Metrics(folder / "metrics.jsonl").rows()
    finished = (folder / "result.json").exists()
    notes = [] if lines else [OLDER if metrics or finished else UNBEGUN]
    if not finished:
        notes.append("the run has not come to its end: what shows at the end was not looked at")
    return Record(
        recipe=recipe,
        metrics=metrics,
        lines=lines,
        classes=names_in(folder / "classes.json"),
        finished=finished,
        notes=tuple(notes),
    )


def names_in(path: Path) -> list[str]:
    try:
        return [str(name) for name in read_json(path)]
    except (OSError, ValueError, TypeError):
        return []
