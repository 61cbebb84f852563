"""What would a run take, which strategies fit this machine, and about how long would a step be?"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from angulus.devices.launched import processes_launched
from angulus.heads import Auto, Dense
from angulus.heads.auto import exact
from angulus.models import EmbeddingModel
from angulus.plain_numbers import counted, several
from angulus.training.datasets import UnionData
from angulus.training.experiment import Experiment
from angulus.training.plan.assumptions import Pretended, chosen_model, decoded, found, where, with_images
from angulus.training.plan.footprint import backbone_memory, built_aside
from angulus.training.plan.machine import Machine, in_words
from angulus.training.plan.precision_choice import with_precision
from angulus.training.plan.step_time import backbone_seconds, head_seconds
from angulus.training.plan.strategy_choice import forecast_of, resolved
from angulus.training.plan.strategy_options import USABLE, Option, Task, options, own_option, same, sets_of
from angulus.training.plan.write_choice import LEAST
from angulus.training.recipe.defaults import filled
from angulus.training.recipe.fine_tuning import with_fine_tuning
from angulus.training.recipe.serialization import record

# Another choice is named where it is expected to take less than this share of the recipe's own time, or memory.
WORTH_NAMING = 0.85


@dataclass(frozen=True, kw_only=True)
class Row:
    """One strategy. Bytes of one process; seconds of a step, None where they were not estimated."""

    name: str
    settings: list[str]
    weights: int
    gradient: int
    optimizer_state: int
    logits: int
    working: int
    total: int
    fits: bool
    is_own: bool
    is_exact: bool
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """facts: the run in words.  parts: bytes by name, without the head.  rows: a strategy each."""

    facts: dict[str, str]
    parts: dict[str, int]
    machine: Machine
    usable: int
    rows: list[Row]
    notes: list[str]
    recommendation: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan(experiment: Experiment, pretended: Pretended | None = None) -> Plan:
    """The plan of a run. Nothing is decoded and nothing is written.

    Raises DataError where the data is missing and `classes` is not given, ConfigError for a device that is not here
    without `memory`.
    """
    pretended = pretended or Pretended()
    processes = pretended.processes or processes_launched()
    device, machine = where(experiment.device, pretended, processes)
    experiment = chosen_model(experiment, device, pretended)
    model = built_aside(experiment).to(device)
    sources = found(experiment, model, pretended)
    pretended, in_proportion = with_images(pretended, sources)
    identities = pretended.classes or (len(sources.train.identities) if sources else 0)
    images = pretended.images or (len(sources.train) if sources else None)
    experiment, _ = with_fine_tuning(experiment, images or 1, device)
    experiment = filled(experiment, images or 1, identities, device, processes=processes)
    if machine.device == "cuda" and not machine.here and experiment.train.precision == "auto":
        experiment = replace(experiment, train=replace(experiment.train, precision="bfloat16"))
    experiment, _ = with_precision(experiment, model, device)
    task = Task(
        experiment=experiment,
        identities=identities,
        images=images,
        processes=processes,
        backbone=backbone_memory(model, experiment, device),
        data=decoded(experiment, model, sources, pretended),
        on_cuda=machine.device == "cuda",
        sets=sets_of(sources, experiment) if sources and not pretended.classes else (),
    )
    made = planned(task, machine, model, device)
    if in_proportion and images is not None:
        assumed = (
            f"{counted(images, experiment.noun)}: as many a person as those of the data have; --images says otherwise"
        )
        made = replace(made, notes=[assumed, *made.notes])
    return made


def planned(task: Task, machine: Machine, model: EmbeddingModel, device: torch.device) -> Plan:
    usable = round(USABLE * machine.free)
    notes: list[str] = []
    if isinstance(task.experiment.head.strategy, Auto):
        chosen, reason = resolved(task, machine)
        task = replace(task, chosen=chosen)
        notes.append(f"strategy auto comes to {own_option(task).name}, {reason}")
    own = own_option(task)
    backbone_time = timed(lambda: backbone_seconds(task, model, device), machine, notes)
    rows = []
    for option in options(task):
        seconds = None
        if backbone_time is not None:
            seconds = backbone_time + task.accumulate(option) * head_seconds(task, option, device)
        rows.append(row_of(task, option, usable, is_own=same(option, own), seconds=seconds))
    if stages := task.experiment.stages:
        names = " and ".join(stage.name for stage in stages)
        notes.append(f"this is the plan of the first stage; {names} may take other memory and time")
    if task.images is None:
        notes.append("the number of examples is not known, so the memory of decoded ones is left out; see --images")
    data = task.experiment.data
    if isinstance(data, UnionData) and data.is_separate and not task.sets:
        notes.append(
            "which set has how many classes is not known, so the separate heads are planned as one of all classes"
        )
    if not task.on_cuda and task.experiment.train.checkpoint_writes == "auto" and (saved := task.saved(own)) >= LEAST:
        notes.append(
            "where there is room, checkpoints are written beside the steps from a copy in the memory of the host, "
            f"about {in_words(saved)} more, which is in no sum; train.checkpoint_writes=waiting makes none"
        )
    if task.processes > 1:
        notes.append("sums are those of one process; exchanges between processes are in no time")
    return Plan(
        facts=facts_of(task, machine),
        parts=parts_of(task, own),
        machine=machine,
        usable=usable,
        rows=rows,
        notes=notes,
        recommendation=recommended(task, rows, machine),
    )


def timed(measure: Any, machine: Machine, notes: list[str]) -> float | None:
    """Seconds, or None with a note where the device is not here or has no room."""
    if not machine.here:
        notes.append("step times are left out: the memory is that of another machine, which cannot be timed here")
        return None
    seconds: float = measure()
    notes.append("step times are estimates: network and heads were timed for a moment at smaller sizes and scaled")
    return seconds


def row_of(task: Task, option: Option, usable: int, *, is_own: bool, seconds: float | None) -> Row:
    head, total = task.head(option), task.total(option)
    return Row(
        name=option.name,
        settings=option.settings(task.experiment),
        weights=head.weights,
        gradient=head.gradient,
        optimizer_state=head.optimizer_state,
        logits=head.logits,
        working=head.step - head.gradient - head.logits,
        total=total,
        fits=total <= usable,
        is_own=is_own,
        is_exact=option.is_exact,
        seconds=seconds,
    )


def facts_of(task: Task, machine: Machine) -> dict[str, str]:
    """The run in words."""
    experiment, train = task.experiment, task.experiment.train
    own = own_option(task)
    share = f", {task.examples(own)} at a time in each of {task.processes} processes" if task.processes > 1 else ""
    parts = f", in {train.accumulate} micro-batches" if train.accumulate > 1 else ""
    images = (
        f"an unknown number of {several(task.experiment.noun)}"
        if task.images is None
        else counted(task.images, task.experiment.noun)
    )
    heads = f", a head each for {' and '.join(f'{classes:,}' for classes, _ in task.sets)}" if task.sets else ""
    return {
        "training on": f"{images} of {counted(task.identities, 'identity')}{heads}",
        "network": f"{record(experiment.model)['name']}, {experiment.model.embedding_dim if experiment.model else 0} "
        f"dimensions, {train.precision}",
        "head": f"{experiment.head.subcenters} class weight{'s' * (experiment.head.subcenters > 1)} an identity, "
        f"{record(experiment.margin)['name']}, {record(experiment.optim)['name']}",
        "batch": f"{train.batch}{parts}{share}",
        "machine": f"{machine.name}: {in_words(machine.free)} of {in_words(machine.total)} free",
    }


def parts_of(task: Task, own: Option) -> dict[str, int]:
    backbone = task.backbone
    return {
        "network": backbone.weights,
        "its gradient": backbone.gradient,
        "its optimizer state": backbone.optimizer_state,
        "activations": task.activations(own),
        f"decoded {several(task.experiment.noun)}": task.data,
        **({"copy for checkpoints": copies} if (copies := task.copies(own)) else {}),
    }


def recommended(task: Task, rows: list[Row], machine: Machine) -> str:
    """One sentence: keep the recipe's choice, or what to pass instead."""
    own = next(row for row in rows if row.is_own)
    fitting = [row for row in rows if row.fits and row.is_exact]
    best = preferred(task, fitting)
    if own.fits:
        better = gain(best, own) if best is not None and own.is_exact else ""
        return f"The recipe's own choice ({own.name}) fits{better or '.'}"
    missing = f"The recipe's own choice ({own.name}) needs {in_words(own.total)}, and it does not fit"
    if best is not None:
        return f"{missing}; {best.name} does: {' '.join(best.settings)}"
    return f"{missing}; {forecast_of(task, machine).advice}."


