"""Where the class weights of a new run begin: at random, at those of another run by name, at the mean embeddings."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from angulus.data import Source, select
from angulus.errors import CheckpointError, ConfigError
from angulus.extract import embed
from angulus.heads import MarginHead, SeparateHeads, each_head, start_from
from angulus.heads.weights_by_name import NamedWeights, TakenOver, check_merged, take_over
from angulus.models import EmbeddingModel
from angulus.training.distributed import Processes
from angulus.training.experiment import Head
from angulus.training.storage.checkpoint import NAME, Checkpoint, Checkpoints, content_told, load_content
from angulus.training.storage.class_names import read_classes

log = logging.getLogger(__name__)


def begin_classes(
    config: Head,
    head: MarginHead | SeparateHeads,
    model: EmbeddingModel,
    source: Source,
    device: torch.device,
    group: Processes,
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


def from_run(config: Head, path: Path, head: MarginHead | SeparateHeads, names: Sequence[str], tells: bool) -> set[str]:
    """Take over class weights by name; the names that are new."""
    old = read_weights(path)
    try:
        check_merged(names, old.names, config.merged)
        found = [
            take_over(one, some := names[classes.start : classes.stop], old, merged_of(config, some))
            for _, one, classes in each_head(head)
        ]
    except ValueError as error:
        raise ConfigError(f"head.weights_from: {path} does not fit: {error}") from error
    taken = together(found)
    if tells:
        log.info(
            "class weights from %s: %d taken over by name, %d merged, %d new, %d dropped",
            *(path, len(taken.kept), len(taken.merged), len(taken.new), len(taken.dropped)),
        )
        if any(one.bias is not None for _, one, _ in each_head(head)) and old.bias is None:
            log.warning("%s has no bias: that of all classes begins at 0", path)
    return set(taken.new)


def together(found: Sequence[TakenOver]) -> TakenOver:
    """What became of the classes of several heads: an old one is dropped where no head took it."""
    unused = set(found[0].dropped).intersection(*(one.dropped for one in found))
    return TakenOver(
        kept=tuple(name for one in found for name in one.kept),
        merged=tuple(name for one in found for name in one.merged),
        new=tuple(name for one in found for name in one.new),
        dropped=tuple(name for name in found[0].dropped if name in unused),
    )


def merged_of(config: Head, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which of these identities are joined from several old ones."""
    known = frozenset(names) if config.merged else frozenset[str]()
    return {name: olds for name, olds in config.merged.items() if name in known}


def from_images(
    head: MarginHead | SeparateHeads,
    model: EmbeddingModel,
    source: Source,
    is_open: np.ndarray,
    device: torch.device,
) -> int:
    """Put the weights of this process's open classes at their mean embeddings; how many were set."""
    count = 0
    for _, one, classes in each_head(head):
        labels = source.labels - classes.start
        held = (labels >= one.classes.start) & (labels < one.classes.stop) & is_open[source.labels]
        if held.any():
            found = embed(model, select(source, np.flatnonzero(held)), batch_size=256, flip=False, device=device)
            means = torch.from_numpy(found.embeddings).to(device)
            length = None if one.margin.free_weights else 1.0  # where the length means nothing but the pace
            count += start_from(one, means, torch.from_numpy(labels[held]).to(device), length=length)
    return count


def read_weights(path: Path, *, asked: str = "head.weights_from") -> NamedWeights:
    """The class weights of a run folder (its newest checkpoint) or of a checkpoint of either kind, on the CPU.

    Those of separate heads come one set after the other, as the names of their classes do. asked: who asks for them,
    for messages.
    """
    place = find_checkpoint(path, asked)
    content = load_content(place, torch.device("cpu"), mapped=True)
    names = content.classes or read_classes(place.parent.parent)
    if names is None:
        raise CheckpointError(
            f"{asked}: {place} holds no names of identities, since it was written before they were kept; "
            "put them into classes.json of its run folder, in the order of the classes"
        )
    with content_told(place):
        sizes = content.architecture["head"]["classes"]
        heads = [tensors_of(place, content, name) for name in (sizes if isinstance(sizes, dict) else ("",))]
        biases = [bias for tensors in heads if (bias := tensors.get("bias")) is not None]
        weight = joined([tensors["weight"] for tensors in heads])
        bias = joined(biases) if len(biases) == len(heads) else None
        if weight.ndim not in (2, 3) or not weight.is_floating_point() or len(weight) != len(names):
            raise ValueError(f"class weights must have a row for each of {len(names)} names, got {list(weight.shape)}")
        if bias is not None and bias.shape != (len(names),):
            raise ValueError(f"the bias must have a value for each of {len(names)} names, got {list(bias.shape)}")
    return NamedWeights(names, weight, bias)


def tensors_of(place: Path, content: Checkpoint, name: str) -> dict[str, torch.Tensor]:
    """weight and bias of the head of a set in a checkpoint; name: "" where there is one head."""
    if place.is_dir():
        from angulus.heads.sharding.resharding import read_tensors  # takes long to import

        return read_tensors(place / name, ("weight", "bias"))
    prefix = f"of_{name}." if name else ""
    tensors = content.tensors["head"]
    return {key: tensors[f"{prefix}{key}"] for key in ("weight", "bias") if f"{prefix}{key}" in tensors}


def joined(tensors: list[torch.Tensor]) -> torch.Tensor:
    # one alone stays on the disk until it is looked at
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


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
