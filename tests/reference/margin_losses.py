"""Naive float64 oracles of the margin losses: each published formula, one example and one class at a time.

A rule gets the cosines of one example to all classes (a list of scalars), its label and its feature norm, and gives
the target value T and the list of the other classes' values N (label left out), both before the scale:

    loss_i = log( exp(s T) + sum_j exp(s N_j) ) - s T

Gradients come from autograd through acos and cos, so these functions are no use at cosines of exactly -1 and 1.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Rule = Callable[[list[Tensor], int, Tensor], tuple[Tensor, list[Tensor]]]


def losses(
    embeddings: Tensor,
    weight: Tensor,
    labels: Sequence[int],
    rule: Rule | Sequence[Rule],
    *,
    scale: float | Tensor | None,
    bias: Tensor | None = None,
    free_weights: bool = False,
    straight_through: bool = False,
    factor: float = 1.0,
    penalty: Callable[[Tensor], Tensor] | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Loss of each example, [n]; scale None means the feature norm; a list of rules gives each example its own.

    label_smoothing: the cross entropy with a target that has this share spread evenly over all classes.
    """
    out = []
    for i, label in enumerate(labels):
        norm = embeddings[i].pow(2).sum().sqrt()
        if label == -1:
            out.append(torch.zeros((), dtype=torch.float64))
            continue
        cos = [class_cosine(embeddings[i] / norm, w, free_weights) for w in weight]
        own_rule = rule[i] if isinstance(rule, Sequence) else rule
        target, others = own_rule(cos, label, norm)
        if straight_through:
            target = straight(target, cos[label])
            others = [straight(n, c) for n, c in zip(others, rest(cos, label), strict=True)]
        s = norm if scale is None else scale
        z_target, z_others = s * target, [s * n for n in others]
        if bias is not None:
            z_target = z_target + bias[label]
            z_others = [z + b for z, b in zip(z_others, rest(list(bias), label), strict=True)]
        logits = torch.stack([z_target, *z_others])
        shares = torch.full_like(logits, label_smoothing / len(logits))
        shares[0] += 1 - label_smoothing
        loss = factor * -(shares * logits.log_softmax(0)).sum()
        out.append(loss if penalty is None else loss + penalty(norm))
    return torch.stack(out) if out else torch.zeros(0, dtype=torch.float64)


def class_cosine(unit: Tensor, w: Tensor, free_weights: bool) -> Tensor:
    """Cosine to one class: w is [d], or [k, d] with the nearest of k sub-centers; free weights keep their length."""
    centers = [w] if w.ndim == 1 else list(w)
    values = [(unit * v).sum() if free_weights else (unit * v / v.pow(2).sum().sqrt()).sum() for v in centers]
    return values[max(range(len(values)), key=lambda k: values[k].item())]


def straight(value: Tensor, cos: Tensor) -> Tensor:
    """The value forward, the slope of the plain cosine backward."""
    return value.detach() + (cos - cos.detach())


def rest(values: list[Tensor], label: int) -> list[Tensor]:
    return [v for j, v in enumerate(values) if j != label]


# ---- the losses, in the order of the papers' families


def normface(cos: list[Tensor], y: int, norm: Tensor) -> tuple[Tensor, list[Tensor]]:
    return cos[y], rest(cos, y)


def amsoftmax(cos: list[Tensor], y: int, norm: Tensor, *, m: float) -> tuple[Tensor, list[Tensor]]:
    return cos[y] - m, rest(cos, y)


def arc_target(c: Tensor, m: float, overflow: str) -> Tensor:
    """cos(theta + m), and the named rule once theta + m is past pi."""
    theta = torch.acos(c)
    inside = torch.cos(theta + m)
    if overflow == "easy":
        return inside if c.item() > 0 else c
    if theta.item() + m <= math.pi or overflow == "none":
        return inside
    if overflow == "continuous":
        return c - (1 - math.cos(m))
    if overflow == "linear":
        return c - m * math.sin(m)
    if overflow == "clip":
        return torch.full_like(c, -1.0) + 0 * c
    assert overflow == "mirror", overflow
    return -inside - 2


def arcface(
    cos: list[Tensor], y: int, norm: Tensor, *, m: float, overflow: str = "continuous"
) -> tuple[Tensor, list[Tensor]]:
    return arc_target(cos[y], m, overflow), rest(cos, y)


