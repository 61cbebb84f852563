"""Before the first step: how many threads a network is trained with on a CPU, timed for a moment where it is small.

Operations of a small network on a small batch end sooner than several threads agree that they have ended.
"""

import logging
from pathlib import Path

import torch

from angulus.devices.processors import ThreadChoice, chosen_threads, is_said, seconds_of, threads_of_torch, usable_cores
from angulus.json_files import read_json
from angulus.models import EmbeddingModel
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment
from angulus.training.plan.layout_choice import pass_of
from angulus.training.plan.measured_choice import AS_BEGUN

log = logging.getLogger(__name__)

LONG = 0.5  # seconds of a step from which on its operations are large enough for every thread
_FEW = 2


def with_threads(
    experiment: Experiment,
    model: EmbeddingModel,
    device: torch.device,
    *,
    group: Processes | None = None,
    folder: Path | None = None,
) -> ThreadChoice:
    """Choose torch's threads for a run, set them, and say it in the log.

    model: the network, left as it is.  folder: of a run that is resumed, which keeps its number where there are as many
        cores as then.
    """
    choice = choose(experiment, model, device, processes=1 if group is None else group.world, folder=folder)
    torch.set_num_threads(choice.threads)
    if device.type == "cpu" and (group is None or group.is_first):
        log.debug("%d of %d threads: %s", choice.threads, usable_cores(), choice.reason)
    return choice


def choose(
    experiment: Experiment,
    model: EmbeddingModel,
    device: torch.device,
    *,
    processes: int = 1,
    folder: Path | None = None,
) -> ThreadChoice:
    """How many threads, and why. processes: of the run, which share the cores."""
    config = experiment.train
    most = max(1, min(torch.get_num_threads(), usable_cores()))
    if config.threads != "auto":
        return ThreadChoice(threads=config.threads, reason="as the recipe says")
    if device.type != "cpu":
        return ThreadChoice(threads=most, reason="the network is on another device")
    if processes > 1:
        return ThreadChoice(threads=torch.get_num_threads(), reason="as the launcher of the processes says")
    kept = recorded(folder)
    if kept is not None and kept <= most:
        return ThreadChoice(threads=kept, reason=AS_BEGUN)
    if is_said() or most == 1:
        return ThreadChoice(threads=most, reason="as the environment says" if is_said() else "there is one core")
    images = max(_FEW, config.batch // config.accumulate)
    with torch.random.fork_rng([]), threads_of_torch(most):
        run = pass_of(model, config.layout, half=config.precision == "bfloat16")
        run(_FEW)  # what is prepared once is not what is timed
        if seconds_of(lambda: run(_FEW)) * images / _FEW > LONG:
            return ThreadChoice(threads=most, reason="a step is long enough for all of them")
        return chosen_threads(lambda: run(images))


def recorded(folder: Path | None) -> int | None:
    """The number of threads that was chosen when the run in a folder began, or None."""
    path = None if folder is None else folder / "environment.json"
    if path is None or not path.exists():
        return None
    try:
        found = read_json(path)["choices"]["threads"]["threads"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if type(found) is int and found > 0 else None
