"""Before the first step: what `train.precision: auto` comes to on this device, asked of it or timed for a moment.

On CUDA, bfloat16 from compute capability 8 on. On a CPU the network's forward pass is timed in both, in CPU time, so
that a busy machine does not change the answer: processors without instructions for bfloat16 emulate it, ten times
slower.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from angulus.devices.bfloat16 import CAPABILITY, FASTER, bfloat16_factor
from angulus.heads import Panels, Strategy
from angulus.models import EmbeddingModel
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment
from angulus.training.plan.measured_choice import AS_ASKED, AS_BEGUN, Choice, agreed, cpu_seconds, recorded

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]

SLOWER = 1.2  # from here on an explicit bfloat16 is worth a warning
_SECONDS = 0.2  # that a pass in float32 may take, so that an emulated one takes a few
_MOST_IMAGES = 16


def with_precision(
    experiment: Experiment,
    model: EmbeddingModel,
    device: torch.device,
    *,
    group: Processes | None = None,
    folder: Path | None = None,
) -> tuple[Experiment, Choice]:
    """The experiment with its precision chosen, and why; all processes take what the first one finds.

    model: the network, left as it is.  folder: of a run that is resumed, whose choice is kept.
    """
    asked = experiment.train.precision
    choice = agreed("precision", asked, lambda: choose(asked, model, device, folder), group)
    is_slow = asked != "auto" and choice.factor is not None and choice.factor > SLOWER
    if is_slow and (group is None or group.is_first):
        log.warning(
            "train.precision=bfloat16 takes %.1f times as long as float32 on this device; train.precision=auto "
            "takes the faster one",
            choice.factor,
        )
    if group is None or group.is_first:
        warn_of_products(experiment.head.strategy, device)
    return replace(experiment, train=replace(experiment.train, precision=choice.chosen)), choice


def warn_of_products(strategy: Strategy, device: torch.device) -> None:
    """Say it where a head multiplies in bfloat16 on a CPU that is slower in it."""
    emulates = not isinstance(strategy, Panels)  # which round operands on a CPU, and multiply in float32
    if device.type != "cpu" or not emulates or getattr(strategy, "products", None) != "bfloat16":
        return
    factor = bfloat16_factor()
    if factor > SLOWER:
        log.warning(
            "head.strategy.products=bfloat16 takes %.1f times as long as float32 in the head's products on this "
            "device; head.strategy.products=float32 is faster",
            factor,
        )


def choose(
    asked: Precision | Literal["auto"], model: EmbeddingModel, device: torch.device, folder: Path | None = None
) -> Choice:
    """What is computed in, and why."""
    if asked == "float32":
        return Choice(chosen="float32", reason=AS_ASKED)
    kept = recorded(folder, "precision", ("float32", "bfloat16"))
    if asked == "auto" and kept is not None:
        return Choice(chosen=kept, reason=AS_BEGUN)
    if device.type == "cuda":
        major = torch.cuda.get_device_capability(device)[0]
        native: Precision = "bfloat16" if major >= CAPABILITY else "float32"
        reason = f"a device of compute capability {major}"
        return Choice(chosen=native if asked == "auto" else asked, reason=reason)
    factor = time_factor(model)
    reason = f"this processor takes {factor:.2f} times as long in bfloat16 as in float32"
    faster: Precision = "bfloat16" if factor <= FASTER else "float32"
    return Choice(chosen=faster if asked == "auto" else asked, reason=reason, factor=factor)


def time_factor(model: EmbeddingModel) -> float:
    """CPU time of a forward pass in bfloat16 over that in float32, for a few images; the network is left as it was."""
    was_training = model.training
    model.eval()
    try:
        images = torch.full((1, *model.input.shape), 0.5)
        plain = _seconds(model, images, "float32")
        count = max(1, min(_MOST_IMAGES, int(_SECONDS / max(plain, 1e-6))))
        images = torch.full((count, *model.input.shape), 0.5)
        plain = min(_seconds(model, images, "float32") for _ in range(3))
        half = _seconds(model, images, "bfloat16")
        if half <= SLOWER * plain:  # the first pass prepares weights; look again where it matters
            half = min(half, *(_seconds(model, images, "bfloat16") for _ in range(2)))
    finally:
        model.train(was_training)
    return half / max(plain, 1e-9)


@torch.no_grad()
def _seconds(model: EmbeddingModel, images: torch.Tensor, precision: Precision) -> float:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        return cpu_seconds(lambda: model(images))
