"""Between which losses a run can move: that of a random network, and the least that its scale and margin allow."""

import math
from typing import Any

import torch

from angulus.heads import MarginHead, SeparateHeads, each_head, expected_initial_loss
from angulus.margins.base import Seen


def softmax_facts(head: MarginHead | SeparateHeads, embedding_dim: int, steps: int) -> dict[str, Any]:
    """first_loss and least_loss in nats, and best_mass: the share of the softmax on the own class at the least loss.
    Of a binary loss no best_mass: it has no softmax.

    Of the largest head, where there are several. Nothing for free weights, whose logits have no bound.
    """
    _, one, classes = max(each_head(head), key=lambda found: len(found[2]))
    margin, count = one.margin, len(classes)
    facts: dict[str, Any] = {
        "classes": count,
        "margin": margin.kind,
        "free": margin.free_weights,
        "reduction": margin.reduction,
    }
    if count < 2 or margin.free_weights:
        return facts
    first = expected_initial_loss(margin, count, embedding_dim)
    mass, least, scale = best_of(one, count, embedding_dim, steps)
    best = {} if mass is None else {"best_mass": mass}
    return {**facts, "first_loss": first, "least_loss": least, **best, "scale": scale}


def best_of(head: MarginHead, count: int, embedding_dim: int, step: int) -> tuple[float | None, float, float]:
    """Mass, loss and scale where every embedding lies on its class weight and the weights are as far apart as can be.

    That far apart are C directions at a cosine of -1 / (C - 1), if there are at most d + 1; more of them in d
    dimensions come to about 0.
    """
    margin = head.margin
    state = {name: value.detach().cpu() for name, value in head.state.items()}
    learned = {name: value.detach().cpu() for name, value in head.learned.items()}
    own = torch.ones(1)
    norms = torch.full((1,), math.sqrt(embedding_dim))
    apart = -1.0 / (count - 1) if count <= embedding_dim + 1 else 0.0
    hardest = torch.full((1,), apart)
    labels = torch.zeros(1, dtype=torch.int64)
    seen = Seen.of(
        own, norms=norms, labels=labels, num_classes=count, step=step, state=state, learned=learned, hardest=hardest
    )
    scale = torch.as_tensor(margin.temperature(seen)).flatten()[0]
    if margin.reduction == "binary":
        other = margin.others(hardest[:, None], margin.reference(own, seen)[:, None], seen)[0, 0]
        pulls = float(scale * margin.target(own, seen)[0]), float(scale * other)
        return None, least_binary(*pulls, count, margin.own_share(seen)) * float(margin.factor(seen)), float(scale)
    logit = float(scale * margin.target(own, seen)[0] - scale * apart)
    return 1 / (1 + (count - 1) * math.exp(-logit)), math.log1p((count - 1) * math.exp(-logit)), float(scale)


def least_binary(own: float, other: float, count: int, share: float) -> float:
    """The least of share softplus(-own - b) + (1 - share) (count - 1) softplus(other + b) over the bias b."""
    low, high = -abs(own) - abs(other) - 100.0, abs(own) + abs(other) + 100.0
    for _ in range(80):
        bias = (low + high) / 2
        rises = (1 - share) * (count - 1) * sigmoid(other + bias) > share * sigmoid(-own - bias)
        low, high = (low, bias) if rises else (bias, high)
    return share * softplus(-own - low) + (1 - share) * (count - 1) * softplus(other + low)


def sigmoid(value: float) -> float:
    return math.exp(-softplus(-value))


def softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
