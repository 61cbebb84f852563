"""How many bytes a training step of a head takes, from its sizes alone.

With W = 4 C K D bytes of class weights, L = 4 N C of logits, and c, R the same two for one chunk of classes:

    dense      W + max(4 W, 5.25 L)                             normalised weights and their gradient; logits five times
    streamed   W + what is stashed + 4 c K + R / 2 ...          the gradient, the stash, a few matrices of one chunk
    moved      what is stashed + 4 c K + R ...                  no gradient; the rows of one chunk
    panels     W + what is stashed + the buffers of one panel; see `angulus.heads.kernels.panel_sizes`
    fused      W + a panel of 128 MiB and sums of some N x D
    sampled    as what sums the sample, for a copy of the sampled rows

The counts come from a look at every allocation of a step; `benchmarks/head_memory.py` compares the sums with measured
steps. Float32 throughout, as the heads compute.
"""

from dataclasses import dataclass, replace

import torch

from angulus.heads.auto import Auto, Device, exact
from angulus.heads.kernels.fused import Fused
from angulus.heads.kernels.launches import PANEL_BYTES, whole_steps, width_of
from angulus.heads.kernels.panel_sizes import panel_bytes
from angulus.heads.kernels.panels import Panels
from angulus.heads.sampled import Inner, Sampled
from angulus.heads.strategies.dense import Dense
from angulus.heads.strategies.problem import Strategy, demands_of
from angulus.heads.strategies.streamed import Streamed, kept_bytes
from angulus.heads.strategies.updates import REFRESHED_TOGETHER, RowRule, RowSGD
from angulus.margins.base import Learned, Margin

FLOAT = 4
# Matrices that a margin which reshapes other classes takes while it does: about the most of those in `MARGINS`.
EMPHASIS_DENSE, EMPHASIS_STREAMED = 5, 6


@dataclass(frozen=True, kw_only=True)
class HeadSize:
    """What the memory of a head depends on, besides strategy and optimizer.

    classes, examples: of this process, or of all together where `head_memory` is told how many share them.
    free: weights that are not normalised.  bias: one number a class.  reshapes: the margin changes other classes.
    trained_scale: the scale has a gradient (learned, or the length of the embedding).
    on_cuda: products of bfloat16 come out in float32, and the optimizer takes all tensors at once.
    known: where other classes are reshaped, whether kernels know how.
    plain: whether the margin asks nothing that kernels do not answer.
    """

    classes: int
    dim: int
    examples: int
    subcenters: int = 1
    free: bool = False
    bias: bool = False
    reshapes: bool = False
    trained_scale: bool = False
    on_cuda: bool = False
    known: bool = True
    plain: bool = True

    @property
    def weight_bytes(self) -> int:
        return FLOAT * self.classes * self.subcenters * self.dim

    @property
    def logit_bytes(self) -> int:
        """One matrix of examples times classes."""
        return FLOAT * self.classes * self.examples


@dataclass(frozen=True, kw_only=True)
class HeadMemory:
    """Bytes of one process.

    weights, gradient, optimizer_state: of the class weights (and the bias).  logits: what is kept from forward to
    backward.  working: what comes and goes in forward and backward.  moving: the same in the optimizer's step.
    """

    weights: int
    gradient: int
    optimizer_state: int
    logits: int
    working: int
    moving: int

    @property
    def lasting(self) -> int:
        """What lives between steps."""
        return self.weights + self.optimizer_state

    @property
    def step(self) -> int:
        """The most that a step takes beyond that."""
        return self.gradient + max(self.logits + self.working, self.moving)

    @property
    def total(self) -> int:
        return self.lasting + self.step


def size_of(
    margin: Margin, *, classes: int, dim: int, examples: int, subcenters: int = 1, on_cuda: bool = False
) -> HeadSize:
    """The size of a head with a margin."""
    learned = isinstance(margin.scale, Learned) or type(margin).temperature is not Margin.temperature
    return HeadSize(
        classes=classes,
        dim=dim,
        examples=examples,
        subcenters=subcenters,
        free=margin.free_weights,
        bias=margin.has_bias,
        reshapes=margin.reshapes_others,
        trained_scale=learned,
        on_cuda=on_cuda,
        known=not margin.reshapes_others or type(margin).formula is not Margin.formula,
        plain=not demands_of(margin),
    )


