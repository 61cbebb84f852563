"""Whether images reach a network that comes with weights as they reached it when it was trained.

Its first batch norm remembers mean and variance of what came in. How far the images of this run lie from that, in
standard deviations, is compared over orders of the colours and usual means and scales.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from angulus.models import EmbeddingModel, InputSpec

MOST = 96
SCALES: tuple[tuple[Any, Any], ...] = (
    (127.5, 127.5),
    (127.5, 128.0),
    (0.0, 255.0),
    (0.0, 1.0),
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
)
"""Mean and standard deviation of images 0..255: the usual two, 0 to 1, as they are, those of ImageNet."""


class Reached(Exception):
    """The first batch norm has been reached, and nothing after it is needed."""


def preprocessing_facts(model: EmbeddingModel, images: Tensor, device: torch.device) -> list[dict[str, Any]]:
    """Distances from the remembered statistics: of the model's own preprocessing first, then of others.

    images: uint8 [n, 3, h, w].  [] for a network that remembers none.
    """
    norm = next((part for part in model.modules() if is_remembering(part)), None)
    if norm is None:
        return []
    some = images[:MOST].to(device)
    found = []
    for spec in (model.image_input(), *others(model.image_input())):
        distance = distance_of(model, norm, spec.prepare(some))
        found.append({"colour": spec.colour, "mean": spec.mean, "std": spec.std, "distance": distance})
    return found


def is_remembering(part: nn.Module) -> bool:
    return isinstance(part, nn.BatchNorm2d) and part.running_mean is not None


def others(spec: InputSpec) -> Iterator[InputSpec]:
    """The same input with another order of colours, another mean and scale, or both."""
    for colour in ("rgb", "bgr") if spec.colour != "grey" else ("grey",):
        for mean, std in ((spec.mean, spec.std), *SCALES):
            if spec.colour == "grey" and isinstance(mean, tuple):
                continue
            values = [value[::-1] if isinstance(value, tuple) and colour == "bgr" else value for value in (mean, std)]
            other = replace(spec, colour=colour, mean=values[0], std=values[1])
            if other != spec:
                yield other


@torch.no_grad()
def distance_of(model: EmbeddingModel, norm: nn.Module, prepared: Tensor) -> float:
    """How far the channels at a batch norm lie from what it remembers: means in standard deviations, and their logs."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    seen: list[Tensor] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])
        raise Reached

    modes = [(module, module.training) for module in model.modules()]
    handle = norm.register_forward_pre_hook(look)
    try:
        model.eval()(prepared)
    except Reached:
        pass
    finally:
        handle.remove()
        for module, training in modes:
            module.training = training
    values = seen[0].float().transpose(0, 1).flatten(1)
    variance = norm.running_var + norm.eps
    mean = (values.mean(1) - norm.running_mean).abs() / variance.sqrt()
    spread = 0.5 * ((values.var(1) + norm.eps) / variance).log().abs()
    return float((mean + spread).clamp(max=10.0).mean())
