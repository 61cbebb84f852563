"""The heads that `benchmarks/heads.py` measures: Angulus's own, and what others do, written plainly.

To add one, add a line to CANDIDATES, such as

    "streamed-8k": Candidate(angulus(Streamed(chunk=8192, mode="recompute")), ARCFACE, gradients=1.1, logits=0.0),
"""

import functools
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from angulus.heads import Dense, Fused, MarginHead, Panels, RowSGD, Sampled, Strategy, Streamed, margin_softmax
from angulus.heads.kernels.fused import device_obstacle
from angulus.margins import AMSoftmax, ArcFace, Margin

SCALE, M = 64.0, 0.5
ARCFACE = ArcFace(scale=SCALE, m=M)
COSFACE = AMSoftmax(scale=SCALE, m=0.35)
STRAIGHT_THROUGH = ArcFace(scale=SCALE, m=M, gradient="straight_through")


@dataclass(frozen=True)
class Batch:
    """embeddings: [n, d].  weight: [c, d], or [c, k, d] with k sub-centers; both ask for gradients.  labels: [n].

    floor_chunk: how many rows of the weight the floor takes at once; all of them where its outputs fit.
    """

    embeddings: Tensor
    weight: Tensor
    labels: Tensor
    floor_chunk: int

    @property
    def rows(self) -> Tensor:
        """[c * k, d], without gradient."""
        return self.weight.detach().flatten(0, -2)


# What one step gives: the loss, the gradient of the embeddings [n, d], and that of the weight, [c, d] or [c, k, d];
# None for a head that moves its weights itself.
Found = tuple[Tensor, Tensor, Tensor | None]
Step = Callable[[], Found]
Build = Callable[[Batch], Step]


def there() -> str | None:
    """What is missing for a head that needs nothing."""
    return None


@dataclass(frozen=True)
class Candidate:
    """One line of the tables.

    build: sets the head up and returns its step. What it allocates lives between steps: neither timed nor counted.
    margin: with which `Dense` gives the same loss and gradients, within `tolerance`; None: not compared.
    subcenters: how many the head can have.
    gradients, logits: a step needs about max(gradients x G, G + logits x L) bytes, for float32 G [c * k, d] and
        L [n, c * k], what `build` allocates included. It is left out where that does not fit.
    missing: says what is not installed, or None.
    multiplies_bfloat16: the large products have bfloat16 operands.
    """

    build: Build
    margin: Margin | None = None
    tolerance: float = 1e-3
    subcenters: tuple[int, ...] = (1,)
    gradients: float = 5.1
    logits: float = 4.1
    missing: Callable[[], str | None] = there
    multiplies_bfloat16: bool = False

    def needs(self, gradient_bytes: int, logit_bytes: int) -> int:
        return int(max(self.gradients * gradient_bytes, gradient_bytes + self.logits * logit_bytes))


def stepping(loss: Callable[[], Tensor], embeddings: Tensor, weight: Tensor) -> Step:
    """The step of a head that leaves its gradients in .grad."""

    def step() -> Found:
        value = loss()
        value.backward()
        assert embeddings.grad is not None
        found = value.detach(), embeddings.grad, weight.grad
        embeddings.grad = weight.grad = None
        return found

    return step


def floor(batch: Batch, dtype: torch.dtype = torch.float32) -> Step:
    """The three matrix products that no exact head can do without, into fresh outputs."""
    embeddings, rows = batch.embeddings.detach().to(dtype), batch.rows.to(dtype)

    def step() -> Found:
        for part in rows.split(batch.floor_chunk):
            logits = torch.mm(embeddings, part.T)
            grad_embeddings = torch.mm(logits, part)
            grad_weight = torch.mm(logits.T, embeddings)
        return logits, grad_embeddings, grad_weight

    return step


def angulus(strategy: Strategy, margin: Margin = ARCFACE) -> Build:
    """Angulus with a strategy."""

    def build(batch: Batch) -> Step:
        def loss() -> Tensor:
            return margin_softmax(batch.embeddings, batch.weight, batch.labels, margin, strategy=strategy).mean()

        return stepping(loss, batch.embeddings, batch.weight)

    return build


