"""What a study compares: a grid of runs and seeds in one YAML file, and the list of trainings that it comes to.

title: Losses on small data
base: [lfw_tiny.yaml]              # recipes that all runs share, relative to this file
overrides: [train.epochs=12]       # settings that all runs share
runs:                              # one row of the table each: what is laid over the base
  plain softmax: {margin: softmax}
  ArcFace: {margin: {name: arcface, m: 0.3}, optim: {lr: 0.05}}
grid: {margin.scale: [16, 32]}     # optional: every run once for each combination of these values
seeds: [0, 1, 2]
columns: [held-out/accuracy, held-out/tar@0.01]
processes: {ArcFace: 2}            # optional: how many processes share a training of this run; else one
out: ../studies/losses             # relative to this file; of a study that came with Angulus, ./studies/losses
"""

import hashlib
import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from angulus.config import check, classes_allowed, merge, parse_overrides, read_layer, read_layers, resolve, to_dict
from angulus.config.shipped_recipes import is_shipped, located, shipped
from angulus.config.suggestions import did_you_mean
from angulus.errors import ConfigError
from angulus.training.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """The content of a study's file.

    runs: what is laid over the base, by the name of its row; grid: values by key, crossed with every run.
    columns: figures of a run by name; empty takes all that there are.
    processes: how many processes share a training, by the name of a run or of one of its rows; the others have one.
    out: the folder for runs and table, relative to the file; None takes the file's name without its ending.
    """

    title: str = ""
    base: tuple[Path, ...] = ()
    overrides: tuple[str, ...] = ()
    runs: dict[str, Any]
    seeds: tuple[int, ...] = (0,)
    grid: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    processes: dict[str, int] = field(default_factory=dict)
    out: Path | None = None

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("runs must hold at least one run by name, got none")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be whole numbers, each once, got {list(self.seeds)}")
        for name, changes in self.runs.items():
            if not (changes is None or isinstance(changes, Mapping)):
                raise ValueError(f"runs must be mappings such as {{margin: arcface}}, got {changes!r} for {name}")
        for key, values in self.grid.items():
            if not isinstance(values, list) or not values:
                raise ValueError(f"grid must give a list of values for each key, got {values!r} for {key}")
        for name, count in self.processes.items():
            if count < 1:
                raise ValueError(f"processes must be at least 1, got {count} for {name}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One training: a row of the table with one seed.

    fingerprint: of the whole resolved recipe, so that a changed recipe is another job in another folder.
    processes: how many share the training; another number is another folder as well.
    """

    row: str
    seed: int
    experiment: Experiment
    fingerprint: str
    folder: Path
    processes: int = 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, ready to be run. rows: names in the order of the table."""

    title: str
    out: Path
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    jobs: tuple[Job, ...]


def read_plan(
    path: str | Path,
    settings: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    allow: Collection[str] = (),
) -> Plan:
    """Read a study and resolve the recipe of every run.

    settings: `key=value`, laid over every run.  out: another folder than the file says.
    allow: classes "module:Class" that a base may name that a run has stored.
    Raises ConfigError with the problems of all runs at once, each with the name of its row.
    """
    named, path = Path(path), located(path)
    if path.is_dir() or not path.exists():
        raise ConfigError(f"there is no study {path}; name its YAML file{studies_listed()}")
    study: StudyFile = check(StudyFile, read_layer(path))
    home = path.parent
    folder = Path(out) if out is not None else folder_of(study, path, below_here=path != named)
    bases = [home / base for base in study.base]
    shared = read_layers(bases, study.overrides)
    changes = parse_overrides(settings)
    own = [study.runs, study.grid, parse_overrides(study.overrides), changes]
    allowed = classes_allowed(bases, own, allow)
    problems = unknown_rows(study)
    rows: dict[str, dict[str, Any]] = {}
    for name, own in rows_of(study).items():
        rows[name] = merge(merge(shared, own), changes)
    jobs = [
        job
        for name, recipe in rows.items()
        for job in jobs_of(name, recipe, study.seeds, folder, problems, processes_of(study, name), allowed)
    ]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return Plan(
        title=study.title or path.stem,
        out=folder,
        columns=study.columns,
        rows=tuple(rows),
        seeds=study.seeds,
        jobs=tuple(jobs),
    )


def folder_of(study: StudyFile, path: Path, *, below_here: bool = False) -> Path:
    """Where a study is kept: beside its file, or below the working folder one that came with Angulus.

    below_here: whether the file lies elsewhere than where it was named, as those of a clone may.
    """
    if below_here or is_shipped(path):
        return Path("studies") / (study.out or path).stem
    return path.parent / (study.out or path.stem)


def studies_listed() -> str:
    """The studies that came with Angulus, as the end of a sentence."""
    names = [name for name in shipped() if name.startswith("study_")]
    return f"; with Angulus come {', '.join(names)}" if names else ""


def rows_of(study: StudyFile) -> dict[str, dict[str, Any]]:
    """Every run crossed with every combination of the grid: "ArcFace, margin.m=0.2" and what it lays over the base."""
    rows: dict[str, dict[str, Any]] = {}
    for name, own in study.runs.items():
        for values in itertools.product(*study.grid.values()):
            chosen = [f"{key}={json.dumps(value)}" for key, value in zip(study.grid, values, strict=True)]
            # a grid beside a run belongs to the same layer: its values never drop what the run says
            rows[", ".join([name, *chosen])] = merge(merge({}, own or {}), parse_overrides(chosen))
    return rows


def unknown_rows(study: StudyFile) -> list[str]:
    """What is wrong with the names in `processes`."""
    known = [*study.runs, *rows_of(study)]
    return [
        f"processes: there is no row {name!r}" + (did_you_mean(name, known) or f"; there are {', '.join(study.runs)}")
        for name in study.processes
        if name not in known
    ]


def processes_of(study: StudyFile, row: str) -> int:
    """What the study says of the row, or of the run that it comes from."""
    if row in study.processes:
        return study.processes[row]
    runs = [name for name in study.processes if name in study.runs and row.startswith(f"{name}, ")]
    return study.processes[max(runs, key=len)] if runs and study.grid else 1


def jobs_of(
    row: str,
    recipe: Mapping[str, Any],
    seeds: Sequence[int],
    out: Path,
    problems: list[str],
    processes: int = 1,
    allowed: Collection[str] | None = None,
) -> list[Job]:
    """One job for each seed; what is wrong with the recipe is added to `problems`. allowed: as of `config.check`."""
    jobs = []
    for seed in seeds:
        try:
            experiment = resolve(merge(recipe, {"seed": seed}), allowed=allowed)
        except ConfigError as error:
            problems += [f"{row}: {problem}" for problem in error.problems]
            continue
        mark = fingerprint(experiment)
        several = f"-by{processes}" if processes > 1 else ""
        folder = out / "runs" / f"{slug(row)}-seed{seed}-{mark[:8]}{several}"
        placed = replace(experiment, out=folder)
        jobs.append(Job(row=row, seed=seed, experiment=placed, fingerprint=mark, folder=folder, processes=processes))
    return jobs


def fingerprint(experiment: Experiment) -> str:
    """A hash of everything in a recipe but where its run is kept."""
    recipe = {**to_dict(experiment), "out": None}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def slug(name: str) -> str:
    """A name as part of a path: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9.=]+", "-", name.lower()).strip("-") or "run"
