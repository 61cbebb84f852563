"""Before the first step: whether torch compiles the network, which takes a minute and more before anything is trained.

On a CUDA device with Triton both are timed, the network as it is and compiled, where the run is expected to be long
enough to pay for it. On a CPU `auto` never compiles: that takes minutes there. What was compiled in a trial is what
the run then uses.
"""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from angulus.errors import ConfigError
from angulus.models import EmbeddingModel
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment
from angulus.training.plan.footprint import unchanged
from angulus.training.plan.measured_choice import AS_ASKED, AS_BEGUN, Choice, agreed, recorded
from angulus.training.plan.step_time import seconds_of
from angulus.training.step import laid_out

log = logging.getLogger(__name__)

# Seconds that a run must be expected to take. A guess, not yet measured: compiling takes a minute, and saves 15 %.
LONG = 600.0
FASTER = 0.97  # a compiled pass must take at most this share of the time of a plain one
SWITCH: dict[Literal["auto", "on", "off"] | bool, bool | None] = {"auto": None, "on": True, "off": False}


def with_compilation(
    experiment: Experiment,
    model: EmbeddingModel,
    device: torch.device,
    images: int,
    *,
    group: Processes | None = None,
    folder: Path | None = None,
) -> tuple[Experiment, Choice]:
    """The experiment with `train.compile` decided, and why; all processes take what the first one finds.

    model: the network where it computes; it is compiled in place where it was tried and taken.  images: of the
    training set.  folder: of a run that is resumed, whose choice is kept.

    Raises ConfigError where the recipe asks for it and it cannot be done.
    """
    asked = experiment.train.compile
    processes = 1 if group is None else group.world
    choice = agreed("compile", asked, lambda: choose(experiment, model, device, images, processes, folder), group)
    return replace(experiment, train=replace(experiment.train, compile=choice.chosen)), choice


def choose(
    experiment: Experiment,
    model: EmbeddingModel,
    device: torch.device,
    images: int,
    processes: int = 1,
    folder: Path | None = None,
) -> Choice:
    """Whether the network is compiled, and why."""
    config = experiment.train
    asked = SWITCH.get(config.compile, config.compile is True)
    kept = recorded(folder, "compile", (True, False), before=False) if asked is None else None
    action = pass_of(experiment, model, device, processes)
    if asked is not None or kept is not None:
        chosen = bool(kept if asked is None else asked)
        if chosen and (error := failure_of(model, action)):
            raise ConfigError(f"train.compile: the network cannot be compiled here ({error}); set train.compile=off")
        return Choice(chosen=chosen, reason=AS_BEGUN if asked is None else AS_ASKED)
    if reason := reason_against(experiment, device):
        return Choice(chosen=False, reason=reason)
    with unchanged(model):
        plain = seconds_of(action, device)
    steps = (config.epochs or 1) * images / config.batch
    if (whole := plain * config.accumulate * steps) < LONG:
        return Choice(chosen=False, reason=f"the run is expected to take {whole:.0f} s, too short to pay for compiling")
    if error := failure_of(model, action):
        log.warning("train.compile: the network cannot be compiled here (%s), and is trained as it is", error)
        return Choice(chosen=False, reason=f"compiling failed: {error}")
    with unchanged(model):
        factor = seconds_of(action, device) / max(plain, 1e-9)
    if factor > FASTER:
        as_it_was(model)
    reason = f"compiled, a pass takes {factor:.2f} times as long as without"
    return Choice(chosen=factor <= FASTER, reason=reason, factor=factor)


def reason_against(experiment: Experiment, device: torch.device) -> str | None:
    """Why `auto` does not even try."""
    from torch.utils._triton import has_triton

    if device.type != "cuda":
        return "compiling takes minutes on a CPU"
    if experiment.train.batch_norm == "synchronised":
        return "batch norms that ask other processes cannot be compiled into one piece"
    return None if has_triton() else "there is no Triton for this device"


def pass_of(experiment: Experiment, model: EmbeddingModel, device: torch.device, processes: int) -> Callable[[], None]:
    """A forward and backward pass as a step makes it, for blank images; no gradient is left."""
    config = experiment.train
    count = max(2, -(-config.batch // (processes * config.accumulate)))

    def run() -> None:
        blank = torch.full((count, *model.input.shape), 0.5, device=device)
        model.train()
        with torch.enable_grad(), torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            embeddings = model(laid_out(blank, config.layout))
        embeddings.float().square().mean().backward()
        model.zero_grad(set_to_none=True)

    return run


def failure_of(model: EmbeddingModel, action: Callable[[], None]) -> str | None:
    """Compile a network in place and try it; in a line why that failed, and then it is as it was."""
    try:
        with unchanged(model):
            compile_in_place(model)
            action()
    except Exception as error:  # whatever a compiler, its tools or the device may raise
        as_it_was(model)
        return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"[:200]
    return None


def compile_in_place(model: EmbeddingModel) -> None:
    """From now on calls of the network run compiled; its tensors and their names stay as they are."""
    if model._compiled_call_impl is None:
        model.compile(dynamic=False)


def as_it_was(model: EmbeddingModel) -> None:
    """Undo `compile_in_place`, for which torch has no call."""
    model._compiled_call_impl = None
    model.zero_grad(set_to_none=True)


@contextmanager
def uncompiled(config: Any) -> Generator[None, None, None]:
    """Networks run as they are: for passes of other sizes than those of training, each of which would be compiled.

    config: `train` of the experiment.
    """
    if not config.compile:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
