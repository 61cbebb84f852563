"""Before the first step: how images lie in memory, the colours of a pixel together or each colour as a plane.

CUDA's convolutions take pixels ("channels_last"). A CPU is timed for a moment with the network of the run, forward and
backward; planes must be clearly faster to be taken, so that a moment's noise does not change a run.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from angulus.models import EmbeddingModel, InputSpec
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment, Layout
from angulus.training.plan.measured_choice import AS_ASKED, AS_BEGUN, Choice, agreed, cpu_seconds, recorded
from angulus.training.step import FORMATS, laid_out

FASTER = 0.8  # planes must take at most this share of the time of pixels
_SECONDS = 0.2  # that a pass may take
_FEWEST_IMAGES = 2  # of which a batch norm can take a variance
_ROUNDS = 3


def with_layout(
    experiment: Experiment,
    model: EmbeddingModel,
    device: torch.device,
    *,
    group: Processes | None = None,
    folder: Path | None = None,
) -> tuple[Experiment, Choice]:
    """The experiment with its layout chosen, and why; all processes take what the first one finds.

    model: the network, left as it is.  folder: of a run that is resumed, whose choice is kept.
    """
    asked = experiment.train.layout
    processes = 1 if group is None else group.world
    images = max(_FEWEST_IMAGES, experiment.train.batch // (processes * experiment.train.accumulate))
    half = experiment.train.precision == "bfloat16"
    choice = agreed("layout", asked, lambda: choose(asked, model, device, images, half=half, folder=folder), group)
    return replace(experiment, train=replace(experiment.train, layout=choice.chosen)), choice


def choose(
    asked: Layout,
    model: EmbeddingModel,
    device: torch.device,
    images: int,
    *,
    half: bool = False,
    folder: Path | None = None,
) -> Choice:
    """How images lie, and why. images: of one pass.  half: whether the network computes in bfloat16."""
    if asked != "auto":
        return Choice(chosen=asked, reason=AS_ASKED)
    if not isinstance(model.input, InputSpec):
        return Choice(chosen="contiguous", reason="speech has one layout only")
    kept = recorded(folder, "layout", FORMATS, before="channels_last")
    if kept is not None:
        return Choice(chosen=kept, reason=AS_BEGUN)
    if device.type == "cuda":
        return Choice(chosen="channels_last", reason="as the convolutions of a CUDA device take them")
    factor = time_factor(model, images, half=half)
    reason = f"planes take {factor:.2f} times as long as pixels on this processor"
    return Choice(chosen="contiguous" if factor <= FASTER else "channels_last", reason=reason, factor=factor)


def time_factor(model: EmbeddingModel, images: int, *, half: bool = False) -> float:
    """CPU time of a forward and backward pass with planes over that with pixels; the network is left as it is."""
    with torch.random.fork_rng([]):
        planes, pixels = (pass_of(model, layout, half=half) for layout in ("contiguous", "channels_last"))
        each = cpu_seconds(lambda: pixels(_FEWEST_IMAGES)) / _FEWEST_IMAGES
        count = min(images, max(_FEWEST_IMAGES, int(_SECONDS / max(each, 1e-6))))
        rounds = [[cpu_seconds(lambda run=run: run(count)) for run in (planes, pixels)] for _ in range(_ROUNDS)]
    slow, fast = (min(times) for times in zip(*rounds, strict=True))
    return slow / max(fast, 1e-9)


def pass_of(model: EmbeddingModel, layout: str, *, half: bool) -> Callable[[int], None]:
    """A forward and backward pass of a copy of the network for so many blank images."""
    # pyrefly: ignore[no-matching-overload]  (its stub of Module.to does not know memory_format)
    tried = copy.deepcopy(model).to("cpu", memory_format=FORMATS[layout]).train()

    def run(images: int) -> None:
        blank = laid_out(torch.full((images, *model.input.shape), 0.5), layout)
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            embeddings = tried(blank)
        embeddings.float().square().mean().backward()

    return run
