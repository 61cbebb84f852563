"""Before the first step: what `train.precision: auto` comes to on this device, asked of it or timed for a moment.

On CUDA, bfloat16 from compute capability 8 on. On a CPU the network's forward pass is timed in both, in CPU time, so
that a busy machine does not change the answer: processors without instructions for bfloat16 emulate it, ten times
slower.
"""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from angulus.devices.bfloat16 import CAPABILITY, bfloat16_factor
from angulus.heads import Strategy
from angulus.json_files import read_json
from angulus.models import EmbeddingModel
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]

FASTER = 0.8  # bfloat16 must take at most this share of float32's time; rounding is not paid for by less
SLOWER = 1.2  # from here on an explicit bfloat16 is worth a warning
_SECONDS = 0.2  # that a pass in float32 may take, so that an emulated one takes a few
_MOST_IMAGES = 16


@dataclass(frozen=True, kw_only=True)
class PrecisionChoice:
    """chosen: what the backbone computes in.  reason: why, in words.  factor: time in bfloat16 over that in float32."""

    chosen: Precision
    reason: str
    factor: float | None = None


def with_precision(
    experiment: Experiment,
    model: EmbeddingModel,
    device: torch.device,
    *,
    group: Processes | None = None,
    folder: Path | None = None,
) -> tuple[Experiment, PrecisionChoice]:
    """The experiment with its precision chosen, and why; all processes take what the first one finds.

    model: the network, left as it is.  folder: of a run that is resumed, whose choice is kept.
    """
    asked = experiment.train.precision
    choice = None
    if group is None or group.is_first:
        choice = choose(asked, model, device, folder)
    if group is not None:
        choice = group.every(choice)[0]
    assert choice is not None
    if group is None or group.is_first:
        if asked == "auto":
            log.info("precision auto: %s, %s", choice.chosen, choice.reason)
        elif choice.factor is not None and choice.factor > SLOWER:
            log.warning(
                "train.precision=bfloat16 takes %.1f times as long as float32 on this device; train.precision=auto "
                "takes the faster one",
                choice.factor,
            )
        warn_of_products(experiment.head.strategy, device)
    return replace(experiment, train=replace(experiment.train, precision=choice.chosen)), choice


def warn_of_products(strategy: Strategy, device: torch.device) -> None:
    """Say it where a head multiplies in bfloat16 on a CPU that is slower in it."""
    if device.type != "cpu" or getattr(strategy, "products", None) != "bfloat16":
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
) -> PrecisionChoice:
    """What is computed in, and why."""
    if asked == "float32":
        return PrecisionChoice(chosen="float32", reason="as the recipe says")
    kept = recorded(folder)
    if asked == "auto" and kept is not None:
        return PrecisionChoice(chosen=kept, reason="as when the run began")
    if device.type == "cuda":
        major = torch.cuda.get_device_capability(device)[0]
        native: Precision = "bfloat16" if major >= CAPABILITY else "float32"
        reason = f"a device of compute capability {major}"
        return PrecisionChoice(chosen=native if asked == "auto" else asked, reason=reason)
    factor = time_factor(model)
    reason = f"this processor takes {factor:.2f} times as long in bfloat16 as in float32"
    faster: Precision = "bfloat16" if factor <= FASTER else "float32"
    return PrecisionChoice(chosen=faster if asked == "auto" else asked, reason=reason, factor=factor)


def recorded(folder: Path | None) -> Precision | None:
    """The precision with which the run in a folder began, or None."""
    path = None if folder is None else folder / "recipe.json"
    if path is None or not path.exists():
        return None
    try:
        found = read_json(path)["train"]["precision"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # `start_folder` says what is wrong with it
    return found if found in ("float32", "bfloat16") else None


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
    begun = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        model(images)
    return time.process_time() - begun
