"""Images through a network: one embedding per image, and one of its mirror image."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from angulus.data.examples import Source, read_images
from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError

if TYPE_CHECKING:
    from angulus.models import EmbeddingModel

Progress = Callable[[int, int | None], None]


def embed(
    model: "EmbeddingModel",
    images: Source | Iterable[Tensor],
    *,
    batch_size: int | None = None,
    flip: bool = True,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> EmbeddingSet:
    """Embed images in evaluation mode, float32, without gradients; the model is left as it was found.

    images: a source (its labels, keys and identities come along), or batches of uint8 [n, 3, h, w] RGB.
    batch_size: images per pass, for sources; None takes 32 on a CPU, where larger ones spend their time in fresh memory
        (twice as slow at 128 for MobileFaceNet), and 128 elsewhere.  flip: embed the mirrored images too.
    device: where to compute; the model is moved there, and back afterwards.
    progress: called with the images done and the total (None when unknown) after each batch.

    Raises ModelError for images of a size the model does not take, DataError for images of unlike sizes or none at all,
    EvaluationError when the network gives NaN (the row is named).
    """
    source = cast(Source, images) if hasattr(images, "read") else None
    batches = (
        cast(Iterable[Tensor], images) if source is None else _source_batches(source, per_pass(batch_size, device))
    )
    total = None if source is None else len(source)
    plain: list[Tensor] = []
    mirrored: list[Tensor] = []
    done = 0
    with _evaluating(model, torch.device(device)), torch.inference_mode():
        for batch in batches:
            # channels last: twice as fast for depthwise convolutions on a CPU, the same values
            prepared = model.input.prepare(batch.to(device)).contiguous(memory_format=torch.channels_last)
            plain.append(model(prepared).float().cpu())
            if flip:
                mirrored.append(model(prepared.flip(-1)).float().cpu())
            done += len(batch)
            if progress is not None:
                progress(done, total)
    if not done:
        raise DataError("embed needs at least one image, got none")
    return EmbeddingSet(
        embeddings=torch.cat(plain).numpy(),
        flipped=torch.cat(mirrored).numpy() if flip else None,
        labels=None if source is None else np.asarray(source.labels),
        keys=None if source is None else tuple(source.keys),
        identities=None if source is None else tuple(source.identities),
    )


def per_pass(batch_size: int | None, device: str | torch.device) -> int:
    """Images per pass where the user names none."""
    if batch_size is not None:
        return batch_size
    return 32 if torch.device(device).type == "cpu" else 128


def _source_batches(source: Source, batch_size: int) -> Iterator[Tensor]:
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}")
    for start in range(0, len(source), batch_size):
        yield torch.from_numpy(read_images(source, np.arange(start, min(start + batch_size, len(source)))))


@contextmanager
def _evaluating(model: "EmbeddingModel", device: torch.device) -> Generator[None, None, None]:
    """The model in evaluation mode on a device; each part's mode and the device are put back at the end."""
    modes = [(module, module.training) for module in model.modules()]
    home = next((parameter.device for parameter in model.parameters()), device)
    model.to(device).eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        model.to(home)
