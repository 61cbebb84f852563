"""Margins and scales that follow the data: AdaFace, MagFace, ElasticFace and AdaCos."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from angulus.devices.copies import sent
from angulus.margins.angles import angle
from angulus.margins.base import (
    Learned,
    Margin,
    Seen,
    Value,
    check_value,
    masked_mean,
    masked_median,
    masked_std,
    resolve,
)
from angulus.margins.overflow import Overflow, check_overflow, margin_with_overflow


@dataclass(frozen=True, kw_only=True)
class AdaFace(Margin):
    """AdaFace (Kim et al. 2022, arXiv 2204.00964): hard samples count only where the image is good.

    The embedding's norm stands for quality: z = clip((|x| - mean) / (std + 1e-3) h, -1, 1), detached, with running
    mean and unbiased standard deviation (momentum: the share of the newest batch). Then
        t = cos(clip(theta - m z, 1e-3, pi - 1e-3)) - (m + m z)
    z = -1 is ArcFace, 0 is AM-Softmax.
    """

    m: Value = 0.4
    h: float = 0.333
    momentum: float = 0.01

    uses_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, 1.0)
        check_value(self.kind, "h", self.h, 0.0, 10.0)
        check_value(self.kind, "momentum", self.momentum, 0.0, 1.0)

    def initial_state(self, num_classes: int) -> dict[str, Tensor]:
        return {"mean": torch.tensor(20.0), "std": torch.tensor(100.0)}

    def update(self, state: Mapping[str, Tensor], seen: Seen) -> dict[str, Tensor]:
        norms = seen.all_norms.clamp(1e-3, 100.0)
        mean = masked_mean(norms, seen.all_valid, state["mean"])
        std = masked_std(norms, seen.all_valid, state["std"])
        return {
            "mean": torch.lerp(state["mean"], mean, self.momentum),
            "std": torch.lerp(state["std"], std, self.momentum),
        }

    def quality(self, seen: Seen) -> Tensor:
        """z of the formula: -1 (poor) to 1 (good), [n]."""
        norms = seen.norms.detach().clamp(1e-3, 100.0)
        mean, std = (seen.state[name].to(norms.dtype) for name in ("mean", "std"))
        return ((norms - mean) / (std + 1e-3) * self.h).clamp(-1.0, 1.0)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        shift = resolve(self.m, seen) * self.quality(seen)
        moved = (angle(cos) - shift).clamp(1e-3, math.pi - 1e-3)
        return torch.cos(moved) - (resolve(self.m, seen) + shift)


@dataclass(frozen=True, kw_only=True)
class MagFace(Margin):
    """MagFace (Meng et al. 2021, arXiv 2103.06627): the margin grows with the embedding's norm.

    With a = clip(|x|, lower_norm, upper_norm), m(a) goes linearly from lower_m to upper_m (radians) and
    t = cos(theta + m(a)); the penalty norm_weight (1/a + a/upper_norm^2) draws norms up. With gradient="exact" the
    gradient flows through m(a), with "straight_through" it does not. The released code uses overflow="easy".
    """

    lower_norm: float = 10.0
    upper_norm: float = 110.0
    lower_m: float = 0.45
    upper_m: float = 0.8
    norm_weight: float = 35.0
    overflow: Overflow = "continuous"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.lower_norm < self.upper_norm:
            raise ValueError(
                f"MagFace: lower_norm must be above 0 and below upper_norm, got {self.lower_norm} and {self.upper_norm}"
            )
        check_value(self.kind, "lower_m", self.lower_m, 0.0, math.pi)
        check_value(self.kind, "upper_m", self.upper_m, self.lower_m, math.pi)
        check_value(self.kind, "norm_weight", self.norm_weight, 0.0, math.inf)
        check_overflow(self.kind, self.overflow)

    def clipped(self, seen: Seen) -> Tensor:
        return seen.norms.clamp(self.lower_norm, self.upper_norm)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        share = (self.clipped(seen) - self.lower_norm) / (self.upper_norm - self.lower_norm)
        return margin_with_overflow(cos, 1.0, self.lower_m + (self.upper_m - self.lower_m) * share, 0.0, self.overflow)

    def penalty(self, seen: Seen) -> Tensor | None:
        norms = self.clipped(seen)
        return self.norm_weight * (1.0 / norms + norms / self.upper_norm**2)


@dataclass(frozen=True, kw_only=True)
class ElasticFace(Margin):
    """ElasticFace (Boutros et al. 2022, arXiv 2109.09416): each example's margin is drawn from N(m, sigma^2).

    base: "arc" t = cos(theta + m_i), or "am" t = c - m_i (the paper: m 0.5 and 0.35, sigma 0.05).
    ordered: the paper's "+" form: the example farthest from its class gets the largest margin of the batch
        (the released code gathers where a scatter is needed and does something else). The paper's
        sigma is 0.0175 for "arc" and 0.025 for "am" then.
    seed: with the step it fixes the draws, so that a resumed run repeats them.
    """

    base: Literal["arc", "am"] = "arc"
    m: Value = 0.5
    sigma: float = 0.05
    ordered: bool = False
    seed: int = 0
    overflow: Overflow = "continuous"

    uses_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value(self.kind, "m", self.m, 0.0, math.pi)
        check_value(self.kind, "sigma", self.sigma, 0.0, 1.0)
        check_overflow(self.kind, self.overflow)
        if self.base not in ("am", "arc"):
            raise ValueError(f'ElasticFace: base must be "arc" or "am", got {self.base!r}')

    def offsets(self, seen: Seen) -> Tensor:
        """What is added to m for each example of this process, [n]."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + seen.step) & 0x7FFF_FFFF_FFFF_FFFF)
        draws = torch.randn(len(seen.all_cos_target), generator=generator, dtype=torch.float64) * self.sigma
        draws = sent(draws.to(seen.all_cos_target.dtype), seen.all_cos_target.device)
        if self.ordered:
            nearest_first = torch.where(seen.all_valid, seen.all_cos_target, 2.0)  # without a class: no say
            farthest_last = torch.argsort(nearest_first, descending=True, stable=True)
            draws = torch.zeros_like(draws).scatter(0, farthest_last, draws.sort().values)
        return draws[seen.offset : seen.offset + len(seen.labels)]

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        m = resolve(self.m, seen) + self.offsets(seen)
        return cos - m if self.base == "am" else margin_with_overflow(cos, 1.0, m, 0.0, self.overflow)