def moved(strategy: Strategy) -> Build:
    """Angulus with SGD (momentum and weight decay) inside the backward pass; its rate of 0 leaves the weights as they
    are, so that they need no copy."""

    def build(batch: Batch) -> Step:
        head = head_on(batch.weight, strategy)
        head.learning_rate = 0.0

        def step() -> Found:
            value = head(batch.embeddings, batch.labels).loss
            value.backward()
            assert batch.embeddings.grad is not None
            found = value.detach(), batch.embeddings.grad, None
            batch.embeddings.grad = None
            return found

        return step

    return build


def head_on(weight: Tensor, strategy: Strategy) -> MarginHead:
    """A head that moves these very weights: everything else is made, and the weights are not copied."""
    with torch.device("meta"):
        head = MarginHead(weight.shape[-1], len(weight), ARCFACE, strategy=strategy, update=RowSGD())
    head.weight = nn.Parameter(weight.detach())
    for name, buffer in head.named_buffers():
        setattr(head, name, torch.zeros_like(buffer, device=weight.device))
    assert head.mover is not None
    head.mover.touched = torch.zeros_like(head.mover.touched, device=weight.device)
    return head


def plain_loss(embeddings: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """ArcFace as one would write it: normalise, multiply, replace the own cosine, cross-entropy."""
    cos = F.normalize(embeddings) @ F.normalize(weight, dim=-1).flatten(0, -2).T
    if weight.ndim == 3:
        cos = cos.unflatten(1, (-1, weight.shape[1])).amax(dim=2)
    own = cos.gather(1, labels[:, None]).clamp(-1 + 1e-7, 1 - 1e-7)
    moved = own * math.cos(M) - (1 - own.square()).sqrt() * math.sin(M)
    return F.cross_entropy(SCALE * cos.scatter(1, labels[:, None], moved.to(cos.dtype)), labels)


@functools.cache
def compiled_loss() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    import torch._dynamo

    # One program for every size; never an eager step under the name of a compiled one.
    torch._dynamo.config.recompile_limit = 256
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return torch.compile(plain_loss, dynamic=False, fullgraph=True)


def plain(compiled: bool = False, bf16: bool = False) -> Build:
    """The plain head, eager or through torch.compile, in float32 or under autocast to bfloat16."""

    def build(batch: Batch) -> Step:
        call = compiled_loss() if compiled else plain_loss

        def loss() -> Tensor:
            with torch.autocast(batch.weight.device.type, dtype=torch.bfloat16, enabled=bf16):
                return call(batch.embeddings, batch.weight, batch.labels)

        return stepping(loss, batch.embeddings, batch.weight)

    return build


def with_sgd(build: Build) -> Build:
    """A head followed by SGD with momentum and weight decay; its rate of 0 leaves the weights to the next head."""

    def built(batch: Batch) -> Step:
        step = build(batch)
        optimizer = torch.optim.SGD([batch.weight], lr=0.0, momentum=0.9, weight_decay=5e-4)
        optimizer.state[batch.weight]["momentum_buffer"] = torch.zeros_like(batch.weight)

        def stepped() -> Found:
            found = step()
            batch.weight.grad = found[2]
            optimizer.step()
            batch.weight.grad = None
            return found

        return stepped

    return built


def metric_learning(name: str, **settings: float) -> Build:
    """A loss of pytorch-metric-learning. It keeps its weights as [d, c * k]."""

    def build(batch: Batch) -> Step:
        from pytorch_metric_learning import losses

        @torch.no_grad()
        def fill(weight: Tensor) -> None:
            weight.copy_(batch.rows.T)

        classes, dim = batch.weight.shape[0], batch.weight.shape[-1]
        module = getattr(losses, name)(
            num_classes=classes, embedding_size=dim, scale=SCALE, weight_init_func=fill, **settings
        ).to(batch.weight.device)
        step = stepping(lambda: module(batch.embeddings, batch.labels), batch.embeddings, module.W)

        def turned() -> Found:
            loss, grad_embeddings, grad_weight = step()
            assert grad_weight is not None
            return loss, grad_embeddings, grad_weight.T.view_as(batch.weight)

        return turned

    return build


def partial_fc(rate: float) -> Build:
    """A head with the layout of arcface_torch's PartialFC_V2 on one process: see `sampled_classes` and below.

    The weight parameter is indexed, so that autograd gives a gradient for all classes; the margin is applied to a
    whole matrix in place and without gradient; the softmax lies in a function that subtracts a one-hot matrix.
    """

    def build(batch: Batch) -> Step:
        def loss() -> Tensor:
            weight, labels = batch.weight, batch.labels
            if rate < 1.0:
                index = sampled_classes(labels, len(weight), rate)
                weight, labels = weight[index], torch.searchsorted(index, labels)
            logits = F.linear(F.normalize(batch.embeddings), F.normalize(weight)).clamp(-1, 1)
            return SoftmaxLoss.apply(whole_matrix_arcface(logits, labels), labels)

        return stepping(loss, batch.embeddings, batch.weight)

    return build


def sampled_classes(labels: Tensor, classes: int, rate: float) -> Tensor:
    """The batch's own classes and random others, in rising order."""
    own = labels.unique()
    draw = torch.rand(classes, device=labels.device)
    draw[own] = 2.0
    return draw.topk(max(int(rate * classes), len(own))).indices.sort().values


def whole_matrix_arcface(logits: Tensor, labels: Tensor) -> Tensor:
    """arccos and cos of every cosine, in place and outside of the graph, to move one of each row."""
    examples = torch.arange(len(labels), device=labels.device)
    with torch.no_grad():
        logits.arccos_()
        logits[examples, labels] = logits[examples, labels] + M
        logits.cos_()
    return logits * SCALE


class SoftmaxLoss(torch.autograd.Function):
    """Mean cross-entropy; the probabilities take the place of the logits."""

    @staticmethod
    def forward(ctx, logits: Tensor, labels: Tensor) -> Tensor:
        logits.sub_(logits.amax(dim=1, keepdim=True)).exp_()
        logits.div_(logits.sum(dim=1, keepdim=True))
        ctx.save_for_backward(logits, labels)
        return logits.gather(1, labels[:, None]).clamp_min(1e-30).log().mean().neg()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        shares, labels = ctx.saved_tensors
        examples = torch.arange(len(labels), device=labels.device)
        one_hot = torch.zeros_like(shares).scatter_(1, labels[:, None], 1)
        shares[examples] -= one_hot
        return shares.div_(len(labels)) * grad.item(), None


def metric_learning_missing() -> str | None:
    try:
        import pytorch_metric_learning.losses  # noqa: F401
    except ImportError as error:
        return "not installed" if error.name == "pytorch_metric_learning" else f"not installed: needs {error.name}"
    return None


def compiler_missing() -> str | None:
    found = os.environ.get("CXX") or next(filter(shutil.which, ("g++", "c++", "clang++")), None)
    return None if found else "not installed: torch.compile needs a C++ compiler"


def kernels_missing() -> str | None:
    reason = device_obstacle(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return None if reason is None else f"not here: {reason}"


ANY = (1, 3)  # sub-centers
DEGREES = math.degrees(M)

# Lines with something in common. Those of pytorch-metric-learning hold their own copy of the weights.
compiled = functools.partial(Candidate, margin=ARCFACE, gradients=2.3, missing=compiler_missing)
metric = functools.partial(Candidate, gradients=6.1, logits=5.4, missing=metric_learning_missing)
recompute = angulus(Streamed(mode="recompute"))
stash = angulus(Streamed(mode="stash"))
fused = functools.partial(Candidate, margin=ARCFACE, gradients=1.1, logits=0.0, missing=kernels_missing)
half = functools.partial(Candidate, margin=ARCFACE, tolerance=0.1, gradients=1.1, logits=0.6, multiplies_bfloat16=True)
floor_bf16 = functools.partial(floor, dtype=torch.bfloat16)

CANDIDATES: dict[str, Candidate] = {
    "floor": Candidate(floor, subcenters=ANY, gradients=0.1, logits=0.1),
    # The same once more: how far its ratio is from 1 shows the noise.
    "floor-again": Candidate(floor, subcenters=ANY, gradients=0.1, logits=0.1),
    "floor-bf16": Candidate(floor_bf16, gradients=1.1, logits=0.6, multiplies_bfloat16=True),
    "dense": Candidate(angulus(Dense()), ARCFACE, subcenters=ANY, logits=5.4),
    "streamed-recompute": Candidate(recompute, ARCFACE, subcenters=ANY, gradients=1.1, logits=0.0),
    "streamed-stash": Candidate(stash, ARCFACE, subcenters=ANY, gradients=1.1, logits=1.1),
    "streamed-recompute-sgd": Candidate(with_sgd(recompute), ARCFACE, gradients=3.1, logits=0.0),
    "streamed-recompute-bf16": half(angulus(Streamed(mode="recompute", products="bfloat16")), logits=0.0),
    "streamed-stash-bf16": half(angulus(Streamed(mode="stash", products="bfloat16"))),
    "streamed-half-stash": Candidate(
        angulus(Streamed(mode="stash", stash="bfloat16")), ARCFACE, tolerance=0.01, gradients=1.1, logits=0.6
    ),
    "moved-recompute": Candidate(moved(Streamed(mode="recompute")), ARCFACE, gradients=1.1, logits=0.0),
    "moved-stash": Candidate(moved(Streamed(mode="stash")), ARCFACE, gradients=1.1, logits=1.1),
    "panels": Candidate(angulus(Panels(products="float32")), ARCFACE, subcenters=ANY, gradients=1.1, logits=1.1),
    "panels-bf16": half(angulus(Panels()), subcenters=ANY),
    "panels-moved": Candidate(moved(Panels(products="float32")), ARCFACE, gradients=1.1, logits=1.1),
    "panels-bf16-moved": half(moved(Panels())),
    "fused": fused(angulus(Fused()), tolerance=0.1, subcenters=ANY),
    "fused-tf32": fused(angulus(Fused(products="tf32")), tolerance=0.01, subcenters=ANY),
    "fused-moved": fused(moved(Fused()), tolerance=0.1),
    "fused-tf32-moved": fused(moved(Fused(products="tf32")), tolerance=0.01),
    "sampled-0.1": Candidate(angulus(Sampled(rate=0.1)), gradients=1.3, logits=0.2),
    "sampled-0.1-moved": Candidate(moved(Sampled(rate=0.1)), gradients=1.3, logits=0.2),
    "plain": Candidate(plain(), ARCFACE, subcenters=ANY),
    "plain-sgd": Candidate(with_sgd(plain()), ARCFACE, gradients=6.1, logits=5.1),
    "plain-compiled": compiled(plain(compiled=True), subcenters=ANY),
    "plain-bf16": half(plain(bf16=True), gradients=5.1, logits=4.1),
    "plain-bf16-compiled": half(plain(compiled=True, bf16=True), gradients=2.3, logits=2.0, missing=compiler_missing),
    "pml-arcface": metric(metric_learning("ArcFaceLoss", margin=DEGREES), ARCFACE),
    "pml-cosface": metric(metric_learning("CosFaceLoss", margin=0.35), COSFACE),
    "pml-subcenter": metric(
        metric_learning("SubCenterArcFaceLoss", margin=DEGREES, sub_centers=3), ARCFACE, subcenters=(3,)
    ),
    "partial-fc-1.0": Candidate(partial_fc(1.0), STRAIGHT_THROUGH),
    "partial-fc-0.1": Candidate(partial_fc(0.1), gradients=1.2, logits=0.6),
}