def combined(
    cos: list[Tensor], y: int, norm: Tensor, *, m1: float, m2: float, m3: float, overflow: str = "continuous"
) -> tuple[Tensor, list[Tensor]]:
    angle = m1 * torch.acos(cos[y]) + m2
    if angle.item() <= math.pi or overflow == "none":
        target = torch.cos(angle)
    elif overflow == "continuous":
        target = -1 + (cos[y] - math.cos((math.pi - m2) / m1))
    elif overflow == "clip":
        target = 0 * cos[y] - 1
    else:
        assert overflow == "mirror", overflow
        target = -torch.cos(angle) - 2
    return target - m3, rest(cos, y)


def psi(c: Tensor, m: float) -> Tensor:
    theta = torch.acos(c)
    k = math.floor(m * theta.item() / math.pi)
    return (-1) ** k * torch.cos(m * theta) - 2 * k


def sphereface(
    cos: list[Tensor], y: int, norm: Tensor, *, m: float, annealing: float = 0.0
) -> tuple[Tensor, list[Tensor]]:
    return (annealing * cos[y] + psi(cos[y], m)) / (1 + annealing), rest(cos, y)


def sphereface_r(cos: list[Tensor], y: int, norm: Tensor, *, version: str, m: float) -> tuple[Tensor, list[Tensor]]:
    if version == "v0":
        return psi(cos[y], m), rest(cos, y)
    if version == "v1":
        return torch.cos(torch.clamp(m * torch.acos(cos[y]), max=math.pi)), rest(cos, y)
    assert version == "v2", version
    return cos[y], [torch.cos(torch.acos(c) / m) for c in rest(cos, y)]


def amm(
    cos: list[Tensor],
    y: int,
    norm: Tensor,
    *,
    m: float,
    t: float,
    rule: str = "constant",
    side: str = "negative",
    hard: str = "margin",
    slope: float = 1.0,
    overflow: str = "continuous",
) -> tuple[Tensor, list[Tensor]]:
    theta_y = torch.acos(cos[y]).item()
    border = math.cos(theta_y + m) if hard == "margin" else math.cos(theta_y)
    others, hard_shifts = [], [0.0]
    for c in rest(cos, y):
        theta = torch.acos(c)
        shift = max(slope * (theta_y + m - theta.item()), 0.0) if rule == "violation" else t
        is_hard = c.item() > border
        hard_shifts.append(shift if is_hard else 0.0)
        emphasised = is_hard and side in ("negative", "both")
        others.append(torch.cos(torch.clamp(theta - shift, min=0.0)) if emphasised else c)
    extra = max(hard_shifts) if side in ("positive", "both") else 0.0
    return arc_target(cos[y], m + extra, overflow), others


