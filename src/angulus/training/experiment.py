"""The record of a whole run: what is trained, on what, how, and how it is judged.

A recipe (YAML) is an `Experiment` written down; from Python, fill one in and call `angulus.training.train`. Where a
field is None, `angulus.training.recipe.defaults` fills it from the data and the device, and the run folder keeps the
result.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from angulus.data.loading.augmentation import Augment
from angulus.data.loading.chunks import check_frames
from angulus.data.order.recipe_records import PK, Sampling, Uniform
from angulus.data.views.speeds import check_speeds
from angulus.heads import Auto, Center, Dense, Fused, Panels, Sampled, Strategy, Streamed, Triplet
from angulus.heads.softmax import check_demands, check_reduction
from angulus.margins import Margin
from angulus.models import ModelConfig, SpeechInput
from angulus.speech.augmentation import SpeechAugment
from angulus.training.datasets import Data, UnionData


@dataclass(frozen=True, kw_only=True)
class Head:
    """subcenters: class weights per identity.

    strategy: how the classes are summed; `auto` takes an exact one that fits the memory, once, when the run starts.

    filter_above: for noisy labels: other classes whose cosine exceeds this are left alone.
    label_smoothing: share of the target that is spread evenly over all classes.
    from_data: begin with class weights at the mean embedding of each identity under the first network; for a trained
        backbone (`init`) and new identities. None does so where there is an `init` and
        no weights_from.
    update_in_backward: move the class weights inside the backward pass with the rule of `optim`, so that their gradient
        is never whole (saves as much memory as the weights take). Needs another strategy than `dense`, no
        accumulation, and `sharded` where there are several processes.
    sharded: divide the classes over the processes that torchrun starts, any strategy on each share; the loss and the
        gradients are those of one process. With one process all classes are held there.
    weights_from: a run folder or a checkpoint whose class weights a new run takes over, by the names of the identities;
        new identities begin at random, or at their mean embedding with from_data. Best with `init` of the same run.
    merged: identities whose weights are joined from several of weights_from: {new name: [old names]}.
    triplet: a loss beside that of the classes, which compares the images of a batch with each other, before the neck of
        a network that has one. Needs train.sampling=pk.
    center: a loss beside that of the classes, which draws the images of a person to their middle, before the neck of
        a network that has one.
    """

    subcenters: int = 1
    strategy: Strategy = field(default_factory=Dense)
    update_in_backward: bool = False
    filter_above: float | None = None
    label_smoothing: float = 0.0
    sharded: bool = False
    weights_from: Path | None = None
    merged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    from_data: bool | None = None
    triplet: Triplet | None = None
    center: Center | None = None

    def __post_init__(self) -> None:
        if isinstance(self.weights_from, str):
            object.__setattr__(self, "weights_from", Path(self.weights_from))
        if self.subcenters < 1:
            raise ValueError(f"subcenters must be at least 1, got {self.subcenters}")
        if self.update_in_backward and not isinstance(self.strategy, (Streamed, Sampled, Fused, Panels, Auto)):
            raise ValueError(
                "update_in_backward needs strategy=streamed, panels, fused, sampled or auto: dense forms the whole "
                "gradient"
            )
        if self.merged and self.weights_from is None:
            raise ValueError(
                f"merged joins classes of weights_from, which is not set (merged names {', '.join(self.merged)})"
            )
        for name, olds in self.merged.items():
            if not olds:
                raise ValueError(f"merged must name at least one old identity for each new one, got none for {name!r}")


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum.

    lr, weight_decay: None chooses from the data (docs/settings.md).
    weight_decay: not applied to biases, norms and PReLU slopes unless decay_all; applied to class weights.
    """

    lr: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float | None = None
    decay_all: bool = False

    def __post_init__(self) -> None:
        check_optimizer(self.lr, self.weight_decay)
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay. lr, weight_decay as in SGD."""

    lr: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | None = None
    decay_all: bool = False

    def __post_init__(self) -> None:
        check_optimizer(self.lr, self.weight_decay)
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas must be at least 0 and below 1, got {self.betas}")


def check_optimizer(lr: float | None, weight_decay: float | None) -> None:
    if lr is not None and not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if weight_decay is not None and weight_decay < 0:
        raise ValueError(f"weight_decay must be at least 0, got {weight_decay}")


AUGMENTS: dict[str, type] = {"images": Augment, "speech": SpeechAugment}
OPTIMIZERS: dict[str, type] = {"sgd": SGD, "adamw": AdamW}


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """How the learning rate moves. At step t of T, after w warm-up steps in which it rises in a line from lr / w:

    polynomial  lr (1 - (t - w) / (T - w))^power
    cosine      lr (1 + cos(pi (t - w) / (T - w))) / 2
    step        lr factor^k, k = how many of `milestones` (shares of the run) have passed
    exponential lr (final / lr)^(t / T), and so in the warm-up too, times (t + 1) / w: the schedule of speaker recipes
    constant    lr

    warmup_epochs: None chooses from the length of the run.
    final: the rate at the end of an exponential decay.
    """

    decay: Literal["polynomial", "cosine", "step", "exponential", "constant"] = "cosine"
    warmup_epochs: float | None = None
    power: float = 2.0
    milestones: tuple[float, ...] = (0.5, 0.75, 0.9)
    factor: float = 0.1
    final: float = 5e-5

    def __post_init__(self) -> None:
        if self.warmup_epochs is not None and self.warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be at least 0, got {self.warmup_epochs}")
        if not all(0.0 < milestone < 1.0 for milestone in self.milestones):
            raise ValueError(f"milestones are shares of the run between 0 and 1, got {self.milestones}")
        if not 0.0 < self.factor < 1.0:
            raise ValueError(f"factor must be between 0 and 1, got {self.factor}")
        if not self.power > 0:
            raise ValueError(f"power must be above 0, got {self.power}")
        if not 0.0 < self.final < math.inf:
            raise ValueError(f"final must be a rate above 0, got {self.final}")


Layout = Literal["auto", "channels_last", "contiguous"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """The loop.

    epochs: None chooses from the number of images.
    batch_size: examples per optimizer step, over all processes and accumulated micro-batches together; None chooses
        from the number of images.
    accumulate: micro-batches per step, whose gradients are averaged.
    clip_norm: greatest L2 norm of the backbone's gradient; None does not clip. The head's is never clipped.
    precision: of the backbone. "bfloat16" uses autocast; the softmax stays in float32. "auto" takes bfloat16 where the
        device computes in it, which a CPU is timed for when a run begins.
    float32_precision: of products and convolutions in float32 on CUDA devices: "highest", or "high", which rounds
        their operands to TensorFloat-32 (10 bits of mantissa) and is several times as fast.
    layout: how images lie in memory: "channels_last" keeps the colours of a pixel together, "contiguous" each colour as
        a plane. "auto" takes channels_last on CUDA and times a CPU when a run begins.
    compile: whether torch compiles the network: on, off (true and false say the same) or "auto", which does so on CUDA
        devices where a run is long enough to pay for it and the compiled network is faster when timed; never on a CPU,
        where compiling takes minutes.
    batch_norm: over several processes, "local" statistics (fast; the first process's are kept), "synchronised",
        or "frozen" at the values of the start. None is frozen for weights of `init` and few images, otherwise local.
    sampling: in which order examples are seen.
    frames: for speech, the shortest and the longest chunk that a step sees, in frames of the filter bank; each batch
        has one length between them. None chooses from the recordings.
    speeds: for recordings, further speeds at which each is trained on, as further people: (0.9, 1.1) makes three times
        the classes.
    cache: keep decoded images in memory: "auto" does when they take less than a quarter of the memory.
    workers: processes that read images when they are not cached.
    threads: of a CPU, for the network; "auto" takes a thread for each core that may be used, or fewer where a step of
        this network is clearly faster with fewer, which is timed when a run begins. The last digits depend on it.
    checkpoint_writes: "waiting": a step waits until its checkpoint is written; "background": until it is copied in the
        memory of the host, of which that takes as much again, and a thread writes it. "auto" writes in the background
        from 32 MiB on where the copies of a machine take at most a quarter of its free memory.
    average_last: the network is at the end the mean of those after each of so many last epochs; 0 leaves it as the last
        step left it. last/ keeps that one.
    """

    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    clip_norm: float | None = 5.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    float32_precision: Literal["highest", "high"] = "highest"
    layout: Layout = "auto"
    compile: Literal["auto", "on", "off"] | bool = "auto"
    batch_norm: Literal["local", "synchronised", "frozen"] | None = None
    sampling: Sampling = field(default_factory=Uniform)
    frames: tuple[int, int] | None = None
    speeds: tuple[float, ...] = ()
    cache: Literal["auto", "memory", "none"] = "auto"
    workers: int = 0
    threads: Literal["auto"] | int = "auto"
    log_every: int = 20
    checkpoint_every: int | None = None
    checkpoint_writes: Literal["auto", "waiting", "background"] = "auto"
    keep_last: int = 2
    keep_best: bool = True
    average_last: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "log_every", "keep_last"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.average_last < 0 or (self.epochs is not None and self.average_last > self.epochs):
            most = "" if self.epochs is None else f" and at most the epochs, {self.epochs}"
            raise ValueError(f"average_last must be at least 0{most}, got {self.average_last}")
        if self.batch_size is not None:
            self._check_batch(self.batch_size)
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0, got {self.clip_norm}")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1, got {self.checkpoint_every}")
        if self.frames is not None:
            check_frames(self.frames)
        check_speeds(self.speeds)
        if self.threads != "auto" and self.threads < 1:
            raise ValueError(f'threads must be "auto" or at least 1, got {self.threads}')
        if self.workers < 0:
            raise ValueError(f"workers must be at least 0, got {self.workers}")

    @property
    def batch(self) -> int:
        """`batch_size` of a run that has started: chosen where the recipe left it open."""
        if self.batch_size is None:
            raise ValueError("train.batch_size must be chosen before it is used")
        return self.batch_size

    def _check_batch(self, size: int) -> None:
        if size % self.accumulate:
            raise ValueError(f"accumulate {self.accumulate} must divide batch_size {size}")
        if isinstance(self.sampling, PK) and size % self.sampling.images:
            raise ValueError(
                f"sampling by P x K needs a batch_size that is a multiple of its images (examples) of each "
                f"identity, got {size} with {self.sampling.images}"
            )


HoldOut = Literal["auto", "part", "folds", "nobody"]


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How a network that begins with the weights of `init` is trained. None chooses, without `init` 1 and 0.

    backbone_rate: factor of the learning rate for the network; class weights take the whole rate.
    head_epochs: for so many epochs at first the class weights move alone: the network stays as it is, its batch norms
        and dropout as in evaluation.
    """

    backbone_rate: float | None = None
    head_epochs: int | None = None

    def __post_init__(self) -> None:
        if self.backbone_rate is not None and not 0.0 <= self.backbone_rate < math.inf:
            raise ValueError(f"backbone_rate must be a factor of at least 0, got {self.backbone_rate}")
        if self.head_epochs is not None and self.head_epochs < 0:
            raise ValueError(f"head_epochs must be at least 0, got {self.head_epochs}")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How held-out identities are verified.

    hold_out: who is verified. `part` is data.identities.evaluate_on, never trained on. `folds` trains on everybody and
        takes the figures from further models, each trained without one fold of the people and verified on it. `nobody`
        trains on everybody, and no figure on unseen people exists. `auto` is `part`; below 10 people, where the recipe
        does not say parts of its own, `folds`; of 2 or 3 `nobody`, which is refused without weights to start from.
    folds: how many, where there are people enough for two in each.
    every: epochs between evaluations during training; None evaluates at the end only.
    fars: false accept rates at which the true accept rate is reported.
    views: the embedding of an image: "plain", or with its mirror image as "sum" or "concat". None is "sum", and "plain"
        for recordings, which have no mirror image.
    max_images: at most so many images of each held-out identity.
    also: further data sets to verify at the end, by name; their part `evaluate_on` is used.
    best_by: the figure of the held-out part that decides which checkpoint is the best.
    """

    hold_out: HoldOut = "auto"
    folds: int = 3
    every: int | None = 5
    fars: tuple[float, ...] = (1e-1, 1e-2, 1e-3)
    views: Literal["plain", "sum", "concat"] | None = None
    max_images: int | None = None
    also: dict[str, Data] = field(default_factory=dict)
    best_by: Literal["eer", "auc", "tar"] = "eer"

    def __post_init__(self) -> None:
        if not self.fars or not all(0.0 < far < 1.0 for far in self.fars):
            raise ValueError(f"fars must be rates between 0 and 1, got {self.fars}")
        if self.every is not None and self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, got {self.folds}")

    @property
    def view(self) -> Literal["plain", "sum", "concat"]:
        """`views`, or what images are verified by where nothing is said."""
        return self.views or "sum"


@dataclass(frozen=True, kw_only=True)
class StageOptim:
    """Of `optim`, what a stage may change."""

    lr: float | None = None

    def __post_init__(self) -> None:
        check_optimizer(self.lr, None)


@dataclass(frozen=True, kw_only=True)
class StageTraining:
    """Of `train`, what a stage may change."""

    batch_size: int | None = None
    frames: tuple[int, int] | None = None
    sampling: Sampling | None = None
    average_last: int | None = None


@dataclass(frozen=True, kw_only=True)
class StageHead:
    """Of `head`, what a stage may change.

    filter_above: 1 turns it off.
    """

    strategy: Strategy | None = None
    filter_above: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.strategy, Auto):
            raise ValueError("strategy must be named in a stage: auto is chosen once, when the run begins")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A later stage of a run: it goes on where the one before ends, with other settings.

    None, or a field left out, is as in the stage before; the first one is the recipe itself.

    name: for the log and the report.
    epochs: how many this stage has, after those of the stages before.
    margin: with schedules over this stage; one that is as in the stage before stays at its last value.
    learning_rate: over this stage. warmup_epochs: None is a fifth of it, at most one epoch.
    fine_tuning: None for head_epochs is 0, whatever the stage before had.
    """

    name: str
    epochs: int
    margin: Margin | None = None
    head: StageHead = field(default_factory=StageHead)
    optim: StageOptim = field(default_factory=StageOptim)
    learning_rate: LearningRate | None = None
    augment: Augment | SpeechAugment | None = None
    train: StageTraining = field(default_factory=StageTraining)
    fine_tuning: FineTuning = field(default_factory=FineTuning)

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("name must be a word or a few, got none")
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.fine_tuning.head_epochs is not None and self.fine_tuning.head_epochs > self.epochs:
            raise ValueError(
                f"fine_tuning.head_epochs must be at most the epochs of the stage, {self.epochs}, "
                f"got {self.fine_tuning.head_epochs}"
            )

    def after(self, before: "Experiment") -> "Experiment":
        """The stage as an experiment of its own, but for `tuning`, given the one before it. Raises ValueError."""
        train: dict[str, Any] = {"average_last": min(before.train.average_last, self.epochs), **given(self.train)}
        rate = self.learning_rate or replace(before.learning_rate, warmup_epochs=None)
        return replace(
            before,
            margin=self.margin or before.margin,
            head=replace(before.head, **given(self.head)),
            optim=replace(before.optim, **given(self.optim)),
            learning_rate=replace(rate, warmup_epochs=self.warmup(rate)),
            augment=self.augment or before.augment,
            train=replace(before.train, epochs=self.epochs, **train),
            stages=(),
        )

    def tuning(self, before: FineTuning) -> FineTuning:
        """How the network moves, given how it did in the stage before."""
        own = self.fine_tuning
        rate = before.backbone_rate if own.backbone_rate is None else own.backbone_rate
        return FineTuning(backbone_rate=rate, head_epochs=own.head_epochs or 0)

    def warmup(self, rate: LearningRate) -> float:
        """`warmup_epochs`, chosen where it is open."""
        return min(1.0, self.epochs / 5) if rate.warmup_epochs is None else rate.warmup_epochs


def given(part: StageOptim | StageTraining | StageHead) -> dict[str, Any]:
    """What a stage says of a section."""
    return {name: value for name, value in vars(part).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A whole run. None for model, margin or augment chooses them from the data and the device.

    init: what the backbone starts from: foreign weights, a saved model or the folder of a run. Where model is None, its
        network and its input come from there.
    fine_tuning: how such a backbone is trained.
    stages: what comes after the run that the rest describes, in the same folder: changes of some settings.
    """

    data: Data
    model: ModelConfig | None = None
    margin: Margin | None = None
    head: Head = field(default_factory=Head)
    optim: SGD | AdamW = field(default_factory=SGD)
    learning_rate: LearningRate = field(default_factory=LearningRate)
    augment: Augment | SpeechAugment | None = None
    train: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    init: Path | None = None
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    out: Path | None = None
    seed: int = 0
    device: str = "auto"
    stages: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        for name in ("init", "out"):
            if isinstance(path := getattr(self, name), str):
                object.__setattr__(self, name, Path(path))
        tuning = self.fine_tuning
        if self.init is None and (tuning.backbone_rate not in (None, 1.0) or tuning.head_epochs not in (None, 0)):
            raise ValueError(
                "fine_tuning is of a network that begins with weights: name them with init=FILE, or leave fine_tuning "
                f"out, got backbone_rate {tuning.backbone_rate}, head_epochs {tuning.head_epochs}"
            )
        lr, final = self.optim.lr, self.learning_rate.final
        if self.learning_rate.decay == "exponential" and lr is not None and final > lr:
            raise ValueError(f"learning_rate.final must be at most optim.lr, {lr}, got {final}")
        is_mixed = isinstance(self.data, UnionData) and (self.data.is_separate or bool(self.data.weights))
        if is_mixed and not isinstance(self.train.sampling, Uniform):
            raise ValueError(
                "train.sampling must be uniform where every batch has a fixed number of examples of each data set "
                f"(data.weights or data.join=separate), got {type(self.train.sampling).__name__}"
            )
        if self.margin is not None:
            check_demands(self.margin, self.head.strategy)
            check_reduction(self.margin, self.head.filter_above, self.head.label_smoothing)
        if self.head.triplet is not None:
            check_triplets(self.train)
        if self.head.update_in_backward and self.train.accumulate > 1:
            raise ValueError(
                "head.update_in_backward moves the weights in every backward pass and cannot add up micro-batches, "
                f"got train.accumulate {self.train.accumulate}; set it to 1 or turn update_in_backward off"
            )
        if self.head.update_in_backward and isinstance(self.head.strategy, Sampled) and isinstance(self.optim, AdamW):
            raise ValueError("AdamW cannot make up the steps that a sampled-out class misses; use optim=sgd")
        self.in_stages()

    @property
    def noun(self) -> str:
        """What an example is called that the network takes: image or recording."""
        return "recording" if isinstance(getattr(self.model, "input", None), SpeechInput) else "image"

    def in_stages(self) -> tuple["Experiment", ...]:
        """An experiment for each stage, the recipe itself first. Raises ValueError for one that cannot be."""
        found: list[Experiment] = [replace(self, stages=()) if self.stages else self]
        for number, stage in enumerate(self.stages):
            try:
                found.append(stage.after(found[-1]))
            except ValueError as error:
                raise ValueError(f"stages[{number}] ({stage.name}): {error}") from error
        return tuple(found)


def check_triplets(config: Training) -> None:
    """Raise ValueError where batches, or the micro-batches in which images are compared, need not hold triplets."""
    sampling = config.sampling
    if not isinstance(sampling, PK) or sampling.images < 2:
        got = f"pk with images {sampling.images}" if isinstance(sampling, PK) else type(sampling).__name__
        raise ValueError(
            "head.triplet needs train.sampling=pk with at least 2 images (examples) of each identity, since a triplet "
            f"has two of a person, got {got}"
        )
    if config.batch_size is not None and config.batch_size % (config.accumulate * sampling.images):
        raise ValueError(
            "head.triplet compares examples within a micro-batch, which must hold all of its people: "
            f"train.batch_size must be a multiple of accumulate x images = {config.accumulate} x {sampling.images}, "
            f"got {config.batch_size}"
        )
