"""What workers must do alike, whoever they are and wherever they run, so that no digit depends on them."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from angulus.data.examples import Source
from angulus.data.formats.catalogue import open_source
from angulus.data.views.cache import fingerprint
from angulus.devices.processors import threads_of_torch
from angulus.embeddings.shards import Manifest, is_sharded
from angulus.embeddings.shards.manifest import read_manifest
from angulus.errors import DataError
from angulus.extract import evaluating
from angulus.inference.given_images import content_for
from angulus.inference.passes import UNKNOWN_NETWORK, usual_size
from angulus.json_files import parse_json
from angulus.models.folding import is_foldable
from angulus.models.speech.spec import SpeechInput
from angulus.shards.division import input_shards, usual_block

if TYPE_CHECKING:
    from angulus.models import EmbeddingModel

ON_DEVICE = 256
"""Images per pass on a device other than a CPU: what is free there differs from worker to worker."""


def options_of(model: "EmbeddingModel", asked: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """What was asked for, how the model wants its examples, and what computes; as JSON gives it back."""
    images = not isinstance(model.input, SpeechInput)
    given = {**asked, "flip": bool(asked["flip"]) and images, "input": model.input.to_dict()}
    return parse_json(json.dumps({**given, "device": device.type, "torch": torch.__version__}))


def planned(
    source: Source, folder: Path, block: int | None, model: str, options: Mapping[str, Any], *, labelled: bool
) -> Manifest:
    """What the whole consists of, as this worker sees it."""
    if block is None:
        block = read_manifest(folder).block if is_sharded(folder) else usual_block(len(source))
    return Manifest(
        model=model,
        examples=len(source),
        set_digest=fingerprint(source),
        block=block,
        options=options,
        identities=tuple(source.identities) if labelled else None,
        shards=input_shards(source, block),
    )


def opened(images: Source | str | PathLike[str], model: "EmbeddingModel") -> Source:
    """The set; DataError for images that are no source."""
    if isinstance(images, str | PathLike):
        return open_source(str(images), content=content_for(model.input))
    if not hasattr(images, "read"):
        raise DataError(f"images must be a source, or the path of one, to be divided, got {type(images).__name__}")
    return images


def usual_pass(model: "EmbeddingModel", device: torch.device) -> int | None:
    """Images per pass, the same for every worker; None where their own lengths decide."""
    if isinstance(model.input, SpeechInput):
        return None
    if device.type != "cpu":
        return ON_DEVICE
    if not is_foldable(model):
        return UNKNOWN_NETWORK
    with evaluating(model, device):
        return usual_size(model, device)


@contextmanager
def one_thread_where_it_counts(model: "EmbeddingModel", device: torch.device) -> Generator[None, None, None]:
    """Networks whose passes do not go beside each other compute on one thread: more might add in another order."""
    if device.type == "cpu" and (isinstance(model.input, SpeechInput) or not is_foldable(model)):
        with threads_of_torch(1):
            yield
    else:
        yield