def gain(best: Row, own: Row) -> str:
    """What another choice would gain, where that is worth naming."""
    words = f"{' '.join(best.settings)} ({best.name})"
    if own.seconds and best.seconds and best.seconds < WORTH_NAMING * own.seconds:
        return f"; {words} is expected to be faster, {in_time(best.seconds)} a step instead of {in_time(own.seconds)}"
    if own.seconds is None and best.total < WORTH_NAMING * own.total:
        return f"; {words} would take {in_words(best.total)} instead of {in_words(own.total)}"
    return ""


def preferred(task: Task, fitting: list[Row]) -> Row | None:
    """The exact choice to recommend: the fastest, or what `strategy: auto` would take where nothing was timed."""
    if not fitting:
        return None
    if all(row.seconds is not None for row in fitting):
        return min(fitting, key=lambda row: row.seconds or 0.0)
    size = task.head_size(own_option(task))
    rows = size.classes * size.subcenters
    small = isinstance(exact(rows, size.examples, moved=False, device=task.device), Dense)
    order = ["dense"] if small else []
    order += [
        "panels",
        "panels, update in backward",
        "streamed stash",
        "streamed recompute",
        "streamed, update in backward",
    ]
    order = [f"{name}{end}" for end in ("", ", sharded") for name in order]
    ranked = [row for name in order for row in fitting if row.name == name]
    return ranked[0] if ranked else fitting[0]


def in_time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1000 * seconds:,.0f} ms"
