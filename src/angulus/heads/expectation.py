"""What loss a random network gives, so that the first lines of a log can be judged."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from angulus.margins.base import Margin, Seen


def expected_initial_loss(
    margin: Margin, num_classes: int, embedding_dim: int, *, norm: float | None = None, step: int = 0
) -> float:
    """The mean loss in nats for embeddings and class weights in random directions.

    The cosines of random directions are normal with variance 1 / d. 256 examples against at most 4096 classes are
    drawn; the log of the sum is then raised to the full class count.
    norm: length of the embeddings where it matters (SphereFace, plain softmax); default sqrt(d).
    """
    if num_classes < 2:
        return 0.0
    generator = torch.Generator().manual_seed(0)
    drawn = min(num_classes - 1, 4096)
    spread = embedding_dim**-0.5
    own = (torch.randn(256, generator=generator, dtype=torch.float64) * spread).clamp(-1, 1)
    others = (torch.randn(256, drawn, generator=generator, dtype=torch.float64) * spread).clamp(-1, 1)
    norms = torch.full_like(own, math.sqrt(embedding_dim) if norm is None else norm)
    state = {name: value.double() for name, value in margin.initial_state(num_classes).items()}
    first = {name: torch.tensor(value).double() for name, value in margin.initial_learned(num_classes).items()}
    seen = Seen.of(
        own,
        norms=norms,
        num_classes=num_classes,
        step=step,
        state=state,
        learned=first,
        hardest=others.amax(1),
    )
    scale = torch.as_tensor(margin.temperature(seen), dtype=own.dtype).expand(256)
    target = scale * margin.target(own, seen)
    emphasised = margin.others(others, margin.reference(own, seen)[:, None], seen)
    logits = scale[:, None] * (with_nearest(margin, others, emphasised, seen) if margin.ranked else emphasised)
    offset = margin.offset(seen)
    if offset is not None:
        target, logits = target + offset, logits + offset
    more = (num_classes - 1) / drawn
    if margin.reduction == "binary":
        share = margin.own_share(seen)
        losses = share * softplus(-target) + (1.0 - share) * more * softplus(logits).sum(1)
    else:
        losses = torch.logaddexp(logits.logsumexp(1) + math.log(more) - target, torch.zeros_like(target))
    penalty = margin.penalty(seen)
    total = losses * margin.factor(seen)
    return float((total if penalty is None else total + penalty).mean())


def with_nearest(margin: Margin, cos: Tensor, emphasised: Tensor, seen: Seen) -> Tensor:
    """emphasised [n, c] with what the margin makes of the nearest classes at the largest cosines [n, c]."""
    nearest, places = cos.topk(min(margin.ranked, cos.shape[1]), dim=1)
    return emphasised.scatter(1, places, margin.nearest(nearest, seen))
