"""The record of a whole run: what is trained, on what, how, and how it is judged.

A recipe (YAML) is an `Experiment` written down; from Python, fill one in and call `angulus.training.train`. Where a
field is None, `angulus.training.defaults` fills it from the data and the device, and the run folder keeps the result.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from angulus.data.augment import Augment
from angulus.data.formats import Format
from angulus.data.noise import Noise
from angulus.data.orders import PK, Sampling, Uniform
from angulus.heads import Auto, Dense, Fused, Sampled, Strategy, Streamed
from angulus.margins import Margin
from angulus.models import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Which identities of a data set are used for what; the same for every kind of data.

    edits: lists of changes (csv: drop, relabel, split, merge), made before anything else; see docs/edits.md.
    min_images: identities with fewer images are dropped. None is 2; for a set in a union, whose own rule counts the
        images of all its sets, it is 1.
    max_images: at most so many images of each identity, a seeded choice.
    exclude: names of identities to leave out.
    exclude_from: a folder of identities, or a text file with a name a line, whose names are left out as well.
    parts: shares of the identities by name. A name's part depends on the name and split_seed alone, so that more
        identities never move others to another part.
    train_on: the parts that are trained on.
    evaluate_on: the part whose identities are never seen in training and are verified during and after it.
    """

    edits: tuple[Path, ...] = ()
    min_images: int | None = None
    max_images: int | None = None
    exclude: tuple[str, ...] = ()
    exclude_from: Path | None = None
    parts: dict[str, float] = field(default_factory=lambda: {"train": 0.8, "test": 0.2})
    train_on: tuple[str, ...] = ("train",)
    evaluate_on: str = "test"
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.min_images is not None and self.min_images < 1:
            raise ValueError(f"min_images must be at least 1, got {self.min_images}")
        if self.max_images is not None and self.max_images < 1:
            raise ValueError(f"max_images must be at least 1, got {self.max_images}")
        if not self.parts or min(self.parts.values()) < 0 or sum(self.parts.values()) > 1 + 1e-9:
            raise ValueError(f"parts must be shares of at least 0 with a sum of at most 1, got {self.parts}")
        for name in (*self.train_on, self.evaluate_on):
            if name not in self.parts:
                raise ValueError(f"there is no part {name!r}; parts has {', '.join(self.parts)}")
        if self.evaluate_on in self.train_on:
            raise ValueError(f"evaluate_on {self.evaluate_on!r} is trained on as well: the test would mean nothing")


@dataclass(frozen=True, kw_only=True)
class FolderData:
    """Images in a folder with one sub-folder for each identity.

    fit: how an image of another size is brought to the size of the model's input: scaled, unless that would
        distort it ("proportional"), scaled in any case, its centre cropped, or not at all ("error").
    on_unreadable: stop at a damaged image, or skip and list it.
    """

    path: Path
    fit: Literal["proportional", "resize", "crop", "error"] = "proportional"
    on_unreadable: Literal["error", "skip"] = "error"
    on_empty: Literal["error", "skip"] = "error"
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class OmniglotData:
    """Handwritten characters from the archives of Omniglot; a character is an identity."""

    path: Path
    invert: bool = True
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class SyntheticData:
    """Drawn faces, unlimited and deterministic. Accuracy on them says nothing about real people."""

    num_identities: int = 250
    images_per_identity: int = 10
    seed: int = 0
    first_identity: int = 0
    nuisance: float = 1.0
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class StoredData:
    """Encoded images in files of one layout; fit and on_unreadable as for folders (skip decodes every image first)."""

    path: Path
    fit: Literal["proportional", "resize", "crop", "error"] = "proportional"
    on_unreadable: Literal["error", "skip"] = "error"
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class RecData(StoredData):
    """insightface's train.rec, or the folder that holds it."""


@dataclass(frozen=True, kw_only=True)
class TarData(StoredData):
    """A tar archive in the layout of webdataset, or a folder of them."""


@dataclass(frozen=True, kw_only=True)
class ParquetData(StoredData):
    """A parquet file with image bytes, as Hugging Face stores them, or a folder of parts."""


@dataclass(frozen=True, kw_only=True)
class PackedData(StoredData):
    """Angulus's own layout, the folder NAME.packed that `angulus convert` writes."""


