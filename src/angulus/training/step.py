"""One optimizer step: examples to embeddings to loss to gradient, over the micro-batches of a global batch."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from angulus.data import Batch
from angulus.data.loading.batch_loader import slice_of
from angulus.errors import ConfigError
from angulus.heads import Center, HeadOutput, MarginHead, Portion, SeparateHeads, ShardedHead, Triplet
from angulus.models import EmbeddingModel
from angulus.training.changes import Changes, Place
from angulus.training.distributed import freeze_batch_norm
from angulus.training.experiment import Training

FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


@dataclass(frozen=True)
class Beside:
    """What losses beside the head's see and come to, without gradient: features before the neck [n, d], and each loss.

    pairs: that of triplets.  center: that of centers.  Both before their weights; None where there is none.
    """

    features: Tensor
    pairs: Tensor | None = None
    center: Tensor | None = None


class Recogniser(nn.Module):
    """Backbone and head as one module, and losses of features beside the head's.

    Over several processes one DistributedDataParallel around both averages their gradients; for a sharded head, whose
    gradients are whole as they are, it is around the backbone alone.

    group: the processes whose examples are compared in `triplet`, and have the mean of `center` together.
    centers: [c, d], what `center` compares with; whoever takes the steps moves them.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: MarginHead | SeparateHeads,
        triplet: Triplet | None = None,
        group: dist.ProcessGroup | None = None,
        center: Center | None = None,
        centers: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.triplet, self.group = triplet, group
        self.center, self.centers = center, centers
        self.skips_backbone = False
        """Whether no gradient goes through the backbone, which rests; its embeddings have one as ever."""

    def forward(
        self, examples: Tensor, labels: Tensor, step: int, sizes: Sequence[int], portions: Sequence[Portion] = ()
    ) -> tuple[HeadOutput, Tensor, Beside]:
        """The head's output, its loss with those beside it; the embeddings [n, d] and what is beside, without gradient.

        sizes: how many examples each process brings, which a sharded head then need not ask.

        portions: for separate heads, which examples are of which data set.
        """
        features, embeddings = self.embedded(examples)
        output = self.judged(embeddings, labels, step, sizes, portions)
        beside = Beside(features.detach())
        if self.triplet is not None:
            pairs = self.triplet.loss(features, labels, group=self.group, sizes=sizes)
            output = replace(output, loss=output.loss + self.triplet.weight * pairs)
            beside = replace(beside, pairs=pairs.detach())
        if self.center is not None and self.centers is not None:
            apart = self.center.loss(features, labels, self.centers, group=self.group)
            output = replace(output, loss=output.loss + self.center.weight * apart)
            beside = replace(beside, center=apart.detach())
        return output, embeddings.detach(), beside

    def judged(
        self, embeddings: Tensor, labels: Tensor, step: int, sizes: Sequence[int], portions: Sequence[Portion]
    ) -> HeadOutput:
        if isinstance(self.head, SeparateHeads):
            return self.head(embeddings, labels, portions, step=step)
        if isinstance(self.head, ShardedHead):
            return self.head(embeddings, labels, step=step, batch_sizes=sizes)
        return self.head(embeddings, labels, step=step)

    def embedded(self, examples: Tensor) -> tuple[Tensor, Tensor]:
        """What losses beside the head see, before the neck, and the embeddings; one and the same without one."""
        if not self.skips_backbone:
            return self.passed(examples)
        with torch.no_grad():
            features, embeddings = self.passed(examples)
        return features, embeddings.requires_grad_()  # an update inside the backward pass waits for it

    def passed(self, examples: Tensor) -> tuple[Tensor, Tensor]:
        if self.triplet is not None or self.center is not None:
            return self.backbone(examples, both=True)
        embeddings = self.backbone(examples)
        return embeddings, embeddings


@dataclass(frozen=True)
class StepOutput:
    """What a step leaves for the log, all on the device: loss (mean), losses [n], cos_target [n], labels [n].

    balance: [3, n], see `angulus.heads.softmax.balance_of`.  embeddings: [n, d].

    pairs: the part of the loss that compares examples, before its weight; None where there is none.

    center: the part that compares them with centers, before its weight; features: what is compared, [n, d]; or None.

    The mean of `loss` over the processes is the loss of the global batch, which has `total` examples.
    """

    loss: Tensor
    losses: Tensor
    cos_target: Tensor
    labels: Tensor
    balance: Tensor
    embeddings: Tensor
    total: int
    pairs: Tensor | None = None
    center: Tensor | None = None
    features: Tensor | None = None


