"""Optimizer rules that move class weights row by row inside the backward pass, so that their gradient is never whole.

A rule sees a block of rows, their gradient, and the same rows of its state. It equals the optimizer of that name in
`torch.optim` applied to the whole gradient; row-wise AdaGrad keeps one number a row instead of one a weight.
What needs the whole gradient cannot work with a rule: clipping it, adding up micro-batches, undoing a loss scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.devices.copies import sent


class RowRule(Protocol):
    """How rows move. `state` holds tensors whose first dimension is that of the weights."""

    def initial(self, weight: Tensor) -> dict[str, Tensor]:
        """The state before the first step, by name. weight: [r, d] all rows."""
        ...

    def apply(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], lr: float, step: int) -> None:
        """Move rows [b, d] in place. gradient: [b, d], may be overwritten.  step: from 0, of this optimizer."""
        ...

    def idle(self, lr: float) -> NDArray[np.float64] | None:
        """What a step without gradient does to (momentum, row), as a matrix [2, 2]; None where it is no such map."""
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

    def idle(self, lr: float) -> NDArray[np.float64]:
        average = np.array([self.momentum, self.weight_decay])
        step = np.array([0.0, self.weight_decay]) + self.momentum * average if self.nesterov else average
        return np.stack([average, np.array([0.0, 1.0]) - lr * step])


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

    def idle(self, lr: float) -> None:
        return None  # the running moments enter through a root


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

    def idle(self, lr: float) -> NDArray[np.float64] | None:
        return None if self.weight_decay else np.eye(2)


# After so many steps all rows are brought up to date, so that the history of steps stays short.
LONGEST_HISTORY = 4096
REFRESHED_TOGETHER = 4096


class Mover:
    """Class weights with the rule that moves them: all rows at once, or some of them, the others made up later.

    A row that is not touched for some steps misses its momentum and weight decay. For rules whose step without gradient
    is linear in (momentum, row) the missed steps are one 2 x 2 matrix, the product over the learning rates of those
    steps, so that a row that is brought up to date is, to rounding, where the rule on a dense gradient with zeros for
    it would have brought it.

    lagging: whether some rows may be left out of a step.
    """

    def __init__(self, rule: RowRule, rows: Tensor, state: Mapping[str, Tensor], *, lagging: bool) -> None:
        if lagging and rule.idle(1.0) is None:
            raise ValueError(
                f"{type(rule).__name__} cannot make up the steps that a sampled-out class misses; use RowSGD, or "
                "RowAdaGrad without weight decay"
            )
        self.rule, self.rows, self.state, self.lagging = rule, rows, dict(state), lagging
        self.steps = 0
        self.rate = 0.0
        self.missed = np.eye(2)[None]  # [a]: what the last a steps do to a row without gradient
        self.placed: tuple[NDArray[np.float64], Tensor] | None = None
        self.touched = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)

    def begin(self, rate: float) -> None:
        """Begin a step, after the rows that it reads were refreshed. rate: its learning rate."""
        self.rate = rate
        idle = self.rule.idle(rate) if self.lagging else None
        if idle is not None:
            if len(self.missed) > LONGEST_HISTORY:
                self.settle()
            self.missed = np.concatenate([np.eye(2)[None], idle @ self.missed])
        self.steps += 1

    def move(self, part: slice | Tensor, gradient: Tensor) -> None:
        """Move rows, a range or numbers [b], by their gradient [b, d]; called inside the backward pass."""
        if isinstance(part, slice):
            state = {name: value[part] for name, value in self.state.items()}
            self.rule.apply(self.rows[part], gradient, state, self.rate, self.steps - 1)
            return
        rows, state = self.rows[part], {name: value[part] for name, value in self.state.items()}
        self.rule.apply(rows, gradient, state, self.rate, self.steps - 1)
        self.store(part, rows, state)

    def store(self, part: Tensor, rows: Tensor, state: Mapping[str, Tensor]) -> None:
        self.rows.index_copy_(0, part, rows)
        for name, value in state.items():
            self.state[name].index_copy_(0, part, value)
        self.touched.index_fill_(0, part, self.steps)

    @torch.no_grad()
    def refresh(self, part: Tensor) -> None:
        """Make up what rows, by number [b], have missed; a block at a time, so that no copy of all is made."""
        for block in part.split(REFRESHED_TOGETHER):
            self.refresh_block(block)

    def table(self) -> Tensor:
        """`missed` where the rows are; copied once a step."""
        if self.placed is None or self.placed[0] is not self.missed or self.placed[1].device != self.rows.device:
            self.placed = self.missed, sent(torch.from_numpy(self.missed), self.rows.device)
        return self.placed[1]

    def refresh_block(self, part: Tensor) -> None:
        ages = self.steps - self.touched[part]
        table = self.table()[ages].to(self.rows.dtype)
        rows = self.rows[part]
        if "momentum" not in self.state:
            self.store(part, rows * table[:, 1, 1, None], {})
            return
        momentum = self.state["momentum"][part]
        moved = table[:, 1, 0, None] * momentum + table[:, 1, 1, None] * rows
        momentum = table[:, 0, 0, None] * momentum + table[:, 0, 1, None] * rows
        self.store(part, moved, {"momentum": momentum})

    @torch.no_grad()
    def settle(self) -> None:
        """Bring every row up to date, as before saving or reading the weights."""
        if len(self.missed) == 1:
            return
        for start in range(0, len(self.rows), REFRESHED_TOGETHER):
            stop = min(start + REFRESHED_TOGETHER, len(self.rows))
            self.refresh_block(torch.arange(start, stop, device=self.rows.device))
        self.missed = self.missed[:1]
        # with the history gone, only ages of 0 may be looked up, and all of them are 0 now

    def restart(self, steps: int) -> None:
        """Go on after so many steps with rows that are all up to date."""
        self.steps = steps
        self.touched.fill_(steps)
        self.missed = self.missed[:1]