@dataclass(frozen=True, kw_only=True)
class ManifestData(StoredData):
    """A csv or parquet table with the columns path and identity."""


Member = FolderData | OmniglotData | SyntheticData | RecData | TarData | ParquetData | PackedData | ManifestData
STORED: dict[type[StoredData], Format] = {
    RecData: "rec",
    TarData: "tar",
    ParquetData: "parquet",
    PackedData: "packed",
    ManifestData: "manifest",
}
MEMBERS: dict[str, type] = {
    "folder": FolderData,
    "omniglot": OmniglotData,
    "synthetic": SyntheticData,
    **{name: kind for kind, name in STORED.items()},
}


@dataclass(frozen=True, kw_only=True)
class NoisyData:
    """A set of images with known faults, to score cleaning with. Only identities that are trained on get noise.

    flips, outliers, duplicates: shares of the noisy training set (images under another identity's label, images of
        people who are not in the set, near copies of images of the set).
    relabelled: the share of the duplicates that get another identity's label.
    base: the set. Its own rules about identities come first, but for parts, train_on and evaluate_on.
    outside: where outliers come from: the parts that its train_on names.
    identities: rules about the noisy set. Its edits are made after the noise.
    """

    base: Member
    outside: Member | None = None
    flips: float = 0.0
    outliers: float = 0.0
    duplicates: float = 0.0
    relabelled: float = 0.0
    seed: int = 0
    identities: Identities = field(default_factory=Identities)

    def __post_init__(self) -> None:
        self.noise()
        if (self.outliers > 0) != (self.outside is not None):
            raise ValueError(f"outside must name a set of images where outliers is above 0, got {self.outliers}")

    def noise(self) -> Noise:
        """The rates and the seed."""
        rates = {name: getattr(self, name) for name in ("flips", "outliers", "duplicates", "relabelled")}
        return Noise(**rates, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class UnionData:
    """Several data sets as one, with one head for all or one for each.

    sets: the data sets by name; their own identities rules come first, but for parts, train_on and evaluate_on.
    join: names joins people of equal names, a csv table (set, name, person) says who is who where they differ, and
        separate keeps the people of every set apart, with a head for each set.
    spelling: whether joined names must be equal to the letter, or folded: ignoring case and taking " ", "-", "_" as
        equal.
    numbers_are_names: join also by names that are numbers alone.
    weights: how many examples each set has in a batch, relative to the others; 1 for a set that is not named. Without
        weights the union is shuffled as one set, or, where the heads are separate, each set has its share of images.
    loss_weights: factors of the losses of separate heads; 1 for a set that is not named.
    identities: rules about the people of all sets together, once they are joined.
    """

    sets: dict[str, Member]
    join: str = "names"
    spelling: Literal["exact", "folded"] = "exact"
    numbers_are_names: bool = False
    weights: dict[str, float] = field(default_factory=dict)
    loss_weights: dict[str, float] = field(default_factory=dict)
    identities: Identities = field(default_factory=Identities)

    def __post_init__(self) -> None:
        check_sets(self.sets)
        if self.join not in ("names", "separate") and not self.join.endswith(".csv"):
            raise ValueError(f"join must be names, separate or a table such as people.csv, got {self.join!r}")
        if self.is_separate and self.identities.edits:
            raise ValueError(
                "identities.edits must belong to a set where heads are separate: set data.sets.NAME.identities.edits"
            )
        if self.loss_weights and self.join != "separate":
            raise ValueError(f"loss_weights must belong to separate heads (join=separate), got join={self.join}")
        for field_name, least in (("weights", "above 0"), ("loss_weights", "at least 0")):
            for name, value in getattr(self, field_name).items():
                if name not in self.sets:
                    raise ValueError(
                        f"{field_name} must name sets of the union, got {name!r} of {', '.join(self.sets)}"
                    )
                if not (value > 0 or (value == 0 and least == "at least 0")):
                    raise ValueError(f"{field_name} must be {least}, got {value} for {name}")

    @property
    def is_separate(self) -> bool:
        """Whether every set has a head of its own."""
        return self.join == "separate"


def check_sets(sets: dict[str, Member]) -> None:
    """Raise ValueError for a set that says what is the union's to say, or that is there twice, or has no good name."""
    if not sets:
        raise ValueError("sets must name at least one data set, got none")
    plain, seen = Identities(), list[Member]()
    for name, member in sets.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"sets must have names of letters, digits, - and _, got {name!r}")
        for rule in ("parts", "train_on", "evaluate_on"):
            if getattr(member.identities, rule) != getattr(plain, rule):
                raise ValueError(
                    f"sets must leave {rule} to the union, whose identities are split once they are joined: set "
                    f"data.identities.{rule} instead of that of {name}"
                )
        if member in seen:
            raise ValueError(f"sets must differ; {name} is the same as {list(sets)[seen.index(member)]}")
        seen.append(member)


