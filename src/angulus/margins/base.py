"""What a margin is: a few pure functions of cosines that turn a softmax into a margin softmax.

For example i with label y, cosines c_ij to the classes j and temperature s_i, every loss of the family is

    t_i    = target(c_iy)
    o_ij   = others(c_ij, reference(c_iy))         j != y
    loss_i = logaddexp(s_i t_i, rest_i) - s_i t_i  rest_i = logsumexp_j (s_i o_ij + b_j)

or, where a margin's `reduction` is "binary", with a share p of the own class and one bias b,

    loss_i = p softplus(-(s_i t_i + b)) + (1 - p) rest_i      rest_i = sum_j softplus(s_i o_ij + b)

The sums belong to `angulus.heads`; here is only what differs from loss to loss.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from angulus.devices.copies import scalar, sent
from angulus.margins.schedules import Schedule

Gradient = Literal["exact", "straight_through"]
Reduction = Literal["softmax", "binary"]


@dataclass(frozen=True)
class Values:
    """Base of values that are many; those of a tuple stay where they were used, so that no step copies them."""

    values: Tensor | tuple[float, ...]
    placed: dict[tuple[torch.dtype, torch.device], Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def on(self, like: Tensor) -> Tensor:
        """The values with the type and the device of a tensor."""
        if isinstance(self.values, Tensor):
            return scalar(self.values, like)
        place = (like.dtype, like.device)
        if place not in self.placed:
            self.placed[place] = sent(torch.tensor(self.values, dtype=like.dtype), like.device)
        return self.placed[place]


@dataclass(frozen=True)
class PerClass(Values):
    """One value for each class: `values[label]`. values: [c]."""


@dataclass(frozen=True)
class PerSample(Values):
    """One value for each example of the batch. values: [n]."""


Value = float | Schedule | PerClass | PerSample


@dataclass(frozen=True)
class Learned:
    """A scale that is a parameter of the head and is trained with it. initial: its first value."""

    initial: float

    def __post_init__(self) -> None:
        if not self.initial > 0:
            raise ValueError(f"a learned scale must start above 0, got {self.initial}")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a margin may look at besides the cosine it is given.

    norms: [n] lengths of the embeddings, with gradient.  labels: [n].  cos_target: [n], detached.
    state: running statistics of the head.  learned: trained scalars of the head.
    all_cos_target, all_norms, all_valid: detached values of the whole global batch (the own ones without
    processes), in which this process's examples start at `offset`; valid means that the label is not -1.
    hardest: [n] the largest cosine to another class, detached; only for margins that ask with `needs_hardest`.
    """

    norms: Tensor
    labels: Tensor
    cos_target: Tensor
    all_cos_target: Tensor
    all_norms: Tensor
    all_valid: Tensor
    num_classes: int
    offset: int = 0
    step: int = 0
    state: Mapping[str, Tensor] = field(default_factory=dict)
    learned: Mapping[str, Tensor] = field(default_factory=dict)
    hardest: Tensor | None = None

    @classmethod
    def of(
        cls,
        cos_target: Tensor,
        *,
        norms: Tensor | None = None,
        labels: Tensor | None = None,
        num_classes: int = 2,
        step: int = 0,
        state: Mapping[str, Tensor] | None = None,
        learned: Mapping[str, Tensor] | None = None,
        hardest: Tensor | None = None,
    ) -> "Seen":
        """A `Seen` for a single process, with unit norms and labels 0 where none are given."""
        detached = cos_target.detach()
        norms = torch.ones_like(detached) if norms is None else norms
        labels = torch.zeros_like(detached, dtype=torch.int64) if labels is None else labels
        return cls(
            norms=norms,
            labels=labels.clamp(min=0),
            cos_target=detached,
            all_cos_target=detached,
            all_norms=norms.detach(),
            all_valid=labels >= 0,
            num_classes=num_classes,
            step=step,
            state=state or {},
            learned=learned or {},
            hardest=hardest,
        )