def gradients(
    recogniser: nn.Module,
    model: EmbeddingModel,
    batch: Batch,
    *,
    augment: Changes,
    config: Training,
    seed: int,
    step: int,
    device: torch.device,
    world: int = 1,
    portions: Sequence[Sequence[Portion]] = (),
) -> StepOutput:
    """Fill the gradients with those of the mean loss of a batch; nothing is updated.

    recogniser: a `Recogniser` or its DistributedDataParallel.  model: the backbone, for its preprocessing.
    world: how many processes there are; `batch` is the slice of one of them.
    portions: for separate heads, which examples are of which data set, of each micro-batch.
    """
    outputs: list[HeadOutput] = []
    embedded: list[Tensor] = []
    labelled: list[Tensor] = []
    found: list[Beside] = []
    sizes = micro_batches(batch.total, world, config.accumulate)
    # the loss of a micro-batch is the mean over the examples of all processes
    shares = [sum(some) / batch.total for some in sizes]
    parts = zip(batch.examples.tensor_split(len(sizes)), batch.labels.tensor_split(len(sizes)), strict=True)
    start = batch.start
    for number, (some_examples, some_labels) in enumerate(parts):
        last = number == len(sizes) - 1
        examples = some_examples.to(device, non_blocking=True)
        labels = some_labels.to(device, non_blocking=True)
        place = Place(seed=seed, step=step, start=start, total=batch.total)
        changed = augment.raw(examples, place)
        with local_only(recogniser, not last):
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                ready = augment.prepared(prepared(model, changed, config.layout), place)
                output, embeddings, beside = recogniser(
                    ready, labels, step, sizes[number], *portions[number : number + 1]
                )
            (output.loss * shares[number]).backward()
        start += len(labels)
        outputs.append(output)
        embedded.append(embeddings)
        labelled.append(labels)
        found.append(beside)
    compared = [one.pairs for one in found if one.pairs is not None]
    apart = [one.center for one in found if one.center is not None]
    return StepOutput(
        loss=weighted([output.loss.detach() for output in outputs], shares),
        losses=torch.cat([output.losses.detach() for output in outputs]),
        cos_target=torch.cat([output.cos_target for output in outputs]),
        labels=torch.cat(labelled),
        balance=torch.cat([output.balance for output in outputs], dim=1),
        embeddings=torch.cat(embedded),
        total=batch.total,
        pairs=weighted(compared, shares) if compared else None,
        center=weighted(apart, shares) if apart else None,
        features=torch.cat([one.features for one in found]) if apart else None,
    )