def head_memory(
    size: HeadSize, strategy: Strategy, rule: RowRule, *, moved: bool, world: int = 1, accumulating: bool = False
) -> HeadMemory:
    """The memory of a head.

    Args:
      size: of the head; where it is sharded, all classes and the global batch.
      strategy: another than those above (a user's own) is taken for `Streamed(mode="recompute")`.
      rule: the optimizer's, also where the weights move outside of the backward pass.
      moved: whether they move inside it.
      world: over how many processes the classes are divided.
      accumulating: whether gradients of micro-batches are added up, for which two are there at a time.
    """
    size = replace(size, classes=-(-size.classes // world))
    row = torch.empty(1, size.dim, device="meta")
    state = sum(value.numel() for value in rule.initial(row).values()) / size.dim
    touched = 8 * size.classes * size.subcenters if moved else 0
    step = step_of(size, strategy, state, moved_copies(rule) if moved else None)
    bias = FLOAT * size.classes if size.bias else 0
    return replace(
        step,
        weights=size.weight_bytes + bias,
        gradient=step.gradient + bias,
        optimizer_state=round(state * (size.weight_bytes + bias)) + touched,
        working=step.working + (size.weight_bytes if accumulating and not moved else 0),
        moving=0 if moved else update_copies(rule, on_cuda=size.on_cuda) * size.weight_bytes,
    )


def step_of(size: HeadSize, strategy: Strategy, state: float, moved: float | None) -> HeadMemory:
    """Gradient, logits and working memory. state: numbers a weight.  moved: copies of a chunk's rows, None outside."""
    if isinstance(strategy, Auto):
        device = Device(kernels=size.on_cuda and size.plain)
        strategy = exact(size.classes * size.subcenters, size.examples, moved=moved is not None, device=device)
    if isinstance(strategy, Dense):
        return dense(size)
    if isinstance(strategy, Sampled):
        return sampled(size, strategy, state, moved)
    return in_parts(size, strategy, moved)


def in_parts(size: HeadSize, strategy: Strategy, moved: float | None) -> HeadMemory:
    """The same for what looks at some classes at a time."""
    if isinstance(strategy, Panels):
        return panels(size, strategy, moved)
    if isinstance(strategy, Fused) and size.on_cuda and not size.reshapes and width_of(size.dim) <= 512:
        return fused(size, strategy, moved)
    if isinstance(strategy, Fused):  # the kernels do not sum this
        small = strategy.products == "bfloat16"
        strategy = replace(strategy.fallback, products="bfloat16" if small else "float32")
    return streamed(size, strategy if isinstance(strategy, Streamed) else Streamed(mode="recompute"), moved)


def parts(gradient: float, logits: float, working: float) -> HeadMemory:
    return HeadMemory(
        weights=0,
        gradient=round(gradient),
        optimizer_state=0,
        logits=round(logits),
        working=round(working),
        moving=0,
    )


def dense(size: HeadSize) -> HeadMemory:
    weights, logits = size.weight_bytes, size.logit_bytes
    several = size.subcenters > 1
    unit = 0 if size.free else weights
    kept = 2.25 * logits + (2.0 * logits if several else 0.0)  # cosines, logits, a mask; which sub-center (int64)
    softmax = unit + 3.0 * logits + kept + logits * size.trained_scale + EMPHASIS_DENSE * logits * size.reshapes
    products = unit + weights + size.subcenters * logits + (3.0 * logits if several else 0.0)
    lengths = weights if size.free else 5.0 * weights
    peak = max(softmax, products, lengths, weights + kept)
    return parts(weights, kept, peak - weights - kept)


def streamed(size: HeadSize, strategy: Streamed, moved: float | None) -> HeadMemory:
    plain = not size.reshapes and not size.trained_scale
    classes, on_cuda, examples = size.classes, size.on_cuda, size.examples
    keep = strategy.keeps_of(classes, size.subcenters, examples, size.dim, plain=plain, element=FLOAT, on_cuda=on_cuda)
    chunk = strategy.chunk_of(examples, size.dim, size.subcenters, on_cuda=on_cuda)
    one = FLOAT * min(chunk, classes) * examples
    rows = FLOAT * min(chunk, classes) * size.subcenters * size.dim
    products = one * size.subcenters
    several = size.subcenters > 1
    if keep == "exponentials":
        working = max(rows, products) + products + (3.0 * one if several else 0.0)
    else:
        working = (3.0 if keep == "cosines" else 4.0) * products + (4.0 * one if several else 0.0)
    if strategy.products == "bfloat16":
        working += 0.5 * rows + (0.0 if several else one)
    working += EMPHASIS_STREAMED * one * size.reshapes
    working += 0 if size.free else FLOAT * classes * size.subcenters  # one over the length of each row
    working += 6 * FLOAT * examples * size.dim
    logits = examples * classes * kept_bytes(keep, size.subcenters, FLOAT, on_cuda=on_cuda)
    if moved is None:
        return parts(size.weight_bytes, logits, working)
    return parts(0, logits, working + (1.0 + moved) * rows)


def panels(size: HeadSize, strategy: Panels, moved: float | None) -> HeadMemory:
    examples, dim, centers = size.examples, size.dim, size.subcenters
    chunk = min(strategy.chunk_of(examples, dim, centers, on_cuda=size.on_cuda), size.classes)
    rows, small = chunk * centers, strategy.products == "bfloat16"
    plain = not (size.free or size.reshapes or size.bias or size.trained_scale)
    logits = 0
    if strategy.stashes(size.classes * centers, examples, plain=plain):
        logits = (2 if small else 4) * size.classes * centers * examples + FLOAT * size.classes * centers
    own_buffer = moved is not None
    working = panel_bytes(rows, examples, dim, strategy.products, strategy.cosines, gradient=own_buffer)
    working += FLOAT * rows + 9 * FLOAT * examples * dim
    one, row_bytes, passing = FLOAT * chunk * examples, FLOAT * rows * dim, 0.0
    if not size.on_cuda or not size.known:  # the steps in plain torch
        between = one * (1 + (4 if centers > 1 else 0) + EMPHASIS_STREAMED * size.reshapes + 2 * size.trained_scale)
        passing = max(between, row_bytes)
    if small and not size.on_cuda:  # operands as float32, and their product
        working += FLOAT * rows * (examples + max(dim, examples))
    if moved is None:
        return parts(size.weight_bytes, logits, working + passing)
    return parts(0, logits, working + max(passing, moved * row_bytes))


def fused(size: HeadSize, strategy: Fused, moved: float | None) -> HeadMemory:
    width, operand = width_of(size.dim), 2 if strategy.products == "bfloat16" else 4
    panel = min(PANEL_BYTES, whole_steps(size.classes) * size.subcenters * width * operand)
    working = panel + 24 * FLOAT * whole_steps(size.examples) * width  # up to 15 splits of the sums, and their inputs
    return parts(size.weight_bytes if moved is None else 0, 0, working)


def sampled(size: HeadSize, strategy: Sampled, state: float, moved: float | None) -> HeadMemory:
    count = min(size.classes, max(round(strategy.rate * size.classes), min(size.examples, size.classes)))
    part = replace(size, classes=count)
    summing = strategy.inner(Device(kernels=size.on_cuda and size.plain))
    inner = in_parts(part, summing, moved)
    copied, draw = part.weight_bytes, 24 * size.classes
    if moved is None:
        # first the sampled rows with their gradient, then the whole gradient beside both
        peak = max(copied + inner.gradient + inner.logits + inner.working, size.weight_bytes + 2 * copied)
        return parts(size.weight_bytes, inner.logits, max(0, peak - size.weight_bytes - inner.logits))
    gathered = (1.0 + state) * FLOAT * min(chunk_of(summing, size), count) * size.subcenters * size.dim
    refreshed = 6 * FLOAT * min(REFRESHED_TOGETHER, count * size.subcenters) * size.dim
    return parts(0, inner.logits, max(copied + inner.working + gathered, refreshed, draw))


def chunk_of(strategy: Inner, size: HeadSize) -> int:
    """How many classes are handed to the rule together."""
    if isinstance(strategy, Fused):
        return PANEL_BYTES // (size.subcenters * width_of(size.dim) * (2 if strategy.products == "bfloat16" else 4))
    return strategy.chunk_of(size.examples, size.dim, size.subcenters, on_cuda=size.on_cuda)


def moved_copies(rule: RowRule) -> float:
    """Copies of a block of rows that a rule makes while it moves them."""
    return float(rule.nesterov and rule.momentum > 0) if isinstance(rule, RowSGD) else 1.0


def update_copies(rule: RowRule, *, on_cuda: bool) -> int:
    """Copies of a whole tensor that the optimizer of this rule makes in its step."""
    if isinstance(rule, RowSGD):
        return int(rule.weight_decay > 0) + int(rule.nesterov and rule.momentum > 0)
    return 1 if on_cuda else 2
