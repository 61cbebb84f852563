"""A frozen copy of the network under attack that computes the same in about half of the time, and watches itself.

Nothing is replaced in the network itself. In the copy, batch norms are folded into the layers before them where these
are known (`models.folding`), and what went *into* a folded norm is told from what comes out of the layer:

    y = factor x + shift    so    mean(x) = (mean(y) - shift) / factor,    var(x) = var(y) / factor^2

PReLU, the norm before it and its statistics have one backward pass together. torch's own PReLU computes the gradient of
its weights whether it is wanted or not, which takes a third of a step on a CPU.
"""

import copy
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from angulus.inversion.attack.statistics import Inputs, along_channels, listening, moments, statistics
from angulus.models import EmbeddingModel
from angulus.models.folding import affine, fold_behind, is_foldable, norms_behind_layers

LEAST_FACTOR = 1e-3
"""A norm is folded where all factors are at least this share of their mean: else x is lost in the rounding of y."""


@contextmanager
def watched(model: EmbeddingModel) -> Generator[tuple[EmbeddingModel, Inputs], None, None]:
    """A copy of a network of Angulus, and what goes into its batch norms; another network itself, listened to.

    So is one in half precision: folded weights are rounded once more there, and inputs told from outputs too coarsely.
    The model must be in evaluation mode, and what it computes must not change while the block runs.
    """
    is_exact = all(part.dtype in (torch.float32, torch.float64) for part in model.parameters())
    if is_exact and is_foldable(model):
        yield watched_copy(model)
        return
    with listening(model) as inputs:
        yield model, inputs


def watched_copy(model: EmbeddingModel) -> tuple[EmbeddingModel, Inputs]:
    """The copy of a foldable network."""
    inputs = Inputs([])
    fast = copy.deepcopy(model).eval().requires_grad_(False)
    for owner, layer, norm in list(norms_behind_layers(fast)):
        behind = owner.get_submodule(norm)
        if isinstance(behind, _BatchNorm) and behind.running_mean is not None and _keeps_input(behind):
            fold_behind(owner, layer, norm)
            owner.set_submodule(norm, _Watched(behind, inputs, is_folded=True))
    for part in list(fast.modules()):
        if isinstance(part, nn.ReLU):
            part.inplace = False  # what is watched is needed again in the backward pass
        if isinstance(part, _Watched):
            continue
        for name, child in list(part.named_children()):
            if isinstance(child, _BatchNorm) and child.running_mean is not None:
                setattr(part, name, _Watched(child, inputs, is_folded=False))
    for part in list(fast.modules()):
        _join(part)
    return fast, inputs


def _keeps_input(norm: nn.Module) -> bool:
    factor = affine(norm)[0].abs()
    return bool((factor >= LEAST_FACTOR * factor.mean()).all()) and bool((factor > 0).all())


def _join(part: nn.Module) -> None:
    """Give PReLUs to the norms before them, and make the others cheap."""
    if isinstance(part, _Watched):
        return
    children = list(part.named_children())
    pairs = list(pairwise(children)) if isinstance(part, nn.Sequential) else []
    named = dict(children)
    pairs += [
        ((norm, named[norm]), (prelu, named[prelu]))
        for norm, prelu in getattr(type(part), "ACTIVATED", ())
        if norm in named and prelu in named
    ]
    for (_, norm), (name, prelu) in pairs:
        if isinstance(norm, _Watched) and isinstance(prelu, nn.PReLU):
            norm.slope = prelu.weight.detach().clone()
            setattr(part, name, nn.Identity())
    for name, child in part.named_children():
        if isinstance(child, nn.PReLU):
            setattr(part, name, _FrozenPReLU(child))


class _Watched(nn.Module):
    """A batch norm in evaluation mode, or what is left of a folded one, and the PReLU behind it where there is one."""

    factor: Tensor
    shift: Tensor

    def __init__(self, norm: _BatchNorm, inputs: Inputs, *, is_folded: bool) -> None:
        super().__init__()
        self.norm, self.inputs, self.is_folded = [norm], inputs, is_folded  # in a list: it is no part of the network
        factor, shift = affine(norm)
        assert norm.running_mean is not None
        self.register_buffer("factor", factor.to(norm.running_mean.dtype))
        self.register_buffer("shift", shift.to(norm.running_mean.dtype))
        self.slope: Tensor | None = None

    def forward(self, values: Tensor) -> Tensor:
        factor, shift = self.factor.to(values), self.shift.to(values)
        slope = None if self.slope is None else self.slope.to(values)
        if self.is_folded and slope is None:
            mean, variance = moments(values)
            given = values
        else:
            given, mean, variance = _Step.apply(values, slope, *((None, None) if self.is_folded else (factor, shift)))
        if self.is_folded:
            factor, shift = self.factor.to(mean), self.shift.to(mean)
            mean, variance = (mean - shift) / factor, variance / factor.square()
        self.inputs.seen.append((self.norm[0], mean, variance))
        return given


class _FrozenPReLU(nn.Module):
    """A PReLU whose weights get no gradient."""

    weight: Tensor

    def __init__(self, prelu: nn.PReLU) -> None:
        super().__init__()
        self.register_buffer("weight", prelu.weight.detach().clone())

    def forward(self, values: Tensor) -> Tensor:
        return _PReLU.apply(values, self.weight.to(values))


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, slope: Tensor) -> Tensor:
        context.save_for_backward(values, slope)
        return torch.prelu(values, slope)

    @staticmethod
    @once_differentiable
    def backward(context: Any, given: Tensor) -> tuple[Tensor, None]:  # pyrefly: ignore[bad-override]
        values, slope = context.saved_tensors
        slope = along_channels(slope, values)
        return (given * slope).addcmul_(_above_zero(given, values), 1 - slope), None


class _Step(torch.autograd.Function):
    """Statistics [c] of values [n, c, ...], and what becomes of the values: factor and shift, then PReLU, or one."""

    @staticmethod
    def forward(
        context: Any, values: Tensor, slope: Tensor | None, factor: Tensor | None, shift: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = statistics(values)
        given = values
        if factor is not None and shift is not None:
            given = torch.addcmul(along_channels(shift, values), values, along_channels(factor, values))
        normed = None if factor is None or slope is None else given
        context.save_for_backward(values, mean, slope, factor, normed)
        return given if slope is None else torch.prelu(given, slope), mean, variance

    @staticmethod
    @once_differentiable
    def backward(  # pyrefly: ignore[bad-override]
        context: Any, given: Tensor, by_mean: Tensor, by_variance: Tensor
    ) -> tuple[Tensor, None, None, None]:
        values, mean, slope, factor, normed = context.saved_tensors
        count = values.numel() / values.shape[1]
        tilt = 2 * by_variance / count
        level = by_mean / count - tilt * mean
        tilt, level = along_channels(tilt.to(values), values), along_channels(level.to(values), values)
        found = torch.addcmul(level, values, tilt)
        by_factor = None if factor is None else along_channels(factor, values)
        if slope is None:
            assert by_factor is not None
            return found.addcmul_(given, by_factor), None, None, None
        slope = along_channels(slope, values)
        passed = _above_zero(given, values if normed is None else normed)
        below, rest = (slope, 1 - slope) if by_factor is None else (slope * by_factor, (1 - slope) * by_factor)
        return found.addcmul_(given, below).addcmul_(passed, rest), None, None, None


def _above_zero(given: Tensor, values: Tensor) -> Tensor:
    """`given` where values are above 0, else 0."""
    return torch.ops.aten.threshold_backward(given, values, 0)