def weighted(losses: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The sum of the losses of micro-batches, each times its share."""
    start = torch.zeros((), device=losses[0].device)
    return sum((loss * share for loss, share in zip(losses, shares, strict=True)), start)


def micro_batches(total: int, world: int, accumulate: int) -> list[list[int]]:
    """How many examples of a global batch each process brings to each micro-batch: [micro-batch][process]."""
    slices = slice_sizes(total, world)
    return [[(size + accumulate - 1 - part) // accumulate for size in slices] for part in range(accumulate)]


def slice_sizes(total: int, world: int) -> list[int]:
    """How many examples of a global batch each process brings."""
    return [end - begin for begin, end in (slice_of(total, rank, world) for rank in range(world))]


def check_micro_batches(config: Training, num_examples: int, world: int) -> None:
    """Raise ConfigError where a process would have nothing to do in some micro-batch."""
    batch = min(config.batch, num_examples)
    if batch // world < config.accumulate:
        raise ConfigError(
            f"a batch of {batch} examples must be at least processes x train.accumulate = {world} x "
            f"{config.accumulate}, so that every micro-batch has examples in every process; raise train.batch_size or "
            "lower train.accumulate"
        )


def check_batch_norm(model: EmbeddingModel, config: Training, batches: Sequence[int], world: int) -> None:
    """Raise ConfigError where the batch norms of a model would see one example in a pass, which has no variance.

    batches: sizes of the batches that occur, over all processes.
    """
    passes = [part for batch in batches for part in micro_batches(batch, world, config.accumulate)]
    if config.batch_norm == "synchronised" and world > 1:
        passes = [[sum(part)] for part in passes]
    if config.batch_norm == "frozen" or min(min(part) for part in passes) > 1 or _trains_on_one_example(model):
        return
    raise ConfigError(
        f"train.batch_size={config.batch} with train.accumulate={config.accumulate} leaves one example for a pass"
        f" (batches of {', '.join(map(str, sorted(set(batches))))}; processes: {world}), and"
        " batch norm needs two: raise train.batch_size, lower train.accumulate, or take train.batch_norm=frozen"
    )


def _trains_on_one_example(model: EmbeddingModel) -> bool:
    """Whether a model has no batch norm for which one example is a single value; tried on a copy."""
    device = next(model.parameters()).device
    tried = copy.deepcopy(model).train()
    try:
        with torch.no_grad():
            tried(model.input.prepare(model.input.blank(1, device)))
    except ValueError:
        return False
    return True


def prepared(model: EmbeddingModel, examples: Tensor, layout: str = "channels_last") -> Tensor:
    """What the network takes; images laid out as `train.layout` says, an undecided `auto` is channels_last."""
    return laid_out(model.input.prepare(examples), layout)


def laid_out(ready: Tensor, layout: str) -> Tensor:
    """Prepared images in a layout; other examples, which have one only, as they are."""
    return ready.contiguous(memory_format=FORMATS.get(layout, torch.channels_last)) if ready.ndim == 4 else ready


def local_only(recogniser: nn.Module, apply: bool) -> AbstractContextManager[None]:
    """No exchange of the backbone's gradients for micro-batches before the last."""
    part = averaged_part(recogniser)
    return nullcontext() if part is None or not apply else part.no_sync()


def averaged_part(recogniser: nn.Module) -> DistributedDataParallel | None:
    """What is averaged over the processes: the recogniser, its backbone, or nothing."""
    for part in (recogniser, getattr(recogniser, "backbone", None)):
        if isinstance(part, DistributedDataParallel):
            return part
    return None


def settle_order(
    recogniser: nn.Module, model: EmbeddingModel, device: torch.device, layout: str = "channels_last"
) -> None:
    """Let DistributedDataParallel choose in which order it adds before the first step, as it is in evaluation mode.

    It chooses in its first backward pass, for all later ones. Three processes and more see the order in the last bits,
    so that a run which is resumed would differ from one that was not interrupted. Nothing is moved.
    """
    part = averaged_part(recogniser)
    if part is None:
        return
    labels, portions = blank_examples(getattr(part.module, "head", None), device)
    examples = prepared(model, model.input.blank(len(labels), device), layout)
    if part is recogniser:
        part(examples, labels, 0, (), portions)[0].loss.backward()
    else:
        part(examples).sum().backward()
    part.zero_grad(set_to_none=True)


def blank_examples(head: object, device: torch.device) -> tuple[Tensor, list[Portion]]:
    """Labels of two examples, or of two for each of separate heads, and which head they belong to."""
    if not isinstance(head, SeparateHeads):
        return torch.zeros(2, dtype=torch.int64, device=device), []
    starts = [classes.start for classes in head.classes.values()]
    rows = torch.arange(2 * len(starts), device=device).split(2)
    portions = [Portion(rows=some, sizes=(), share=1 / len(starts)) for some in rows]
    return torch.tensor(starts, device=device).repeat_interleave(2), portions


def set_resting(recogniser: nn.Module, model: EmbeddingModel, config: Training, rests: bool) -> None:
    """Let the backbone rest while the head learns, or let it learn too.

    At rest it is in evaluation mode. Without processes its backward pass is left out; with them its gradients come
    and `update` drops them, since DistributedDataParallel waits for them.
    """
    model.train(not rests)
    if config.batch_norm == "frozen":
        freeze_batch_norm(model)
    if isinstance(recogniser, Recogniser):
        recogniser.skips_backbone = rests and averaged_part(recogniser) is None


def update(
    optimizer: torch.optim.Optimizer,
    backbone: nn.Module,
    learning_rate: float,
    clip_norm: float | None,
    *,
    rests: bool = False,
) -> Tensor:
    """Clip the backbone's gradient, move the parameters, forget the gradients. Returns the gradient's norm.

    learning_rate: of each group times its "rate", where it has one.  rests: the backbone stays as it is, with all that
    the optimizer keeps of it.
    """
    if rests:
        for parameter in backbone.parameters():
            parameter.grad = None
    if clip_norm is None:
        norm = torch.nn.utils.get_total_norm([one.grad for one in backbone.parameters() if one.grad is not None])
    else:
        norm = torch.nn.utils.clip_grad_norm_(backbone.parameters(), clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("rate", 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
