"""Which ways of summing over the classes there are for a run, and what each takes of the memory of one process."""

from dataclasses import dataclass, replace
from math import ceil

import torch

from angulus.data.order.mixture import quotas
from angulus.heads import (
    STRATEGIES,
    Auto,
    Dense,
    Fused,
    HeadMemory,
    HeadSize,
    Panels,
    Sampled,
    Strategy,
    Streamed,
    head_memory,
    size_of,
)
from angulus.heads.auto import Device, exact
from angulus.heads.strategies.problem import Demand, demands_of
from angulus.margins import Margin
from angulus.training.experiment import AdamW, Experiment
from angulus.training.optimization import row_rule
from angulus.training.plan.footprint import BackboneMemory
from angulus.training.recipe.data_sources import Sources
from angulus.training.recipe.serialization import record

# A plan is no promise: allocators round up, libraries take workspaces. So much of the free memory is planned with.
USABLE = 0.95

RECOMPUTE, STASH = Streamed(mode="recompute"), Streamed(mode="stash")
SMALL_STASH = Streamed(mode="stash", stash="bfloat16")


@dataclass(frozen=True, kw_only=True)
class Option:
    """A strategy with what belongs to it.

    moved: the class weights move inside the backward pass.  sharded: each process holds some of the classes.
    """

    name: str
    strategy: Strategy
    moved: bool = False
    sharded: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether loss and gradient are those of all classes in float32."""
        if isinstance(self.strategy, Streamed):
            return "bfloat16" not in (self.strategy.products, self.strategy.stash)
        if isinstance(self.strategy, (Fused, Panels)):
            return self.strategy.products == "float32"
        return not isinstance(self.strategy, Sampled)

    def settings(self, experiment: Experiment) -> list[str]:
        """What to pass to `train` to get it: the settings in which the recipe differs."""
        head = experiment.head
        before, now = record(head.strategy), record(self.strategy)
        words = [f"head.strategy={now['name']}"] if before["name"] != now["name"] else []
        plain = record(type(self.strategy)()) if words else before
        words += [f"head.strategy.{name}={value}" for name, value in now.items() if value != plain.get(name)]
        for name, value, own in (
            ("update_in_backward", self.moved, head.update_in_backward),
            ("sharded", self.sharded, head.sharded),
        ):
            words += [f"head.{name}={str(value).lower()}"] if value != own else []
        return [*words, "train.accumulate=1"] if self.moved and experiment.train.accumulate > 1 else words


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run as far as its memory goes.

    images: None where nobody knows.  data: bytes of images in memory.
    chosen: what `strategy: auto` has come to, where that is known.
    sets: where every data set has a head, its classes and its share of a batch; else empty.
    triton: whether a CUDA device has it.
    """

    experiment: Experiment
    identities: int
    images: int | None
    processes: int
    backbone: BackboneMemory
    data: int
    on_cuda: bool
    chosen: Strategy | None = None
    sets: tuple[tuple[int, float], ...] = ()
    triton: bool = True

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What the margin asks that not every strategy answers."""
        return demands_of(self.experiment.margin or Margin())

    @property
    def device(self) -> Device:
        """What `auto` looks at: products of the run's own precision where kernels take them."""
        if not (self.on_cuda and self.triton) or self.demands:
            return Device()
        exact_products = torch.get_float32_matmul_precision() == "highest"
        half = self.experiment.train.precision == "bfloat16"
        return Device(kernels=True, products="bfloat16" if half else "float32" if exact_products else "tf32")

    def accumulate(self, option: Option) -> int:
        """Micro-batches of a step; an update inside the backward pass cannot add any up."""
        return 1 if option.moved else self.experiment.train.accumulate

    def examples(self, option: Option) -> int:
        """The images that one process handles at a time."""
        return -(-self.experiment.train.batch // (self.processes * self.accumulate(option)))

    def head_size(self, option: Option) -> HeadSize:
        """The head of one process, of several the largest; where it is sharded, that of all, with all examples."""
        return max(self.head_sizes(option), key=lambda size: size.classes)

    def head_sizes(self, option: Option) -> list[HeadSize]:
        """The same for each head."""
        config = self.experiment.model
        assert config is not None
        examples = self.examples(option) * (self.processes if option.sharded else 1)
        whole = size_of(
            self.experiment.margin or Margin(),
            classes=self.identities,
            dim=config.embedding_dim,
            examples=examples,
            subcenters=self.experiment.head.subcenters,
            on_cuda=self.on_cuda,
        )
        some = [replace(whole, classes=classes, examples=ceil(share * examples)) for classes, share in self.sets]
        return some or [whole]

    def head(self, option: Option) -> HeadMemory:
        """The memory of the head, or of all together."""
        heads = [
            head_memory(
                size,
                option.strategy,
                row_rule(self.experiment.optim),
                moved=option.moved,
                world=self.processes if option.sharded else 1,
                accumulating=self.accumulate(option) > 1,
            )
            for size in self.head_sizes(option)
        ]
        return heads[0] if len(heads) == 1 else together(heads, on_cuda=self.on_cuda)

    def activations(self, option: Option) -> int:
        return self.backbone.activations(self.examples(option))

    def saved(self, option: Option) -> int:
        """About the bytes that the first process adds to a checkpoint."""
        return self.backbone.lasting + self.head(option).lasting

    def copies(self, option: Option) -> int:
        """Bytes of the host for copies that checkpoints are written from, where the recipe asks for them.

        "auto" is left out: it makes copies only where there is plenty of room.
        """
        return self.saved(option) if self.experiment.train.checkpoint_writes == "background" else 0

    def total(self, option: Option) -> int:
        """The most bytes of one process: around the head, in the network's backward pass, or in the optimizer."""
        head, backbone = self.head(option), self.backbone
        lasting = head.lasting + backbone.lasting + (0 if self.on_cuda else self.data + self.copies(option))
        if self.processes > 1:  # the buckets in which DistributedDataParallel exchanges gradients
            lasting += backbone.gradient + (0 if option.sharded else head.gradient)
        earlier = backbone.gradient if self.accumulate(option) > 1 else 0
        around_head = earlier + self.activations(option) + head.logits + head.working
        # gradients of weights and of activations come while activations go; the weights' stands for both
        in_backward = backbone.gradient + self.activations(option)
        moving = backbone.moving + head.moving if self.on_cuda else max(backbone.moving, head.moving)
        return lasting + head.gradient + max(around_head, in_backward, backbone.gradient + moving)


def together(heads: list[HeadMemory], *, on_cuda: bool) -> HeadMemory:
    """The memory of several heads: one works after the other, but what one keeps for the backward pass stays."""
    moving = [head.moving for head in heads]
    return HeadMemory(
        weights=sum(head.weights for head in heads),
        gradient=sum(head.gradient for head in heads),
        optimizer_state=sum(head.optimizer_state for head in heads),
        logits=sum(head.logits for head in heads),
        working=max(head.working for head in heads),
        moving=sum(moving) if on_cuda else max(moving),
    )


def sets_of(sources: Sources, experiment: Experiment) -> tuple[tuple[int, float], ...]:
    """Classes and share of a batch of every data set that has a head of its own; empty where there is one head."""
    mixture = sources.mixture
    if mixture is None or mixture.classes is None:
        return ()
    size = experiment.train.batch
    counts = quotas(mixture.weights, size)
    return tuple((len(classes), count / size) for classes, count in zip(mixture.classes, counts, strict=True))


def options(task: Task) -> list[Option]:
    """All that this run could take, its own first where it is none of the usual."""
    usual = [
        Option(name="dense", strategy=Dense()),
        Option(name="streamed recompute", strategy=RECOMPUTE),
        Option(name="streamed stash", strategy=STASH),
        Option(name="streamed stash bfloat16", strategy=SMALL_STASH),
        Option(name="streamed, update in backward", strategy=RECOMPUTE, moved=True),
        Option(name="sampled 0.1, update in backward", strategy=Sampled(), moved=True),
    ]
    if task.device.kernels:
        panels = Panels(products=task.device.products)
        usual[1:1] = [
            Option(name="panels", strategy=panels),
            Option(name="panels, update in backward", strategy=panels, moved=True),
            Option(name="fused, update in backward", strategy=Fused(products=panels.products), moved=True),
        ]
    if task.processes > 1:
        shards = [replace(option, name=f"{option.name}, sharded", sharded=True) for option in usual]
        usual = [*(option for option in usual if not option.moved), *shards]
    if isinstance(task.experiment.optim, AdamW) or "binary" in task.demands:
        usual = [option for option in usual if not isinstance(option.strategy, Sampled)]
    size = task.head_size(usual[0])
    if size.reshapes or size.trained_scale:  # such margins keep float32
        usual = [option for option in usual if option.strategy != SMALL_STASH]
    own = own_option(task)
    return usual if any(same(own, option) for option in usual) else [own, *usual]


def own_option(task: Task) -> Option:
    """What the recipe says; a recipe with `auto` gets what is chosen for it by sizes alone."""
    head = task.experiment.head
    sharded = head.sharded and task.processes > 1
    option = Option(name="", strategy=task.chosen or head.strategy, moved=head.update_in_backward, sharded=sharded)
    if isinstance(option.strategy, Auto):
        size = task.head_size(option)
        rows = size.classes * size.subcenters // (task.processes if option.sharded else 1)
        option = replace(option, strategy=exact(rows, size.examples, moved=option.moved, device=task.device))
    return replace(option, name=named(option))


def named(option: Option) -> str:
    """A strategy that is none of the usual: its name, with the settings that are not the default ones."""
    values = record(option.strategy)
    plain = record(type(option.strategy)()) if values["name"] in STRATEGIES else {}
    words = [f"{key} {value}" for key, value in values.items() if key != "name" and value != plain.get(key)]
    words += ["update in backward"] if option.moved else []
    words += ["sharded"] if option.sharded else []
    return ", ".join([" ".join([values["name"], *words[:1]]), *words[1:]]) if words else values["name"]


def same(left: Option, right: Option) -> bool:
    return replace(left, name="") == replace(right, name="")