def mv_softmax(
    cos: list[Tensor],
    y: int,
    norm: Tensor,
    *,
    base: str,
    m: float,
    t: float,
    emphasis: str = "adaptive",
    easy: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    if base == "am":
        border = cos[y].item() - m
        target = cos[y] - m
    else:
        border = math.cos(torch.acos(cos[y]).item() + m)
        target = arc_target(cos[y], m, "continuous")
    if easy and cos[y].item() <= 0:
        target = cos[y]
    others = []
    for c in rest(cos, y):
        raised = (1 + t) * c + t if emphasis == "adaptive" else c + t
        others.append(raised if c.item() > border else c)
    return target, others


def curricularface(
    cos: list[Tensor], y: int, norm: Tensor, *, m: float, t: float, overflow: str = "linear"
) -> tuple[Tensor, list[Tensor]]:
    border = math.cos(torch.acos(cos[y]).item() + m)
    others = [c * (t + c) if c.item() > border else c for c in rest(cos, y)]
    return arc_target(cos[y], m, overflow), others


def adaface(
    cos: list[Tensor], y: int, norm: Tensor, *, m: float, h: float, mean: float, std: float
) -> tuple[Tensor, list[Tensor]]:
    clipped = min(max(norm.item(), 1e-3), 100.0)
    z = min(max((clipped - mean) / (std + 1e-3) * h, -1.0), 1.0)
    angle = torch.clamp(torch.acos(cos[y]) - m * z, 1e-3, math.pi - 1e-3)
    return torch.cos(angle) - (m + m * z), rest(cos, y)


def magface(
    cos: list[Tensor],
    y: int,
    norm: Tensor,
    *,
    lower_norm: float,
    upper_norm: float,
    lower_m: float,
    upper_m: float,
    overflow: str = "continuous",
) -> tuple[Tensor, list[Tensor]]:
    a = torch.clamp(norm, lower_norm, upper_norm)
    m = lower_m + (upper_m - lower_m) * (a - lower_norm) / (upper_norm - lower_norm)
    target = torch.cos(torch.acos(cos[y]) + m)
    if torch.acos(cos[y]).item() + m.item() > math.pi:
        assert overflow == "continuous", overflow
        target = cos[y] - (1 - torch.cos(m))
    return target, rest(cos, y)


def magface_penalty(norm: Tensor, *, lower_norm: float, upper_norm: float, norm_weight: float) -> Tensor:
    a = torch.clamp(norm, lower_norm, upper_norm)
    return norm_weight * (1 / a + a / upper_norm**2)


def circle(cos: list[Tensor], y: int, norm: Tensor, *, m: float) -> tuple[Tensor, list[Tensor]]:
    """The weights in front of the brackets are constants for the gradient."""
    target = max(1 + m - cos[y].item(), 0.0) * (cos[y] - (1 - m))
    return target, [max(c.item() + m, 0.0) * (c - m) for c in rest(cos, y)]


def inter_topk(
    cos: list[Tensor], y: int, norm: Tensor, *, m: float, m_prime: float, k: int, overflow: str = "continuous"
) -> tuple[Tensor, list[Tensor]]:
    """The k other classes of the largest cosines are moved nearer by an angle."""
    nearest = sorted((j for j in range(len(cos)) if j != y), key=lambda j: -cos[j].item())[:k]
    moved = [torch.cos(torch.clamp(torch.acos(c) - m_prime, min=0.0)) if j in nearest else c for j, c in enumerate(cos)]
    return arc_target(cos[y], m, overflow), rest(moved, y)


# ---- binary losses: a classifier for each class, and no softmax


def sphereface2(
    embeddings: Tensor,
    weight: Tensor,
    labels: Sequence[int],
    *,
    version: str,
    m: float,
    t: float,
    share: float,
    scale: Sequence[float] | Tensor,
    bias: Tensor,
    straight_through: bool,
    loss_weight: float | None,
) -> Tensor:
    """Loss of each example, [n]. scale: [n], or one number as a tensor."""
    out = []
    for i, label in enumerate(labels):
        s = scale if isinstance(scale, Tensor) else scale[i]
        total = torch.zeros((), dtype=torch.float64)
        for j, w in enumerate(weight):
            if label == -1:
                continue
            c = class_cosine(embeddings[i] / embeddings[i].pow(2).sum().sqrt(), w, False)
            value = binary_similarity(c, version, m, t, is_own=j == label)
            logit = s * (straight(value, c) if straight_through else value) + bias
            pull = share * log_one_plus_exp(-logit) if j == label else (1 - share) * log_one_plus_exp(logit)
            total = total + pull
        number = s.item() if isinstance(s, Tensor) else s
        out.append(total * (1.0 if loss_weight is None else loss_weight / number))
    return torch.stack(out)


def binary_similarity(c: Tensor, version: str, m: float, t: float, *, is_own: bool) -> Tensor:
    """The similarity of version C, A or M after the margin."""
    if version == "C":
        return 2 * ((c + 1) / 2) ** t - 1 + (-m if is_own else m)
    if is_own:
        angle = torch.acos(c) + m if version == "A" else m * torch.acos(c)
        c = torch.cos(torch.clamp(angle, max=math.pi))
    return 2 * ((c + 1) / 2) ** t - 1


def log_one_plus_exp(x: Tensor) -> Tensor:
    return torch.log1p(torch.exp(x)) if x.item() < 0 else x + torch.log1p(torch.exp(-x))


# ---- running statistics and constants


def adaface_statistics(mean: float, std: float, norms: Sequence[float], momentum: float) -> tuple[float, float]:
    clipped = [min(max(v, 1e-3), 100.0) for v in norms]
    average = sum(clipped) / len(clipped)
    spread = math.sqrt(sum((v - average) ** 2 for v in clipped) / (len(clipped) - 1))
    return momentum * average + (1 - momentum) * mean, momentum * spread + (1 - momentum) * std


def running_cosine(t: float, own_cosines: Sequence[float], momentum: float) -> float:
    """The CurricularFace statistic t after one batch."""
    return momentum * sum(own_cosines) / len(own_cosines) + (1 - momentum) * t


def adacos_scale(scale: float, rows: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    """The dynamic scale that one batch of cosines [n][c] gives, from the scale before it."""
    sums = [sum(math.exp(scale * c) for j, c in enumerate(row) if j != y) for row, y in zip(rows, labels, strict=True)]
    angles = sorted(math.acos(row[y]) for row, y in zip(rows, labels, strict=True))
    lower_median = angles[(len(angles) - 1) // 2]
    return math.log(sum(sums) / len(sums)) / math.cos(min(math.pi / 4, lower_median))
