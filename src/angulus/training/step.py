"""One optimizer step: images to embeddings to loss to gradient, over the micro-batches of a global batch."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from angulus.data import Augment, Batch
from angulus.heads import HeadOutput, MarginHead
from angulus.models import EmbeddingModel
from angulus.training.experiment import Training


class Recogniser(nn.Module):
    """Backbone and head as one module, so that one DistributedDataParallel averages the gradients of both."""

    def __init__(self, backbone: nn.Module, head: MarginHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor, labels: Tensor, step: int) -> HeadOutput:
        return self.head(self.backbone(images), labels, step=step)


@dataclass(frozen=True)
class StepOutput:
    """What a step leaves for the log, all on the device: loss (mean), losses [n], cos_target [n]."""

    loss: Tensor
    losses: Tensor
    cos_target: Tensor


def gradients(
    recogniser: nn.Module,
    model: EmbeddingModel,
    batch: Batch,
    *,
    augment: Augment,
    config: Training,
    seed: int,
    step: int,
    device: torch.device,
) -> StepOutput:
    """Fill the gradients with those of the mean loss of a batch; nothing is updated.

    recogniser: a `Recogniser` or its DistributedDataParallel.  model: the backbone, for its preprocessing.
    """
    outputs: list[HeadOutput] = []
    parts = list(zip(batch.images.chunk(config.accumulate), batch.labels.chunk(config.accumulate), strict=True))
    start = batch.start
    for number, (some_images, some_labels) in enumerate(parts):
        last = number == len(parts) - 1
        images = some_images.to(device, non_blocking=True)
        labels = some_labels.to(device, non_blocking=True)
        changed = augment.apply(images, seed=seed, step=step, start=start, total=batch.total)
        with local_only(recogniser, not last):
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                output: HeadOutput = recogniser(prepared(model, changed), labels, step)
            (output.loss * (len(labels) / len(batch))).backward()
        start += len(labels)
        outputs.append(output)
    shares = [len(labels) / len(batch) for _, labels in parts]
    loss = sum(
        (output.loss.detach() * share for output, share in zip(outputs, shares, strict=True)),
        torch.zeros((), device=device),
    )
    return StepOutput(
        loss=loss,
        losses=torch.cat([output.losses.detach() for output in outputs]),
        cos_target=torch.cat([output.cos_target for output in outputs]),
    )


def prepared(model: EmbeddingModel, images: Tensor) -> Tensor:
    return model.input.prepare(images).contiguous(memory_format=torch.channels_last)


def local_only(recogniser: nn.Module, apply: bool) -> AbstractContextManager[None]:
    """No exchange of gradients for micro-batches before the last."""
    return recogniser.no_sync() if apply and isinstance(recogniser, DistributedDataParallel) else nullcontext()


def update(
    optimizer: torch.optim.Optimizer, backbone: nn.Module, learning_rate: float, clip_norm: float | None
) -> Tensor:
    """Clip the backbone's gradient, move the parameters, forget the gradients. Returns the gradient's norm."""
    limit = float("inf") if clip_norm is None else clip_norm
    norm = torch.nn.utils.clip_grad_norm_(backbone.parameters(), limit)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
