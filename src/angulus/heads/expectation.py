"""What loss a random network gives, so that the first lines of a log can be judged."""

import math

import torch

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
    emphasised = margin.others(others, margin.reference(own, seen)[:, None], seen)
    rest = (scale[:, None] * emphasised).logsumexp(1) + math.log((num_classes - 1) / drawn)
    losses = torch.logaddexp(rest - scale * margin.target(own, seen), torch.zeros_like(rest))
    penalty = margin.penalty(seen)
    total = losses * margin.factor(seen)
    return float((total if penalty is None else total + penalty).mean())
