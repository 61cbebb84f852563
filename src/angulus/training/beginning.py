"""Where the class weights of a new run begin: at random, at those of another run by name, at the mean embeddings."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from angulus.data import Source, select
from angulus.errors import CheckpointError, ConfigError
from angulus.extract import embed
from angulus.heads import MarginHead, start_from
from angulus.heads.naming import NamedWeights, take_over
from angulus.models import EmbeddingModel
from angulus.training.checkpoint import NAME, Checkpoints, load_content
from angulus.training.classes import read_classes
from angulus.training.distributed import Processes
from angulus.training.experiment import Head

log = logging.getLogger(__name__)


def begin_classes(
    config: Head, head: MarginHead, model: EmbeddingModel, source: Source, device: torch.device, group: Processes
) -> None:
    """Give a new head the weights that the recipe says. Every process calls it and sets its own classes.

    source: the training images. Raises ConfigError where the other run does not fit, CheckpointError for a damaged one.
    """
    is_open = np.ones(len(source.identities), dtype=np.bool_)
    if config.weights_from is not None:
        with group.together():
            new = from_run(config, config.weights_from, head, source.identities, group.is_first)
            is_open = np.array([name in new for name in source.identities])
    if config.from_data:
        with group.together():
            count = from_images(head, model, source, is_open, device)
        counts = group.every(count) if config.sharded else [count]
        if group.is_first:
            log.info("the class weights of %d identities begin at their mean embeddings", sum(counts))


def from_run(config: Head, path: Path, head: MarginHead, names: Sequence[str], tells: bool) -> set[str]:
    """Take over class weights by name; the names that are new."""
    old = read_weights(path)
    try:
        found = take_over(head, names, old, config.merged)
    except ValueError as error:
        raise ConfigError(f"head.weights_from: {path} does not fit: {error}") from error
    if tells:
        log.info(
            "class weights from %s: %d taken over by name, %d merged, %d new, %d dropped",
            *(path, len(found.kept), len(found.merged), len(found.new), len(found.dropped)),
        )
        if head.bias is not None and old.bias is None:
            log.warning("%s has no bias: that of all classes begins at 0", path)
    return set(found.new)


def from_images(
    head: MarginHead, model: EmbeddingModel, source: Source, is_open: np.ndarray, device: torch.device
) -> int:
    """Put the weights of this process's open classes at their mean embeddings; how many were set."""
    labels = source.labels
    held = (labels >= head.classes.start) & (labels < head.classes.stop) & is_open[labels]
    if not held.any():
        return 0
    found = embed(model, select(source, np.flatnonzero(held)), batch_size=256, flip=False, device=device)
    return start_from(head, torch.from_numpy(found.embeddings).to(device), torch.from_numpy(labels[held]).to(device))


def read_weights(path: Path, *, asked: str = "head.weights_from") -> NamedWeights:
    """The class weights of a run folder (its newest checkpoint) or of a checkpoint of either kind, on the CPU.

    asked: who asks for them, for messages.
    """
    place = find_checkpoint(path, asked)
    content = load_content(place, torch.device("cpu"), mapped=True)
    names = content.classes or read_classes(place.parent.parent)
    if names is None:
        raise CheckpointError(
            f"{asked}: {place} holds no names of identities, since it was written before they were kept; "
            "put them into classes.json of its run folder, in the order of the classes"
        )
    if place.is_dir():
        from angulus.heads.resharding import read_tensors  # takes long to import

        tensors = read_tensors(place, ("weight", "bias"))
    else:
        tensors = content.tensors["head"]
    return NamedWeights(names, tensors["weight"], tensors.get("bias"))


def find_checkpoint(path: Path, asked: str) -> Path:
    if (path / "checkpoints").is_dir():
        paths = Checkpoints(path / "checkpoints", 1).paths()
        if not paths:
            raise CheckpointError(f"{asked}: {path} has no checkpoint yet; let it run on first")
        return paths[-1]
    if path.exists() and NAME.fullmatch(path.name):
        return path
    raise CheckpointError(
        f"{asked} must be a run folder or a checkpoint in it (step-00000120.pt or step-00000120), got {path}"
    )