Data = Member | UnionData | NoisyData
DATA: dict[str, type] = {**MEMBERS, "union": UnionData, "noisy": NoisyData}


@dataclass(frozen=True, kw_only=True)
class Head:
    """subcenters: class weights per identity.

    strategy: how the classes are summed; `auto` takes an exact one that fits the memory, once, when the run starts.

    filter_above: for noisy labels: other classes whose cosine exceeds this are left alone.
    label_smoothing: share of the target that is spread evenly over all classes.
    from_data: begin with class weights at the mean embedding of each identity under the first network; for a trained
        backbone (`init`) and new identities.
    update_in_backward: move the class weights inside the backward pass with the rule of `optim`, so that their gradient
        is never whole (saves as much memory as the weights take). Needs the strategy `streamed` or `sampled`, no
        accumulation, and `sharded` where there are several processes.
    sharded: divide the classes over the processes that torchrun starts, any strategy on each share; the loss and the
        gradients are those of one process. With one process all classes are held there.
    weights_from: a run folder or a checkpoint whose class weights a new run takes over, by the names of the identities;
        new identities begin at random, or at their mean embedding with from_data. Best with `init` of the same run.
    merged: identities whose weights are joined from several of weights_from: {new name: [old names]}.
    """

    subcenters: int = 1
    strategy: Strategy = field(default_factory=Dense)
    update_in_backward: bool = False
    filter_above: float | None = None
    label_smoothing: float = 0.0
    sharded: bool = False
    weights_from: Path | None = None
    merged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    from_data: bool = False

    def __post_init__(self) -> None:
        if self.subcenters < 1:
            raise ValueError(f"subcenters must be at least 1, got {self.subcenters}")
        if self.update_in_backward and not isinstance(self.strategy, (Streamed, Sampled, Fused, Auto)):
            raise ValueError(
                "update_in_backward needs strategy=streamed, fused, sampled or auto: dense forms the whole gradient"
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

    lr: None takes 0.1 x batch size / 256, at most 0.1.
    weight_decay: not applied to biases, norms and PReLU slopes unless decay_all; applied to class weights.
    """

    lr: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    decay_all: bool = False

    def __post_init__(self) -> None:
        check_optimizer(self.lr, self.weight_decay)
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay. lr: None takes 1e-3. weight_decay as in SGD."""

    lr: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05
    decay_all: bool = False

    def __post_init__(self) -> None:
        check_optimizer(self.lr, self.weight_decay)
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas must be at least 0 and below 1, got {self.betas}")


def check_optimizer(lr: float | None, weight_decay: float) -> None:
    if lr is not None and not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if weight_decay < 0:
        raise ValueError(f"weight_decay must be at least 0, got {weight_decay}")


OPTIMIZERS: dict[str, type] = {"sgd": SGD, "adamw": AdamW}


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """How the learning rate moves. At step t of T, after w warm-up steps in which it rises in a line from lr / w:

    polynomial  lr (1 - (t - w) / (T - w))^power
    cosine      lr (1 + cos(pi (t - w) / (T - w))) / 2
    step        lr factor^k, k = how many of `milestones` (shares of the run) have passed
    constant    lr
    """

    decay: Literal["polynomial", "cosine", "step", "constant"] = "cosine"
    warmup_epochs: float = 1.0
    power: float = 2.0
    milestones: tuple[float, ...] = (0.5, 0.75, 0.9)
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be at least 0, got {self.warmup_epochs}")
        if not all(0.0 < milestone < 1.0 for milestone in self.milestones):
            raise ValueError(f"milestones are shares of the run between 0 and 1, got {self.milestones}")
        if not 0.0 < self.factor < 1.0:
            raise ValueError(f"factor must be between 0 and 1, got {self.factor}")
        if not self.power > 0:
            raise ValueError(f"power must be above 0, got {self.power}")


@dataclass(frozen=True, kw_only=True)
class Training:
    """The loop.

    epochs: None chooses from the number of images.
    batch_size: examples per optimizer step, over all processes and accumulated micro-batches together.
    accumulate: micro-batches per step, whose gradients are averaged.
    clip_norm: greatest L2 norm of the backbone's gradient; None does not clip. The head's is never clipped.
    precision: of the backbone. "bfloat16" uses autocast; the softmax stays in float32.
    batch_norm: over several processes, "local" statistics (fast; the first process's are kept), "synchronised",
        or "frozen" at the values of the start.
    sampling: in which order examples are seen.
    cache: keep decoded images in memory: "auto" does when they take less than a quarter of the memory.
    workers: processes that read images when they are not cached.
    """

    epochs: int | None = None
    batch_size: int = 128
    accumulate: int = 1
    clip_norm: float | None = 5.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    batch_norm: Literal["local", "synchronised", "frozen"] = "local"
    sampling: Sampling = field(default_factory=Uniform)
    cache: Literal["auto", "memory", "none"] = "auto"
    workers: int = 0
    log_every: int = 20
    checkpoint_every: int | None = None
    keep_last: int = 2
    keep_best: bool = True
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "log_every", "keep_last"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate {self.accumulate} must divide batch_size {self.batch_size}")
        if isinstance(self.sampling, PK) and self.batch_size % self.sampling.images:
            raise ValueError(
                f"sampling by P x K needs a batch_size that is a multiple of its images of each identity, got "
                f"{self.batch_size} with {self.sampling.images}"
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0, got {self.clip_norm}")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1, got {self.checkpoint_every}")
        if self.workers < 0:
            raise ValueError(f"workers must be at least 0, got {self.workers}")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How held-out identities are verified.

    every: epochs between evaluations during training; None evaluates at the end only.
    fars: false accept rates at which the true accept rate is reported.
    views: the embedding of an image: "plain", or with its mirror image as "sum" or "concat".
    max_images: at most so many images of each held-out identity.
    also: further data sets to verify at the end, by name; their part `evaluate_on` is used.
    best_by: the figure of the held-out part that decides which checkpoint is the best.
    """

    every: int | None = 5
    fars: tuple[float, ...] = (1e-1, 1e-2, 1e-3)
    views: Literal["plain", "sum", "concat"] = "sum"
    max_images: int | None = None
    also: dict[str, Data] = field(default_factory=dict)
    best_by: Literal["eer", "auc", "tar"] = "eer"

    def __post_init__(self) -> None:
        if not self.fars or not all(0.0 < far < 1.0 for far in self.fars):
            raise ValueError(f"fars must be rates between 0 and 1, got {self.fars}")
        if self.every is not None and self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A whole run. None for model or margin chooses them from the data and the device.

    init: a model file or foreign weights to start the backbone from.
    """

    data: Data
    model: ModelConfig | None = None
    margin: Margin | None = None
    head: Head = field(default_factory=Head)
    optim: SGD | AdamW = field(default_factory=SGD)
    learning_rate: LearningRate = field(default_factory=LearningRate)
    augment: Augment = field(default_factory=Augment)
    train: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    init: Path | None = None
    out: Path | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        is_mixed = isinstance(self.data, UnionData) and (self.data.is_separate or bool(self.data.weights))
        if is_mixed and not isinstance(self.train.sampling, Uniform):
            raise ValueError(
                "train.sampling must be uniform where every batch has a fixed number of examples of each data set "
                f"(data.weights or data.join=separate), got {type(self.train.sampling).__name__}"
            )
        if self.head.update_in_backward and self.train.accumulate > 1:
            raise ValueError(
                "head.update_in_backward moves the weights in every backward pass and cannot add up micro-batches, "
                f"got train.accumulate {self.train.accumulate}; set it to 1 or turn update_in_backward off"
            )
        if self.head.update_in_backward and isinstance(self.head.strategy, Sampled) and isinstance(self.optim, AdamW):
            raise ValueError("AdamW cannot make up the steps that a sampled-out class misses; use optim=sgd")