def resolve(value: Value, seen: Seen) -> float | Tensor:
    """The number that holds now: a float, or a tensor [n] for values per class or per sample."""
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, Schedule):
        return value.at(seen.step)
    values = value.on(seen.cos_target)
    if isinstance(value, PerClass):
        if len(values) != seen.num_classes:
            raise ValueError(f"a value per class needs {seen.num_classes} values, got {len(values)}")
        return values[seen.labels]
    if len(values) != len(seen.labels):
        raise ValueError(f"a value per sample needs {len(seen.labels)} values, got {len(values)}")
    return values


def column(value: float | Tensor) -> float | Tensor:
    """The same number shaped to meet a block [n, c]."""
    return value[:, None] if isinstance(value, Tensor) and value.ndim == 1 else value


def check_value(owner: str, name: str, value: object, low: float, high: float) -> None:
    """Raise ValueError unless every number of a value lies in [low, high]."""
    if isinstance(value, (PerClass, PerSample)):
        numbers = torch.as_tensor(value.values).flatten().tolist()
    elif isinstance(value, Schedule):
        numbers = list(value.extremes())
    elif isinstance(value, (int, float)):
        numbers = [float(value)]
    else:
        raise ValueError(f"{owner}: {name} must be a number, a schedule, PerClass or PerSample, got {value!r}")
    for number in numbers:
        if not (math.isfinite(number) and low <= number <= high):
            bounds = f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
            raise ValueError(f"{owner}: {name} must be {bounds}, got {number:g}")


