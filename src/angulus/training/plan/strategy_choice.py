"""Before the first step: what `strategy: auto` comes to, and whether the run fits the memory.

An exact strategy only: dense where it is small; else panels on a CUDA device with Triton, with products of the run's
precision, smaller ones or the fused kernels where memory is short; else streamed, with a stash where that fits and
without one where it does not. Nothing is refused: a plan is an estimate, so `train` warns and goes on.
"""

import logging
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from angulus.errors import CheckpointError, OutOfMemoryError
from angulus.heads import STRATEGIES, Auto, Dense, Fused, Panels, Sampled, Strategy, Streamed
from angulus.heads.kernels.fused import device_obstacle
from angulus.heads.kernels.panel_launches import has_triton
from angulus.json_files import read_json
from angulus.models import EmbeddingModel
from angulus.training.distributed import Processes
from angulus.training.experiment import AdamW, Experiment
from angulus.training.plan.footprint import backbone_memory, built_aside, weight_bytes
from angulus.training.plan.machine import Machine, in_words, machine_of
from angulus.training.plan.strategy_options import RECOMPUTE, STASH, USABLE, Option, Task, own_option, sets_of
from angulus.training.recipe.data_sources import Sources

log = logging.getLogger(__name__)

# Classes of a panel: with fewer than the first, launches take longer than work, and the fused kernels are as fast.
FEWEST_TOGETHER, LEAST_TOGETHER = 8192, 1024


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run is expected to take of one process's memory, and what would take less."""

    needed: int
    usable: int
    advice: str

    @property
    def fits(self) -> bool:
        return self.needed <= self.usable

    @property
    def warning(self) -> str:
        return (
            f"a training step is expected to take {in_words(self.needed)} of memory, and {in_words(self.usable)} can "
            f"be used: {self.advice}; `angulus plan` shows what each strategy takes"
        )