@dataclass(frozen=True, kw_only=True)
class AdaCos(Margin):
    """AdaCos (Zhang et al. 2019, arXiv 1905.00292): no margin, the scale set from the class count or the batch.

    mode: "fixed" s = sqrt(2) log(C - 1); "lagged" starts there and follows
        s = log(B) / cos(min(pi / 4, median angle)), B the mean over the batch of the sum over other classes of
        exp(s c). The paper uses the new s in the same step; here it holds from the next step on, which
        needs no second pass over the classes.
    The field `scale` is not used.
    """

    mode: Literal["fixed", "lagged"] = "fixed"
    scale: Value | Learned = 1.0

    uses_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("fixed", "lagged"):
            raise ValueError(f'AdaCos: mode must be "fixed" or "lagged", got {self.mode!r}')
        if self.scale != 1.0:
            raise ValueError(f"AdaCos computes its own scale, so `scale` cannot be set; got {self.scale!r}")

    def initial_state(self, num_classes: int) -> dict[str, Tensor]:
        return {"scale": torch.tensor(adacos_scale(num_classes))} if self.mode == "lagged" else {}

    def temperature(self, seen: Seen) -> float | Tensor:
        return seen.state["scale"] if self.mode == "lagged" else adacos_scale(seen.num_classes)

    def update_after(self, state: Mapping[str, Tensor], rest: Tensor, seen: Seen) -> dict[str, Tensor]:
        if self.mode != "lagged":
            return dict(state)
        valid = seen.all_valid
        count = valid.sum().clamp(min=1)
        lowest = torch.finfo(rest.dtype).min
        log_mean = torch.where(valid, rest, lowest).logsumexp(0) - count.log()
        median = masked_median(angle(seen.all_cos_target), valid)
        scale = (log_mean / torch.cos(median.clamp(max=math.pi / 4))).to(state["scale"])
        return {"scale": torch.where(valid.any() & (scale > 0), scale, state["scale"])}


def adacos_scale(num_classes: int) -> float:
    """AdaCos's fixed scale sqrt(2) log(C - 1), for at least 3 classes."""
    if num_classes < 3:
        raise ValueError(f"AdaCos needs at least 3 classes, got {num_classes}")
    return math.sqrt(2.0) * math.log(num_classes - 1)