@dataclass(frozen=True)
class Formula:
    """`Margin.others` in numbers, for code that evaluates it elsewhere (a kernel).

    For a class at the cosine c:
        quadratic  (a c + b) c + d            where c is above the reference, else c
        turned     cos(max(theta - t, 0))     where c is above the reference, else c; values cos(t), sin(t)
        weighted   max(c + m, 0) (c - m)      everywhere; no gradient through the first factor; value m
    values: numbers or [n], as many as the kind has.
    """

    kind: Literal["quadratic", "turned", "weighted"]
    values: tuple[float | Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Margin:
    """Base of all margins, and by itself the plain normalised softmax (Wang et al. 2017, NormFace).

    scale: the temperature s (also called inverse temperature, or radius), above 0.
    gradient: "exact" differentiates the target; "straight_through" uses its value with the slope of the
        cosine itself (called characteristic gradient detachment in SphereFace-R, and what arcface_torch does).
    """

    scale: Value | Learned = 64.0
    gradient: Gradient = "exact"

    # What the loss needs of the geometry. Free weights are not normalised (L2-constrained softmax).
    free_weights: ClassVar[bool] = False
    has_bias: ClassVar[bool] = False
    # False: others() is the cosine itself, so the sum over the classes needs no elementwise work. Set by defining it.
    reshapes_others: ClassVar[bool] = False
    # True: `seen.hardest` must be known, which costs one more pass over the classes.
    needs_hardest: ClassVar[bool] = False
    # Above 0: so many of the nearest other classes are ranked before the sum, which costs one more pass over the
    # classes, and `nearest` says what becomes of their cosines.
    ranked: ClassVar[int] = 0
    # What the classes are summed by: one softmax over all of them, or a classifier of its own for each.
    reduction: ClassVar[Reduction] = "softmax"
    # True: a batch statistic is used, so that several processes must share their own cosines and norms.
    uses_batch: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "others" in cls.__dict__:
            cls.reshapes_others = True  # a margin that forgot to say so would be summed without its emphasis
            if "formula" not in cls.__dict__:
                cls.formula = Margin.formula  # pyrefly: ignore  (an inherited one would be that of other `others`)

    def __post_init__(self) -> None:
        if self.gradient not in ("exact", "straight_through"):
            raise ValueError(f'{self.kind}: gradient must be "exact" or "straight_through", got {self.gradient!r}')
        if not isinstance(self.scale, Learned):
            check_value(self.kind, "scale", self.scale, 1e-6, 1e6)

    @property
    def kind(self) -> str:
        return type(self).__name__

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        """The own class's cosine after the margin. cos: [n]. Returns [n]."""
        return cos

    def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
        """The other classes' cosines after emphasis. cos: [n, c]; target: [n, 1], detached. Returns [n, c]."""
        return cos

    def nearest(self, cos: Tensor, seen: Seen) -> Tensor:
        """The cosines of the `ranked` nearest other classes after emphasis, instead of `others`. cos: [n, ranked], in
        any order and with classes among them that are not summed here. Returns the same shape, elementwise."""
        return cos

    def formula(self, seen: Seen) -> Formula | None:
        """What `others` computes, where one of the known formulas says it. A class that overrides `others` without
        this has none."""
        return None

    def reference(self, cos: Tensor, seen: Seen) -> Tensor:
        """What `others` is compared with, [n]: the target before any rule for theta + m past pi."""
        return self.target(cos, seen)

    def temperature(self, seen: Seen) -> float | Tensor:
        """The factor s before the cosines: a number or [n]."""
        if isinstance(self.scale, Learned):
            return seen.learned["scale"]
        return resolve(self.scale, seen)

    def offset(self, seen: Seen) -> Tensor | None:
        """A trained number that is added to every logit, [], or None. A softmax would not notice it."""
        return None

    def own_share(self, seen: Seen) -> float:
        """Of a binary loss, the weight of the own class's classifier; the others have 1 minus it."""
        return 0.5

    def factor(self, seen: Seen) -> float | Tensor:
        """What the softmax (or binary) part of the loss is multiplied with."""
        return 1.0

    def penalty(self, seen: Seen) -> Tensor | None:
        """A term that is added to each example's loss, [n], or None."""
        return None

    def advice(self, num_classes: int) -> list[str]:
        """Sentences about settings that cannot work well with this many classes."""
        return []

    def initial_learned(self, num_classes: int) -> dict[str, float]:
        """Scalars that the head trains, by name, with their first values."""
        return {"scale": self.scale.initial} if isinstance(self.scale, Learned) else {}

    def initial_state(self, num_classes: int) -> dict[str, Tensor]:
        """Running statistics that the head keeps, by name, with their first values (float32 scalars)."""
        return {}

    def update(self, state: Mapping[str, Tensor], seen: Seen) -> dict[str, Tensor]:
        """The running statistics after looking at a batch, before its loss is computed."""
        return dict(state)

    def update_after(self, state: Mapping[str, Tensor], rest: Tensor, seen: Seen) -> dict[str, Tensor]:
        """The running statistics after the sum over the classes is known. rest: [n], detached."""
        return dict(state)


@dataclass(frozen=True, kw_only=True)
class NormFace(Margin):
    """Softmax over scaled cosines: loss = -log softmax(s c)_y (Wang et al. 2017, arXiv 1704.06369).

    scale: a number, a schedule, or `Learned(initial)`.
    """


def normface_floor(num_classes: int, scale: float) -> float:
    """The lowest loss that normalised weights and embeddings can reach (NormFace, section 3.3).

    log(1 + (C - 1) exp(-s C / (C - 1))), in nats.
    """
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    exponent = -scale * num_classes / (num_classes - 1)
    return math.log1p((num_classes - 1) * math.exp(exponent))


def masked_mean(values: Tensor, valid: Tensor, otherwise: Tensor) -> Tensor:
    """The mean of the valid values in the dtype of `otherwise`, which is returned where none is valid."""
    count = valid.sum()
    mean = torch.where(valid, values, 0.0).sum() / count.clamp(min=1)
    return torch.where(count > 0, mean.to(otherwise), otherwise)


def masked_std(values: Tensor, valid: Tensor, otherwise: Tensor) -> Tensor:
    """The unbiased standard deviation of the valid values; `otherwise` where there are fewer than two."""
    count = valid.sum()
    mean = torch.where(valid, values, 0.0).sum() / count.clamp(min=1)
    square = torch.where(valid, (values - mean).square(), 0.0).sum() / (count - 1).clamp(min=1)
    return torch.where(count > 1, square.sqrt().to(otherwise), otherwise)


def masked_median(values: Tensor, valid: Tensor) -> Tensor:
    """The lower median of the valid values."""
    ordered = torch.where(valid, values, torch.inf).sort().values
    middle = (valid.sum() - 1).clamp(min=0) // 2
    return ordered.gather(0, middle[None]).squeeze(0)
