"""No step of a training waits for the device: nothing is read back, and nothing is put there from ordinary memory.

Where there is no GPU the steps run on a device whose values nobody can read (`unreadable_device`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from devices.gpu import GPU_IF_ANY
from torch import Tensor
from unreadable_device import DEVICE, WaitError, nothing_waits, stand_in

from angulus.data import Augment, Batch
from angulus.devices.copies import sent
from angulus.heads import Center, Dense, MarginHead, RowSGD, Sampled, SeparateHeads, Strategy, Streamed, Triplet
from angulus.margins import (
    MARGINS,
    AdaCos,
    AMMSoftmax,
    ArcFace,
    CombinedMargin,
    ElasticFace,
    L2Softmax,
    Learned,
    Linear,
    Margin,
    MVSoftmax,
    PerClass,
    SphereFace,
    SphereFaceR,
)
from angulus.models import InputSpec, MobileFaceNet, TinyNet
from angulus.training import SGD, AdamW, Training
from angulus.training.batch_order import portions_of
from angulus.training.changes import ImageChanges
from angulus.training.device_batches import Feed
from angulus.training.divergence import FiniteGuard
from angulus.training.optimization import build_optimizer
from angulus.training.recording.counters import Counters
from angulus.training.recording.gradient_lengths import Lengths
from angulus.training.recording.recorder import record
from angulus.training.step import Recogniser, gradients, update

pytestmark = GPU_IF_ANY
CLASSES, EXAMPLES = 12, 8
NETWORK = TinyNet(
    channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24, mean=(120.0, 110.0, 100.0))
)
SMALLEST = TinyNet(channels=(4,), units=(0,), embedding_dim=16, input=InputSpec(height=8, width=8))
NOTHING = Augment.off()
EVERYTHING = Augment(flip=0.5, crop=0.5, low_resolution=0.5, photometric=0.5, grey=0.5, erase=0.5)
PLAIN_SGD = SGD(lr=0.1)
PLAIN = Training(batch_size=EXAMPLES, precision="float32")

EVERY_MARGIN: dict[str, Margin] = {
    **{name: kind() for name, kind in MARGINS.items()},
    **{
        f"combined {rule}": CombinedMargin(m1=1.2, m2=0.4, m3=0.1, overflow=rule)
        for rule in ("continuous", "mirror", "clip", "linear", "none", "easy")
    },
    "a margin for each class": ArcFace(m=PerClass(tuple(0.1 + 0.01 * k for k in range(CLASSES))), overflow="linear"),
    "a schedule": ArcFace(m=Linear(end=0.5, until=10)),
    "a learned scale": L2Softmax(scale=Learned(20.0)),
    "a fraction of a fold": SphereFace(m=1.35),
    **{f"sphereface-r {version}": SphereFaceR(version=version, norm="sfn") for version in ("v0", "v1", "v2")},
    **{f"amm {rule}": AMMSoftmax(rule=rule, side="both") for rule in ("constant", "ema", "violation")},
    "mv arc": MVSoftmax(base="arc", easy=True),
    "elastic, ordered": ElasticFace(base="am", ordered=True),
    "adacos, lagged": AdaCos(mode="lagged"),
}
STRATEGIES: dict[str, Strategy] = {
    "dense": Dense(),
    "recompute": Streamed(chunk=5, mode="recompute"),
    "stash": Streamed(chunk=5, mode="stash"),
    "half": Streamed(chunk=5, mode="stash", stash="bfloat16", products="bfloat16"),
    "sampled": Sampled(rate=0.8, streamed=Streamed(chunk=5)),
}


class Sending:
    """A line to the device, as that of CUDA: no mark is read."""

    def mark(self) -> float:
        return 0.0

    def seconds(self, begin: float, end: float) -> float:
        return 0.0

    def send(self, tensors: list[Tensor]) -> list[Tensor]:
        return [sent(tensor, DEVICE) for tensor in tensors]


@dataclass
class Loop:
    """The steps of a run, as `angulus.training.loop` makes them, without reading a log."""

    head: MarginHead | SeparateHeads
    config: Training = PLAIN
    optim: SGD | AdamW = PLAIN_SGD
    network: TinyNet | MobileFaceNet = NETWORK
    augment: Augment = EVERYTHING
    portions: tuple = ()
    triplet: Triplet | None = None
    center: Center | None = None

    def __post_init__(self) -> None:
        self.model = self.network.build().to(DEVICE).train()
        self.head = self.head.to(DEVICE).train()
        self.centers = torch.zeros(CLASSES, 16).to(DEVICE) if self.center is not None else None
        self.recogniser = Recogniser(self.model, self.head, self.triplet, None, self.center, self.centers)
        self.optimizer = build_optimizer(self.optim, self.model, self.head)
        self.guard = FiniteGuard({"backbone": self.model, "head": self.head}, DEVICE)
        self.counters = Counters(CLASSES, 16, DEVICE)
        self.lengths = Lengths(self.model, self.head, DEVICE, 2, True)

    def steps(self, count: int = 2) -> None:
        for step, batch in enumerate(Feed(batches(count, self.network.input), Sending())):
            if self.head.update is not None:
                self.head.learning_rate = 0.1 / (1 + step)
            output = gradients(
                self.recogniser,
                self.model,
                batch,
                augment=ImageChanges(augment=self.augment),
                config=self.config,
                seed=1,
                step=step,
                device=DEVICE,
                portions=self.portions,
            )
            self.guard.look(step, output.losses, batch.indices)
            record(self.counters, self.head, output)
            self.lengths.look(step % 2)
            update(self.optimizer, self.model, 0.1 / (1 + step), self.config.clip_norm)
            if self.center is not None and self.centers is not None and output.features is not None:
                self.center.move(self.centers, output.features, output.labels)


def batches(count: int, spec: InputSpec):
    numbers = torch.arange(EXAMPLES)
    for index in range(count):
        images = torch.zeros(EXAMPLES, 3, spec.height, spec.width, dtype=torch.uint8)
        labels = (numbers + index) % CLASSES
        yield Batch(examples=images, labels=labels, indices=numbers, epoch=0, index=index, start=0, total=EXAMPLES)


def head_of(margin: Margin, strategy: Strategy | None = None, **options) -> MarginHead:
    return MarginHead(16, CLASSES, margin, strategy=strategy, **options)


def walked(monkeypatch: pytest.MonkeyPatch, loop: Loop) -> None:
    stand_in(monkeypatch)
    loop.steps(1)  # a CUDA device is made ready, and what lasts is put there
    with nothing_waits(monkeypatch):
        loop.steps()


@pytest.mark.grid
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("margin", EVERY_MARGIN.values(), ids=EVERY_MARGIN)
def test_no_margin_with_any_strategy_waits(monkeypatch: pytest.MonkeyPatch, margin: Margin, strategy: Strategy) -> None:
    if margin.reduction == "binary" and isinstance(strategy, Sampled):
        pytest.skip("a sample sums no binary loss")
    stand_in(monkeypatch)
    head = head_of(margin, strategy).to(DEVICE).train()
    embeddings = torch.randn(EXAMPLES, 16).to(DEVICE).requires_grad_()
    labels = torch.arange(EXAMPLES).to(DEVICE)
    head(embeddings, labels).loss.backward()  # a CUDA device is made ready, and what lasts is put there
    with nothing_waits(monkeypatch):
        head(embeddings, labels).loss.backward()


@pytest.mark.grid
@pytest.mark.parametrize("margin", EVERY_MARGIN.values(), ids=EVERY_MARGIN)
def test_no_loop_with_a_margin_waits(monkeypatch: pytest.MonkeyPatch, margin: Margin) -> None:
    walked(monkeypatch, Loop(head_of(margin), network=SMALLEST, augment=NOTHING))


@pytest.mark.grid
@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "dense"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_no_update_inside_the_backward_pass_waits(
    monkeypatch: pytest.MonkeyPatch, strategy: str, momentum: float
) -> None:
    rule = RowSGD(momentum=momentum, weight_decay=1e-3)
    walked(monkeypatch, Loop(head_of(ArcFace(), STRATEGIES[strategy], update=rule, subcenters=2)))


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1},
        {"filter_above": 0.3},
        {"subcenters": 3},
        {"label_smoothing": 0.1, "strategy": STRATEGIES["sampled"]},
    ],
    ids=str,
)
def test_no_option_of_a_head_waits(monkeypatch: pytest.MonkeyPatch, options: dict) -> None:
    walked(monkeypatch, Loop(head_of(ArcFace(), **options)))


@pytest.mark.grid
@pytest.mark.parametrize("optim", [SGD(lr=0.1, nesterov=True), SGD(lr=0.1, momentum=0.0), AdamW(lr=0.1)], ids=str)
@pytest.mark.parametrize("changes", [{"clip_norm": None}, {"clip_norm": 1.0}, {"accumulate": 2}], ids=str)
def test_no_optimizer_waits(monkeypatch: pytest.MonkeyPatch, optim: SGD | AdamW, changes: dict) -> None:
    walked(monkeypatch, Loop(head_of(ArcFace()), replace(PLAIN, **changes), optim))


@pytest.mark.parametrize("beside", [{"triplet": Triplet()}, {"center": Center()}], ids=["triplet", "center"])
def test_no_loss_beside_a_head_waits(monkeypatch: pytest.MonkeyPatch, beside: dict) -> None:
    walked(monkeypatch, Loop(head_of(ArcFace()), **beside))


def test_no_separate_heads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = SeparateHeads({"a": MarginHead(16, 5, ArcFace()), "b": MarginHead(16, 7, ElasticFace())})
    config = replace(PLAIN, accumulate=2)
    portions = portions_of(np.array([0, 1] * (EXAMPLES // 2)), ("a", "b"), 0, 1, 2)
    moved = tuple([replace(portion, rows=portion.rows.to(DEVICE)) for portion in some] for some in portions)
    walked(monkeypatch, Loop(heads, config, portions=moved))


def test_no_parameter_without_a_gradient_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(head_of(ArcFace()))
    next(iter(loop.model.parameters())).requires_grad_(False)
    walked(monkeypatch, loop)


def test_no_mobile_network_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    network = MobileFaceNet(embedding_dim=16, input=InputSpec(height=32, width=32))
    walked(monkeypatch, Loop(head_of(ArcFace()), network=network))


# The watch itself: each of these made a step wait once.


WAITS: dict[str, Callable[[Tensor], object]] = {
    "a number on the device": lambda x: torch.as_tensor(0.5, dtype=x.dtype, device=x.device),
    "numbers on the device": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "new_tensor": lambda x: x.new_tensor(0.5),
    "a list as an index": lambda x: x[[0, 2]],
    "a list as an index to write to": lambda x: x.__setitem__([0, 2], 0.0),
    "a host tensor as an index": lambda x: x[torch.tensor([0, 2])],
    "a mask": lambda x: x[x > 0],
    "nonzero": lambda x: torch.nonzero(x),
    "item": lambda x: x.sum().item(),
    "a condition": lambda x: bool(x.sum() > 0),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "a copy from ordinary memory": lambda x: torch.ones(4).to(x.device),
    "one that says it does not wait": lambda x: torch.ones(4).to(x.device, non_blocking=True),
    "a copy into a tensor": lambda x: x.copy_(torch.ones(4)),
}


@pytest.mark.skipif(DEVICE.type == "cuda", reason="a CUDA device is watched by torch")
@pytest.mark.parametrize("action", WAITS.values(), ids=WAITS)
def test_the_watch_sees(monkeypatch: pytest.MonkeyPatch, action: Callable[[Tensor], object]) -> None:
    values = torch.zeros(4, device=DEVICE)
    with nothing_waits(monkeypatch), pytest.raises((WaitError, RuntimeError, NotImplementedError)):
        action(values)


@pytest.mark.skipif(DEVICE.type == "cuda", reason="a CUDA device is watched by torch")
def test_the_watch_lets_pass_what_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.zeros(4, device=DEVICE)
    with nothing_waits(monkeypatch):
        values.mul_(0.5).add_(torch.tensor(2.0))
        values[sent(torch.tensor([0, 2]), DEVICE)] = 1.0
        torch.full((), 3.0, device=DEVICE)
