"""The margin softmax itself: loss_i = logaddexp(s_i t_i, rest_i) - s_i t_i for any margin and any strategy.

And the second reduction, of binary losses: loss_i = p softplus(-own_i) + (1 - p) rest_i; see `angulus.margins.base`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from angulus.devices.copies import scalar, sent
from angulus.heads.strategies.cosine import LINEAR, unit
from angulus.heads.strategies.dense import Dense
from angulus.heads.strategies.problem import (
    Elementwise,
    Emphasised,
    Logits,
    Problem,
    Ranking,
    Strategy,
    Sweep,
    demands_of,
)
from angulus.heads.strategies.streamed import bound_of
from angulus.heads.strategies.updates import Mover
from angulus.margins import MarginName, margin_of
from angulus.margins.base import Margin, PerClass, PerSample, Seen

BATCH_AXES = "embeddings [n, d], weight [c, d] or [c, k, d], labels [n]"


def margin_softmax(
    embeddings: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: Margin | MarginName,
    *,
    bias: Tensor | None = None,
    learned: Mapping[str, Tensor] | None = None,
    state: Mapping[str, Tensor] | None = None,
    step: int = 0,
    strategy: Strategy | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Per-example losses [n] of a margin softmax; 0 where the label is -1.

    Args:
      embeddings: [n, d], of any length; the margin says whether the length matters.
      weight: [c, d], or [c, k, d] with k sub-centers per class of which the nearest counts.
      labels: [n] int64 in [0, c), or -1 for an example that belongs to no class.
      margin: a margin, or its name with its defaults; see `angulus.margins`.
      bias: [c], added to the logits (L2-constrained softmax).
      learned: trained scalars of the margin by name; default: their first values.
      state: running statistics of the margin by name; default: their first values. They are used as they are.
      step: the optimizer step, for schedules.
      strategy: how the classes are summed; default `Dense()`.
      label_smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016).

    Half-precision inputs are computed in float32. Raises ValueError for shapes or labels that do not fit.
    """
    margin = margin_of(margin)
    check_shapes(embeddings, weight, labels, bias)
    check_smoothing(label_smoothing)
    check_reduction(margin, None, label_smoothing)
    num_classes = weight.shape[0]
    if labels.device.type == "cpu":
        check_labels(labels, num_classes)
    embeddings, weight, bias = (as_float(tensor) for tensor in (embeddings, weight, bias))
    if learned is None:
        learned = {name: scalar(value, embeddings) for name, value in margin.initial_learned(num_classes).items()}
    if state is None:
        state = {name: sent(value, embeddings.device) for name, value in margin.initial_state(num_classes).items()}
    with torch.autocast(embeddings.device.type, enabled=False):
        batch = start(embeddings, weight, labels, margin, strategy or Dense(), step)
        seen = replace(batch.seen, step=step, state=state, learned=learned)
        return finish(replace(batch, seen=seen), margin, bias, label_smoothing=label_smoothing).losses


@dataclass(frozen=True)
class Batch:
    """A batch whose own cosines are known."""

    sweep: Sweep
    valid: Tensor
    seen: Seen


@dataclass(frozen=True)
class Summed:
    """losses: [n] per example.  rest: [n], the sum over the other classes, see `Sums`.  balance: see `balance_of`."""

    losses: Tensor
    rest: Tensor
    balance: Tensor


def start(
    embeddings: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    strategy: Strategy,
    step: int = 0,
    mover: Mover | None = None,
) -> Batch:
    """Everything before the sum over the classes."""
    norms = torch.linalg.vector_norm(embeddings, dim=-1)
    return begin(unit(embeddings), norms, weight, labels, margin, strategy, weight.shape[0], step, mover)


def begin(
    units: Tensor,
    norms: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    strategy: Strategy,
    num_classes: int,
    step: int = 0,
    mover: Mover | None = None,
) -> Batch:
    """`start` for embeddings that are already split into directions [n, d] and lengths [n]."""
    check_trained_values(margin, strategy)
    check_demands(margin, strategy)
    blocks = weight if weight.ndim == 3 else weight[:, None]
    problem = Problem(units, blocks, labels, margin.free_weights, step, demands=demands_of(margin))
    if mover is not None:
        problem = replace(problem, move=mover.move, mover=mover, refresh=mover.refresh)
    sweep = strategy.sweep(problem)
    seen = Seen.of(
        sweep.own(),
        norms=norms,
        labels=labels,
        num_classes=num_classes,
        hardest=sweep.hardest() if margin.needs_hardest else None,
    )
    return Batch(sweep, labels >= 0, seen)


