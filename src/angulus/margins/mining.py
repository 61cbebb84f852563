"""Margins that also emphasise hard classes: MV-Softmax, CurricularFace and AMM-Softmax.

A class j is hard for example i when c_ij exceeds a reference made from the own cosine. The comparison uses the
target before any overflow rule, detached and in float32, and no gradient passes through it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from angulus.devices.copies import scalar
from angulus.margins.angles import angle, turned
from angulus.margins.base import Formula, Learned, Margin, Seen, Value, check_value, column, masked_mean, resolve
from angulus.margins.overflow import Overflow, check_overflow, margin_with_overflow, raw_margin


@dataclass(frozen=True, kw_only=True)
class MVSoftmax(Margin):
    """Mis-classified vector guided softmax (Wang et al. 2020, arXiv 1912.00833).

    base: "am" t = c - m, or "arc" t = cos(theta + m).
    others: a hard class's cosine becomes (1 + t) c + t ("adaptive") or c + t ("fixed").
    easy: apply the margin only where the own cosine is above 0, as the released code does (jumps there).
    """

    scale: Value | Learned = 32.0
    base: Literal["am", "arc"] = "am"
    m: Value = 0.35
    t: Value = 0.2
    emphasis: Literal["adaptive", "fixed"] = "adaptive"
    easy: bool = False
    overflow: Overflow = "continuous"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, 2.0 if self.base == "am" else math.pi)
        check_value(self.kind, "t", self.t, 0.0, 10.0)
        check_overflow(self.kind, self.overflow)
        if self.base not in ("am", "arc"):
            raise ValueError(f'MVSoftmax: base must be "am" or "arc", got {self.base!r}')
        if self.emphasis not in ("adaptive", "fixed"):
            raise ValueError(f'MVSoftmax: emphasis must be "adaptive" or "fixed", got {self.emphasis!r}')

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        m = resolve(self.m, seen)
        value = cos - m if self.base == "am" else margin_with_overflow(cos, 1.0, m, 0.0, self.overflow)
        return torch.where(cos > 0, value, cos) if self.easy else value

    def reference(self, cos: Tensor, seen: Seen) -> Tensor:
        m = resolve(self.m, seen)
        return cos - m if self.base == "am" else raw_margin(cos, 1.0, m, 0.0)

    def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
        t = column(resolve(self.t, seen))
        emphasised = (1.0 + t) * cos + t if self.emphasis == "adaptive" else cos + t
        return torch.where(cos.detach() > target, emphasised, cos)

    def formula(self, seen: Seen) -> Formula:
        t = resolve(self.t, seen)
        return Formula("quadratic", (0.0, 1.0 + t if self.emphasis == "adaptive" else 1.0, t))


@dataclass(frozen=True, kw_only=True)
class CurricularFace(Margin):
    """CurricularFace (Huang et al. 2020, arXiv 2004.00288): a hard class's cosine becomes c (t + c).

    t is the running mean of the own cosines (momentum: the share of the newest batch), so that hard classes
    weigh little early and much late. The released code uses overflow="linear".
    """

    m: Value = 0.5
    momentum: float = 0.01
    overflow: Overflow = "continuous"

    uses_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, math.pi)
        check_value(self.kind, "momentum", self.momentum, 0.0, 1.0)
        check_overflow(self.kind, self.overflow)

    def initial_state(self, num_classes: int) -> dict[str, Tensor]:
        return {"t": torch.zeros(())}

    def update(self, state: Mapping[str, Tensor], seen: Seen) -> dict[str, Tensor]:
        return {
            "t": torch.lerp(state["t"], masked_mean(seen.all_cos_target, seen.all_valid, state["t"]), self.momentum)
        }

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        return margin_with_overflow(cos, 1.0, resolve(self.m, seen), 0.0, self.overflow)

    def reference(self, cos: Tensor, seen: Seen) -> Tensor:
        return raw_margin(cos, 1.0, resolve(self.m, seen), 0.0)

    def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
        return torch.where(cos.detach() > target, cos * (seen.state["t"].to(cos.dtype) + cos), cos)

    def formula(self, seen: Seen) -> Formula:
        return Formula("quadratic", (1.0, seen.state["t"], 0.0))


@dataclass(frozen=True, kw_only=True)
class AMMSoftmax(Margin):
    """Angular margin-mining softmax (Lee, Wang, Cho 2022, DOI 10.1109/ACCESS.2022.3168310): formulation inferred.

    The paper's equation is not public. This is the least loss that fits its abstract: ArcFace on the own class and
    the mirror image of its margin on hard classes, which makes the boundary theta_j - theta_y = m + t linear
    in the angle. No published figure of the paper can be claimed for it.

        target        cos(theta_y + m)
        hard class    cos(max(theta_j - t, 0))    where cos(theta_j) > cos(theta_y + m)

    t: radians.
    rule: "constant" t; "ema" t = multiplier * running mean of the own cosines; "violation"
        t_ij = slope * max(theta_y + m - theta_j, 0), continuous where a class becomes hard.
    side: "negative" as above; "positive" adds t to the target's angle when any class is hard; "both".
    hard: compare with the target after the "margin" (default) or with the bare own cosine ("target").
    """

    m: Value = 0.5
    t: Value = 0.1
    rule: Literal["constant", "ema", "violation"] = "constant"
    side: Literal["negative", "positive", "both"] = "negative"
    hard: Literal["margin", "target"] = "margin"
    multiplier: float = 0.3
    slope: float = 0.5
    momentum: float = 0.01
    overflow: Overflow = "continuous"

    uses_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, math.pi)
        check_value(self.kind, "t", self.t, 0.0, math.pi / 2)
        check_value(self.kind, "slope", self.slope, 0.0, 1.0)
        check_value(self.kind, "multiplier", self.multiplier, 0.0, math.pi / 2)
        check_value(self.kind, "momentum", self.momentum, 0.0, 1.0)
        check_overflow(self.kind, self.overflow)
        for name, choices in (
            ("rule", ("constant", "ema", "violation")),
            ("side", ("negative", "positive", "both")),
            ("hard", ("margin", "target")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"AMMSoftmax: {name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")

    @property
    def needs_hardest(self) -> bool:  # pyrefly: ignore[bad-override]
        return self.side != "negative"

    def initial_state(self, num_classes: int) -> dict[str, Tensor]:
        return {"t": torch.zeros(())} if self.rule == "ema" else {}

    def update(self, state: Mapping[str, Tensor], seen: Seen) -> dict[str, Tensor]:
        if self.rule != "ema":
            return dict(state)
        return {
            "t": torch.lerp(state["t"], masked_mean(seen.all_cos_target, seen.all_valid, state["t"]), self.momentum)
        }

    def reference(self, cos: Tensor, seen: Seen) -> Tensor:
        return raw_margin(cos, 1.0, resolve(self.m, seen), 0.0) if self.hard == "margin" else cos

    def emphasis(self, cos: Tensor, seen: Seen) -> float | Tensor:
        """The angle t in radians for classes at the cosines `cos`, [n, c] or [n]. No gradient."""
        shape = column if cos.ndim == 2 else (lambda value: value)
        if self.rule == "constant":
            return shape(resolve(self.t, seen))
        if self.rule == "ema":
            return self.multiplier * seen.state["t"].to(cos.dtype).clamp(min=0.0)
        boundary = shape(angle(seen.cos_target) + resolve(self.m, seen))
        return (self.slope * (boundary - angle(cos.detach()))).clamp(min=0.0).detach()

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        m = resolve(self.m, seen)
        if self.side == "negative":
            return margin_with_overflow(cos, 1.0, m, 0.0, self.overflow)
        if seen.hardest is None:
            raise ValueError('AMMSoftmax: side "positive" and "both" need seen.hardest, the largest other cosine')
        is_hard = seen.hardest > self.reference(seen.cos_target, seen)
        extra = scalar(self.emphasis(seen.hardest, seen), cos)
        total = m + torch.where(is_hard, extra, torch.zeros_like(extra))
        return margin_with_overflow(cos, 1.0, total, 0.0, self.overflow)

    def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
        if self.side == "positive":
            return cos
        return torch.where(cos.detach() > target, turned(cos, self.emphasis(cos, seen)), cos)

    def formula(self, seen: Seen) -> Formula | None:
        if self.side == "positive":
            return Formula("quadratic", (0.0, 1.0, 0.0))
        if self.rule == "violation":  # an angle of its own for every class
            return None
        t = self.emphasis(seen.cos_target, seen)
        if isinstance(t, float):  # on no device, so that nothing waits for one
            return Formula("turned", (math.cos(t), math.sin(t)))
        return Formula("turned", (torch.cos(t), torch.sin(t)))