def settled(
    experiment: Experiment,
    model: EmbeddingModel,
    sources: Sources,
    device: torch.device,
    group: Processes,
    folder: Path | None,
) -> tuple[Experiment, Forecast]:
    """The experiment with its strategy chosen, and what it is expected to take.

    model: the network of the run, which is left alone: another of its kind is measured.
    folder: of a run that is resumed; its own choice is kept, whatever memory is free by now.
    """
    machine = machine_of(device, int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    if device.type == "cpu":  # its weights are there already
        machine = replace(machine, free=machine.free + weight_bytes(model))
    task = Task(
        experiment=experiment,
        identities=len(sources.train.identities),
        images=len(sources.train),
        processes=group.world,
        backbone=backbone_memory(built_aside(experiment).to(device), experiment, device),
        data=0,  # the images are in memory by now
        on_cuda=device.type == "cuda",
        sets=sets_of(sources, experiment),
        triton=has_triton(),
    )
    if isinstance(experiment.head.strategy, Auto):
        chosen, reason = recorded(folder), "as when the run began"
        if chosen is None:
            chosen, reason = resolved(task, machine)
        log.info("strategy auto: %s, %s", chosen, reason)
        experiment = replace(experiment, head=replace(experiment.head, strategy=chosen))
        task = replace(task, chosen=chosen)
    forecast = forecast_of(task, machine)
    if group.is_first and not forecast.fits:
        log.warning(forecast.warning)
    return experiment, forecast


def recorded(folder: Path | None) -> Strategy | None:
    """The strategy with which the run in a folder began, where it is one that `auto` takes."""
    path = None if folder is None else folder / "recipe.json"
    if path is None or not path.exists():
        return None
    try:
        values = dict(read_json(path)["head"]["strategy"])
        name = values.pop("name")
        if name not in ("dense", "streamed", "panels", "fused"):
            return None
        if "fallback" in values:
            values["fallback"] = Streamed(**{key: value for key, value in values["fallback"].items() if key != "name"})
        return STRATEGIES[name](**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} does not say with which strategy the run began: {error!r}") from error


def resolved(task: Task, machine: Machine) -> tuple[Strategy, str]:
    """What `auto` comes to, and why."""
    usable = round(USABLE * machine.free)
    option = own_option(task)
    if isinstance(option.strategy, Dense):
        return option.strategy, "one matrix of examples times classes is small"
    needed = task.total(option)
    if needed <= usable:
        return option.strategy, f"which is expected to take {in_words(needed)} of {in_words(usable)} with the network"
    short = f"since memory is short: {in_words(needed)} would be needed and {in_words(usable)} can be used"
    return (narrower(task, option, machine) if isinstance(option.strategy, Panels) else RECOMPUTE), short


def narrower(task: Task, option: Option, machine: Machine) -> Strategy:
    """Panels without a stash, or smaller ones as long as they are worth it; the fused kernels; or the least of all."""
    strategy = option.strategy
    assert isinstance(strategy, Panels)
    size = task.head_size(option)
    plain = replace(strategy, mode="recompute")
    chunk = plain.chunk_of(size.examples, size.dim, size.subcenters, on_cuda=True)
    usable = round(USABLE * machine.free)
    smaller: list[Strategy] = [plain]
    while chunk > FEWEST_TOGETHER:
        chunk //= 2
        smaller.append(replace(plain, chunk=chunk))
    if not size.reshapes and not (machine.here and device_obstacle(torch.device(machine.device))):
        smaller.append(Fused(products=strategy.products))
    smaller.append(replace(plain, chunk=LEAST_TOGETHER))
    return next((other for other in smaller if task.total(replace(option, strategy=other)) <= usable), smaller[-1])


def forecast_of(task: Task, machine: Machine) -> Forecast:
    """What the recipe's own choice takes, and what would take less."""
    usable = round(USABLE * machine.free)
    needed = task.total(own_option(task))
    return Forecast(needed=needed, usable=usable, advice=advice(task, usable))


def advice(task: Task, usable: int) -> str:
    """What to change so that a run fits: the first that does, another loss last; or else what takes the least."""
    own, best = own_option(task), None
    for changed, option, words in smaller(task, own):
        needed = changed.total(option)
        sentence = f"{words} would take {in_words(needed)}"
        if needed <= usable:
            return sentence
        if needed < task.total(own) and (best is None or needed < best[0]):
            best = needed, sentence
    return f"{best[1]}, the least of all, and is still too much" if best else "a smaller train.batch_size takes less"


def smaller(task: Task, own: Option) -> Iterator[tuple[Task, Option, str]]:
    """What may take less than the recipe's own: what is to be planned anew, how, and in words."""
    adam = isinstance(task.experiment.optim, AdamW)
    sharded = own.sharded
    panels = Panels(products=task.device.products)
    fast, least = (panels, replace(panels, mode="recompute")) if task.device.kernels else (STASH, RECOMPUTE)
    for strategy in (fast, least):
        for moved in (False, True) if sharded or task.processes == 1 else (False,):
            if moved or not own.moved:
                option = Option(name="", strategy=strategy, moved=moved, sharded=sharded)
                yield task, option, " ".join(option.settings(task.experiment)) or "the same"
    for parts in (2, 4, 8, 16):
        train = task.experiment.train
        if parts > train.accumulate and train.batch % parts == 0 and not own.moved:
            option = Option(name="", strategy=least, sharded=sharded)
            words = [*option.settings(task.experiment), f"train.accumulate={parts}"]
            yield replace(task, experiment=accumulated(task.experiment, parts)), option, " ".join(words)
    for processes in (2, 4, 8, 16, 32, 64):
        if processes > task.processes:
            option = Option(name="", strategy=least, moved=own.moved, sharded=True)
            words = " ".join(option.settings(task.experiment))
            yield replace(task, processes=processes), option, f"{words} on {processes} processes".strip()
    for moved in (True, False):
        if not (moved and adam) and "binary" not in task.demands and (sharded or task.processes == 1 or not moved):
            option = Option(name="", strategy=Sampled(), moved=moved, sharded=sharded)
            yield task, option, f"{' '.join(option.settings(task.experiment))} (another loss: a sample of the classes)"


def accumulated(experiment: Experiment, parts: int) -> Experiment:
    return replace(experiment, train=replace(experiment.train, accumulate=parts))


@contextmanager
def with_advice(forecast: Forecast) -> Generator[None, None, None]:
    """Running out of memory in the block becomes one sentence that says what takes less."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's CPU allocator raises a plain RuntimeError
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"the memory ran out (a step was expected to take {in_words(forecast.needed)}, and "
            f"{in_words(forecast.usable)} could be used): {forecast.advice}; then resume the run or start anew"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