def finish(
    batch: Batch,
    margin: Margin,
    bias: Tensor | None,
    own_bias: Tensor | None = None,
    filter_above: float | None = None,
    label_smoothing: float = 0.0,
) -> Summed:
    """The sum over the classes and the losses.

    own_bias: [n], where `bias` is not that of all classes.  filter_above, label_smoothing: see `MarginHead`.

    With smoothing e the target is 1 - e + e / C on the own class and e / C on every other, so that the loss is
    logsumexp(all) - (1 - e + e / C) own - e / C total; C is the number of classes that are summed over.
    """
    seen = batch.seen
    logits = logits_of(margin, seen, bias, filter_above)
    if margin.ranked:
        logits = replace(logits, nearest=emphasised(batch.sweep, margin, seen, filter_above))
    sums = batch.sweep.sums(logits, total=label_smoothing > 0)
    cos, rest = sums.own, sums.rest
    own = logits.scale * shaped(cos, margin.target(cos, seen), margin)
    if bias is not None:
        own = own + (bias[seen.labels] if own_bias is None else own_bias)
    if logits.offset is not None:
        own = own + logits.offset
    if logits.binary:
        share = margin.own_share(seen)
        losses = share * softplus(-own, threshold=LINEAR) + (1.0 - share) * rest
    else:
        losses = torch.logaddexp(rest - own, torch.zeros_like(own))
    if sums.total is not None:
        losses = losses + label_smoothing * (own - (own + sums.total) / sums.count)
    losses = losses * margin.factor(seen)
    penalty = margin.penalty(seen)
    losses = losses if penalty is None else losses + penalty
    certain = torch.sigmoid(own if logits.binary else own - rest)
    balance = balance_of(cos.detach(), own.detach(), certain.detach(), logits.scale.detach())
    return Summed(torch.where(batch.valid, losses, 0.0), rest, balance)


def balance_of(cos: Tensor, own: Tensor, certain: Tensor, scale: Tensor) -> Tensor:
    """How a softmax stands, [3, n] in float32: the share of its mass on the own class (of a binary loss what the own
    class's classifier says), the scale, and by how much the margin (with a bias, where there is one) lowers the own
    logit.

    cos, own, certain: [n] own cosines, own logits, that share.  scale: [] or [n].
    """
    return torch.stack([certain, scale.expand_as(own), scale * cos - own]).float()


def logits_of(margin: Margin, seen: Seen, bias: Tensor | None, filter_above: float | None = None) -> Logits:
    """How a margin turns the cosines of other classes into logits."""
    temperature = margin.temperature(seen)
    reference = margin.reference(seen.cos_target, seen).detach()[:, None]
    formula = margin.formula(seen) if margin.reshapes_others else None
    known = formula is not None or not margin.reshapes_others
    offset = margin.offset(seen)

    def emphasis(cos: Tensor) -> Tensor:
        others = shaped(cos, margin.others(cos, reference, seen), margin)
        return others if filter_above is None else torch.where(cos.detach() > filter_above, 0.0, others)

    return Logits(
        scale=scalar(temperature, reference),
        bias=bias,
        emphasis=emphasis if margin.reshapes_others or filter_above is not None else None,
        elementwise=Elementwise(formula, reference[:, 0], margin.gradient != "exact", filter_above) if known else None,
        # a bias may take logits anywhere
        limit=None if margin.free_weights or margin.reshapes_others or bias is not None else bound_of(temperature, 1.0),
        binary=margin.reduction == "binary",
        offset=None if offset is None else scalar(offset, reference),
    )


def emphasised(sweep: Sweep, margin: Margin, seen: Seen, filter_above: float | None) -> Emphasised:
    """The nearest classes of each example and what becomes of them; what the filter leaves out is not ranked."""
    assert isinstance(sweep, Ranking)

    def emphasis(cos: Tensor) -> Tensor:
        return shaped(cos, margin.nearest(cos, seen), margin)

    return Emphasised(sweep.nearest(margin.ranked, filter_above).classes, emphasis)


