"""Images or recordings through a network: one embedding each, and one of the mirror image of an image."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from angulus.data.examples import Source, columns_of, noun_of
from angulus.data.formats.catalogue import open_source
from angulus.embeddings import EmbeddingSet
from angulus.embeddings.files import RESERVED
from angulus.errors import AngulusError, DataError, ModelError
from angulus.inference.choice import choose
from angulus.inference.given_images import Images, content_for, opened
from angulus.inference.lanes import through
from angulus.inference.networks import Layout
from angulus.inference.own_networks import ready
from angulus.inference.passes import (
    UNKNOWN_NETWORK,
    GivenBatches,
    Passes,
    SourceBatches,
    computing,
    lane_of,
    planned,
    say,
    usual_size,
)
from angulus.inference.recordings import WINDOW_SECONDS, as_recordings, embedded_recordings
from angulus.inference.runtimes import RuntimeName
from angulus.models.folding import folded, is_foldable
from angulus.models.speech.spec import SpeechInput

if TYPE_CHECKING:
    from angulus.models import EmbeddingModel, Spec

Progress = Callable[[int, int | None], None]


def embed(
    model: "EmbeddingModel | nn.Module",
    images: Images,
    *,
    input: "Spec | None" = None,
    batch_size: int | None = None,
    flip: bool = True,
    device: str | torch.device = "cpu",
    workers: int | None = None,
    runtime: RuntimeName = "torch",
    layout: Layout | Literal["auto"] = "channels_last",
    window: float | None = WINDOW_SECONDS,
    progress: Progress | None = None,
    chosen: Callable[[Passes], None] | None = None,
) -> EmbeddingSet:
    """Embed images in evaluation mode, float32, without gradients; the model is left as it was found.

    Networks of Angulus are embedded by a copy with folded batch norms, on a CPU by several threads, each of which takes
    a batch of its own (as many as torch has threads); other networks as they are, one batch after the other.

    model: a network of Angulus, or any module that maps float32 images [n, c, h, w] to embeddings [n, d].
    images: a source, or a path that `open_source` reads (labels, keys, identities and further columns come along); an
        array or tensor uint8 [n, h, w, 3] or [n, 3, h, w], RGB (floats: 0 to 255); or batches of such. For a network
        for speech recordings: a source, a path, samples int16 [n, t] (floats on the same scale) or a list of such.
    input: how a module of your own wants its images; networks of Angulus say so themselves.
    batch_size: images per pass, for sources and arrays; None takes what suits the network and the device.
    flip: embed the mirrored images too; recordings have none.
    device: where to compute.
    workers: processes that decode the images of a source; 0 for none, None for as many as keep the network busy.
    runtime: what computes: torch, or on a CPU onnxruntime or openvino where they are installed. One of these is used
        only if it gives torch's embeddings of the first images (to a cosine distance of 1e-5). auto takes the fastest.
    layout: of images in memory; auto times both on the first images.
    window: recordings longer than so many seconds are cut into windows, whose embeddings are averaged; None cuts none.
        The set gets a column `seconds`. Runtime, layout and workers are for images.
    progress: called with the images done and the total (None when unknown) after each batch.
    chosen: called once, before the second batch, with how the set is embedded; left out, the log says so.

    Embeddings depend on threads and workers in no digit, on batch size, layout and runtime to rounding.

    Raises ModelError for images of a size the model does not take, for a module without `input`, and for a runtime
    that is not here or does not agree; DataError for images of unlike sizes or none at all; EvaluationError when the
    network gives NaN (the row is named).
    """
    if batch_size is not None and batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}")
    model = ready(model, input)
    spec = model.input
    if isinstance(spec, SpeechInput):
        return _embed_recordings(model, images, batch_size, torch.device(device), window, progress)
    given = opened(images, spec, batch_size or UNKNOWN_NETWORK)
    source = cast(Source, given) if hasattr(given, "read") else None
    if source is not None and noun_of(source) == "recording":
        raise DataError("the network takes images, and the set holds recordings; take a network for speech")
    place = torch.device(device)
    total = None if source is None else len(source)
    views: list[tuple[Tensor, ...]] = []
    done = 0
    with evaluating(model, place), _naming_numbers(model), torch.inference_mode():
        batches = _batches(model, given, batch_size, place)
        first = spec.prepare(batches.first.to(place))
        choice = choose(model, first, runtime=runtime, layout=layout, device=place)
        compute = computing(choice.network, spec, place, flip=flip)
        passes = planned(choice, batches, compute, place, workers)
        (say if chosen is None else chosen)(passes)
        with lane_of(passes, compute, place) as lane:
            for count, found in through(lane, batches.read(passes.workers)):
                views.append(found)
                done += count
                if progress is not None:
                    progress(done, total)
    plain, *mirrored = (torch.cat(parts).numpy() for parts in zip(*views, strict=True))
    return EmbeddingSet(
        embeddings=plain,
        flipped=mirrored[0] if flip else None,
        labels=None if source is None else np.asarray(source.labels),
        keys=None if source is None else tuple(source.keys),
        identities=None if source is None else tuple(source.identities),
        columns={} if source is None else _columns_of(source),
    )


@contextmanager
def _naming_numbers(model: nn.Module) -> Generator[None, None, None]:
    """ModelError in place of torch's error for a network whose weights are not of float32 and that does not cast."""
    try:
        yield
    except RuntimeError as error:
        kinds = {each.dtype for each in model.parameters() if each.is_floating_point()} - {torch.float32}
        if not kinds or isinstance(error, AngulusError):
            raise
        raise ModelError(
            f"images are embedded in float32, and the network has weights of {min(map(str, kinds))}: give"
            " model.float(), or a network that casts its input"
        ) from error


def _columns_of(source: Source) -> dict[str, NDArray[Any]]:
    """What a source knows of its examples besides, such as cameras, but for names that stand for something else."""
    return {name: values for name, values in columns_of(source).items() if name and name not in RESERVED}


def _embed_recordings(
    model: "EmbeddingModel",
    given: Any,
    batch_size: int | None,
    device: torch.device,
    window: float | None,
    progress: Progress | None,
) -> EmbeddingSet:
    spec = model.speech_input()
    if isinstance(given, str | PathLike):
        given = open_source(str(given), content=content_for(spec))
    source = cast(Source, given) if hasattr(given, "read") else None
    with evaluating(model, device), _naming_numbers(model), torch.inference_mode():
        network = folded(model) if is_foldable(model) else model
        embeddings, seconds = embedded_recordings(
            *(network.embeddings_of, spec, as_recordings(given) if source is None else source, device),
            **{"batch_size": batch_size, "window": window, "progress": progress},
        )
    return EmbeddingSet(
        embeddings=embeddings,
        labels=None if source is None else np.asarray(source.labels),
        keys=None if source is None else tuple(source.keys),
        identities=None if source is None else tuple(source.identities),
        columns={} if source is None else _columns_of(source),
    ).with_columns({"seconds": np.round(seconds, 4)})


def _batches(
    model: "EmbeddingModel", images: Source | Iterator[Tensor], batch_size: int | None, device: torch.device
) -> SourceBatches | GivenBatches:
    if hasattr(images, "read"):
        source = cast(Source, images)
        if len(source):
            return SourceBatches(source, batch_size or usual_size(model, device))
    else:
        following = cast(Iterator[Tensor], images)
        for first in following:
            if len(first):
                return GivenBatches(first, following)
    raise DataError("embed needs at least one image, got none")


@contextmanager
def evaluating(model: "EmbeddingModel", device: torch.device) -> Generator[None, None, None]:
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
