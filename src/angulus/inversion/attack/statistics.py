"""How far are the statistics of these images from those that the network saw in training?

    L_BN = sum over batch-norm layers l of  ||mean_l - running_mean_l||_2^2 + ||std_l - running_std_l||_2^2

mean_l and std_l are those of the inputs of layer l, per channel, over the images of the batch and all places (Deng et
al., ArcFace, TPAMI 2021, eq. 8; after Yin et al., DeepInversion, CVPR 2020, which takes variances, does not square, and
weights the first layer 10 times). std is the root of the biased variance, so a batch of one value has std 0.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

Moment = Literal["std", "variance"]


@dataclass(frozen=True, kw_only=True)
class Matching:
    """How the statistics of a layer are compared.

    moment: standard deviations, as published, or variances.  squared: squared L2 norms, as published, or plain ones.
    first_layer: by how much the first layer counts more (published: 1; DeepInversion: 10).
    Raises ValueError for values that make no sense.
    """

    moment: Moment = "std"
    squared: bool = True
    first_layer: float = 1.0

    def __post_init__(self) -> None:
        if self.moment not in get_args(Moment):
            raise ValueError(f"moment must be std or variance, got {self.moment!r}")
        if not self.first_layer >= 0:
            raise ValueError(f"first_layer must be at least 0, got {self.first_layer}")


class Inputs:
    """Mean and variance [c] of what went into the batch-norm layers since `clear`; filled by hooks."""

    def __init__(self, layers: list[_BatchNorm]) -> None:
        self.layers = layers
        self.seen: list[tuple[_BatchNorm, Tensor, Tensor]] = []

    def clear(self) -> None:
        self.seen = []

    def term(self, matching: Matching) -> Tensor:
        """The sum over the layers, in the order in which they were called; a layer called twice counts twice."""
        factors = [matching.first_layer, *[1.0] * (len(self.seen) - 1)]
        parts = [
            factor * layer_distance(layer, mean, variance, matching)
            for factor, (layer, mean, variance) in zip(factors, self.seen, strict=False)
        ]
        return torch.stack(parts).sum() if parts else torch.zeros(())


def batch_norm_layers(model: nn.Module) -> list[_BatchNorm]:
    """The batch-norm layers of any kind that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


@contextmanager
def listening(model: nn.Module) -> Generator[Inputs, None, None]:
    """Hooks on the inputs of all batch-norm layers while the block runs; the model itself is not changed."""
    inputs = Inputs(batch_norm_layers(model))

    def hook(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        # at once: the network may write over the values in place
        inputs.seen.append((layer, *moments(arguments[0])))

    handles = [layer.register_forward_pre_hook(hook) for layer in inputs.layers]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()
        inputs.clear()


class Moments(torch.autograd.Function):
    """Mean and biased variance per channel, each pass in few sweeps: torch.var_mean takes several times as long."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = statistics(values)
        context.save_for_backward(values, mean)
        return mean, variance

    @staticmethod
    @once_differentiable
    def backward(context: Any, by_mean: Tensor, by_variance: Tensor) -> Tensor:  # pyrefly: ignore[bad-override]
        # d mean / dx = 1 / m,  d variance / dx = 2 (x - mean) / m,  m values per channel
        values, mean = context.saved_tensors
        count = values.numel() / values.shape[1]
        slope, level = 2 * by_variance / count, (by_mean - 2 * by_variance * mean) / count
        return torch.addcmul(along_channels(level, values), values, along_channels(slope, values))


def statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance per channel [c] of values [n, c, ...], without a gradient."""
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        return torch.batch_norm_update_stats(values, None, None, 0.0)  # in one sweep, five times as fast
    places = [axis for axis in range(values.ndim) if axis != 1]
    mean = values.mean(dim=places)
    return mean, (values - along_channels(mean, values)).square().mean(dim=places)


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance per channel [c] of values [n, c] or [n, c, ...], in float32 at least."""
    mean, variance = Moments.apply(values if values.dtype == torch.float64 else values.float())
    return mean, variance


def along_channels(values: Tensor, like: Tensor) -> Tensor:
    """[c] as it is broadcast over [n, c, ...]."""
    return values.view(1, -1, *(1,) * (like.ndim - 2))


def layer_distance(layer: _BatchNorm, mean: Tensor, variance: Tensor, matching: Matching) -> Tensor:
    """The distance of the statistics of a layer's input [c] from its running ones, a scalar."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    running = layer.running_var.to(variance)
    if matching.moment == "std":
        variance, running = safe_root(variance), running.sqrt()
    gaps = (mean - layer.running_mean.to(mean), variance - running)
    norms = [gap.square().sum() for gap in gaps]
    return norms[0] + norms[1] if matching.squared else safe_root(norms[0]) + safe_root(norms[1])


def safe_root(values: Tensor) -> Tensor:
    """The square root, with gradient 0 where the value is 0 (its own is infinite, and infinity times 0 is NaN)."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)