def shaped(cos: Tensor, value: Tensor, margin: Margin) -> Tensor:
    """value with the gradient that the margin asks for."""
    if margin.gradient == "exact" or value is cos:
        return value
    return cos + (value - cos).detach()


def as_float(tensor: Tensor | None) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    if tensor is None or tensor.dtype in (torch.float32, torch.float64):
        return tensor  # pyrefly: ignore[bad-return]
    return tensor.float()


def check_trained_values(margin: Margin, strategy: Strategy) -> None:
    """Raise ValueError where the gradient of a margin's own values would miss its part through the other classes."""
    if isinstance(strategy, Dense) or not margin.reshapes_others:
        return
    for name, value in vars(margin).items():
        values = value.values if isinstance(value, (PerClass, PerSample)) else None
        if isinstance(values, Tensor) and values.requires_grad:
            raise ValueError(
                f"{name!r} of {margin.kind} must not require a gradient unless the strategy is Dense, because the "
                "margin also changes the other classes with it; detach it"
            )


def check_demands(margin: Margin, strategy: Strategy) -> None:
    """Raise ValueError where a strategy does not answer what the margin asks."""
    missing = [demand for demand in demands_of(margin) if demand not in getattr(strategy, "answers", ())]
    if missing:
        wanted = {
            "nearest": f"needs the {margin.ranked} nearest classes of each example",
            "binary": "is a binary loss, a sum over one classifier for each class",
        }
        raise ValueError(
            f"{margin.kind} {wanted[missing[0]]}, which the strategy {type(strategy).__name__} does not give; use "
            "dense, streamed or auto (head.strategy=auto)"
        )


def check_reduction(margin: Margin, filter_above: float | None, label_smoothing: float) -> None:
    """Raise ValueError for what has a meaning in a softmax alone."""
    for name, is_given in (("filter_above", filter_above is not None), ("label_smoothing", label_smoothing > 0)):
        if is_given and margin.reduction == "binary":
            raise ValueError(
                f"{name} is of a softmax, and {margin.kind} is a binary loss: leave head.{name} out, or use another "
                "margin"
            )


def check_smoothing(value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"label_smoothing must be at least 0 and below 1, got {value}")


def check_shapes(embeddings: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None) -> None:
    """Raise ValueError unless the shapes and types fit together."""
    for name, value in (("embeddings", embeddings), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a torch tensor, got {type(value).__name__}; use torch.as_tensor({name})")
    if embeddings.ndim != 2 or weight.ndim not in (2, 3) or labels.ndim != 1:
        shapes = f"{list(embeddings.shape)}, {list(weight.shape)}, {list(labels.shape)}"
        raise ValueError(f"margin softmax needs {BATCH_AXES}; got shapes {shapes}")
    if embeddings.device != weight.device:
        raise ValueError(f"embeddings are on {embeddings.device} and the class weights on {weight.device}; move one")
    if embeddings.dtype == torch.float64 and weight.dtype != torch.float64:
        raise ValueError(
            f"embeddings are torch.float64 and the class weights {weight.dtype}; use embeddings.float() or "
            "head.double()"
        )
    if embeddings.shape[1] != weight.shape[-1]:
        raise ValueError(f"embeddings have {embeddings.shape[1]} dimensions, the class weights {weight.shape[-1]}")
    if len(embeddings) != len(labels):
        raise ValueError(f"there are {len(embeddings)} embeddings but {len(labels)} labels")
    if labels.dtype != torch.int64:
        raise ValueError(f"labels must be int64, got {labels.dtype}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must have one value for each of {len(weight)} classes, got shape {list(bias.shape)}")


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise ValueError if a label is outside -1 .. num_classes - 1 (reads the labels: CPU tensors only)."""
    outside = (labels < -1) | (labels >= num_classes)
    if outside.any():
        position = int(outside.nonzero()[0])
        raise ValueError(
            f"labels must be between 0 and {num_classes - 1} (or -1 for no class), "
            f"got {int(labels[position])} at position {position} of the batch"
        )
