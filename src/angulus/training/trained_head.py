"""The head of a finished run, from its newest checkpoint, with the names of its classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from angulus.errors import CheckpointError
from angulus.heads import MarginHead
from angulus.margins import Margin
from angulus.training.assembly import in_steps
from angulus.training.head_initialisation import find_checkpoint
from angulus.training.storage.checkpoint import Checkpoints, content_told, load_content
from angulus.training.storage.class_names import read_classes


@dataclass(frozen=True, eq=False)
class StoredHead:
    """A head on the CPU in evaluation mode, the names of its classes in order, and the step it was saved at."""

    head: MarginHead
    names: tuple[str, ...]
    step: int


def read_head(run: Path, margin: Margin, epochs: float) -> StoredHead:
    """The head in the newest checkpoint of a run folder.

    margin, epochs: of its recipe; schedules of the margin are counted in its steps. Raises CheckpointError where the
    run has no checkpoint, or one without the names of its classes.
    """
    if not Checkpoints(run / "checkpoints", 1).paths():
        raise CheckpointError(
            f"{run} holds no checkpoint, and its head is kept nowhere else: invert embeddings instead (--images or "
            "--embeddings), or train the run again and keep its checkpoints"
        )
    place = find_checkpoint(run, "the run to read a head from")
    content = load_content(place, torch.device("cpu"))
    names = content.classes or read_classes(run)
    if names is None:
        raise CheckpointError(f"{place} holds no names of its classes; put them into {run / 'classes.json'}, in order")
    with content_told(place):
        if place.is_dir():
            from angulus.heads.sharding.resharding import load_sharded, read_tensors  # takes long to import

            head = _empty(read_tensors(place, ("weight",))["weight"], names, margin, epochs, content.step)
            load_sharded(head, place)
        else:
            head = _empty(content.tensors["head"]["weight"], names, margin, epochs, content.step)
            head.load_state_dict(_without_updates(content.tensors["head"]))
    return StoredHead(head.eval(), tuple(names), content.step)


def _empty(weight: torch.Tensor, names: Sequence[str], margin: Margin, epochs: float, step: int) -> MarginHead:
    if weight.ndim not in (2, 3) or not weight.is_floating_point() or 0 in weight.shape:
        raise ValueError(f"class weights must be [c, d] or [c, k, d], got {list(weight.shape)} of {weight.dtype}")
    if len(weight) != len(names):
        raise ValueError(f"it has {len(weight)} class weights and {len(names)} names of classes")
    counted = in_steps(margin, max(1, round(step / max(epochs, 1))), max(1, step))
    return MarginHead(weight.shape[-1], len(weight), counted, weight.shape[1] if weight.ndim == 3 else 1)


def _without_updates(state: dict) -> dict:
    """Without the optimizer's buffers of a head that moved its weights itself."""
    return {name: value for name, value in state.items() if not name.startswith("update_")}
