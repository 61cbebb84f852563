"""Optimizer rules that move class weights row by row inside the backward pass, so that their gradient is never whole.

A rule sees a block of rows, their gradient, and the same rows of its state. It equals the optimizer of that name in
`torch.optim` applied to the whole gradient; row-wise AdaGrad keeps one number a row instead of one a weight.
What needs the whole gradient cannot work with a rule: clipping it, adding up micro-batches, undoing a loss scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class RowRule(Protocol):
    """How rows move. `state` holds tensors whose first dimension is that of the weights."""

    def initial(self, weight: Tensor) -> dict[str, Tensor]:
        """The state before the first step, by name. weight: [r, d] all rows."""
        ...

    def apply(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], lr: float, step: int) -> None:
        """Move rows [b, d] in place. gradient: [b, d], may be overwritten.  step: from 0, of this optimizer."""
        ...


def check(owner: str, name: str, value: float, high: float) -> None:
    if not 0.0 <= value < high:
        raise ValueError(f"{owner}: {name} must be at least 0 and below {high:g}, got {value}")


@dataclass(frozen=True, kw_only=True)
class RowSGD:
    """b = momentum b + g + weight_decay w;  w = w - lr b  (with nesterov: w - lr (g + weight_decay w + momentum b))."""

    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False

    def __post_init__(self) -> None:
        check("RowSGD", "momentum", self.momentum, 1.0)
        check("RowSGD", "weight_decay", self.weight_decay, float("inf"))

    def initial(self, weight: Tensor) -> dict[str, Tensor]:
        return {"momentum": torch.zeros_like(weight)} if self.momentum else {}

    def apply(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], lr: float, step: int) -> None:
        if self.weight_decay:
            gradient.add_(rows, alpha=self.weight_decay)
        if self.momentum:
            average = state["momentum"].mul_(self.momentum).add_(gradient)
            gradient = gradient.add_(average, alpha=self.momentum) if self.nesterov else average
        rows.add_(gradient, alpha=-lr)


@dataclass(frozen=True, kw_only=True)
class RowAdamW:
    """AdamW: decoupled decay, then w = w - lr m / (sqrt(v) + eps) with bias-corrected running moments."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        for beta in self.betas:
            check("RowAdamW", "betas", beta, 1.0)
        check("RowAdamW", "weight_decay", self.weight_decay, float("inf"))

    def initial(self, weight: Tensor) -> dict[str, Tensor]:
        return {"mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}

    def apply(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], lr: float, step: int) -> None:
        first, second = self.betas
        rows.mul_(1.0 - lr * self.weight_decay)
        mean = state["mean"].lerp_(gradient, 1.0 - first)
        square = state["square"].mul_(second).addcmul_(gradient, gradient, value=1.0 - second)
        spread = square.sqrt().div_((1.0 - second ** (step + 1)) ** 0.5).add_(self.eps)
        rows.addcdiv_(mean, spread, value=-lr / (1.0 - first ** (step + 1)))


@dataclass(frozen=True, kw_only=True)
class RowAdaGrad:
    """Row-wise AdaGrad: a_r = a_r + mean over d of g^2;  w = w - lr g / (sqrt(a_r) + eps). One number a row."""

    eps: float = 1e-10
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check("RowAdaGrad", "weight_decay", self.weight_decay, float("inf"))

    def initial(self, weight: Tensor) -> dict[str, Tensor]:
        return {"square": weight.new_zeros(weight.shape[0], 1)}

    def apply(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], lr: float, step: int) -> None:
        if self.weight_decay:
            gradient.add_(rows, alpha=self.weight_decay)
        total = state["square"].add_(gradient.square().mean(dim=1, keepdim=True))
        rows.addcdiv_(gradient, (total.sqrt() + self.eps).expand_as(gradient), value=-lr)
