"""From a run to its checkpoints and back: what is saved of network, head, optimizer and random numbers.

A head that the recipe divides (`head.sharded`) is saved by all processes into a folder, by classes, so that any other
number of processes reads the rows of its own classes; with one process it is saved in the same form. Where every data
set has a head, each is saved into a folder of its name in there.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from angulus.errors import CheckpointError, DamagedCheckpointError
from angulus.heads import MarginHead, SeparateHeads, each_head
from angulus.heads.sharding.remarks import one_process_is_fine
from angulus.models import EmbeddingModel, ModelConfig
from angulus.training.distributed import Processes
from angulus.training.optimization import set_state_of, state_of
from angulus.training.recipe.serialization import record
from angulus.training.storage.checkpoint import Checkpoint, Checkpoints, content_told, read_checkpoint, step_of
from angulus.training.storage.host_copies import HostCopies

log = logging.getLogger(__name__)


@dataclass
class TrainState:
    """What changes while a run goes on, and what a checkpoint holds besides weights and optimizer."""

    step: int = 0
    best: float | None = None
    seconds: float = 0.0  # of training before this process took over
    recorded: dict[str, Any] = field(default_factory=dict)  # of an unfinished stretch; see training/recording
    sums: dict[str, torch.Tensor] = field(default_factory=dict)  # of networks for a mean; see stages/averaging
    summed: int = 0  # how many they are
    centers: torch.Tensor | None = None  # [c, d], of a center loss; the same on all processes


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The things of a run that a checkpoint is about.

    classes: names of the identities in class order.  divided: whether the recipe divides the head over processes.
    has_centers: whether the recipe has a center loss.
    """

    model: EmbeddingModel
    config: ModelConfig
    head: MarginHead | SeparateHeads
    optimizer: torch.optim.Optimizer
    classes: tuple[str, ...]
    device: torch.device
    group: Processes
    divided: bool
    has_centers: bool = False

    def architecture(self) -> dict[str, Any]:
        heads = each_head(self.head)
        classes: Any = {name: head.num_classes for name, head, _ in heads}
        head = {"classes": classes.get("", classes), "subcenters": self.head.subcenters}
        return {"model": record(self.config), "head": head}


@dataclass(frozen=True)
class Snapshot:
    """What a process adds to a checkpoint. Its tensors share memory with the run until they are copied.

    content: everything but a divided head; empty in other processes than the first.  heads: by the name of each head
    its tensors in this process, where the recipe divides it, else None.
    """

    content: Checkpoint
    heads: dict[str, dict[str, torch.Tensor]] | None

    def copied(self, copies: HostCopies, group: Processes) -> "Snapshot":
        """The same in memory of its own, to be written among the processes of another group."""
        if self.heads is None:
            return replace(self, content=replace(self.content, tensors=copies.of(self.content.tensors)))
        from angulus.heads.sharding.resharding import part_of_all, put_back_in  # takes long to import

        parts = {name: {key: part_of_all(one) for key, one in head.items()} for name, head in self.heads.items()}
        tensors, parts = copies.of((self.content.tensors, parts))
        heads = {
            name: {key: put_back_in(one, parts[name][key], group.group) for key, one in head.items()}
            for name, head in self.heads.items()
        }
        return Snapshot(replace(self.content, tensors=tensors), heads)


def save(trained: Trained, checkpoints: Checkpoints, state: TrainState) -> None:
    """Write a checkpoint; called by every process. seconds of the state: of the whole run so far."""
    with one_process_is_fine():
        write(snapshot(trained, state), checkpoints, trained.group)


def snapshot(trained: Trained, state: TrainState) -> Snapshot:
    """What a run is at this moment; called by every process."""
    group = trained.group
    own = random_state(trained.device)
    random = group.every(own) if trained.divided else own
    content = checkpoint_of(trained, state, random) if group.is_first else Checkpoint(state.step, {}, {})
    return Snapshot(content, tensors_of_heads(trained) if trained.divided else None)


def write(own: Snapshot, checkpoints: Checkpoints, group: Processes) -> None:
    """Write a checkpoint of what every process has; called by every process of the group."""
    if own.heads is not None:
        heads = own.heads
        checkpoints.save_folder(own.content, lambda path: write_heads(heads, path, group), group)
        return
    with group.together():
        if group.is_first:
            checkpoints.save(own.content)


def checkpoint_of(trained: Trained, state: TrainState, random: Any) -> Checkpoint:
    tensors = {"backbone": trained.model.state_dict(), "best": state.best, "seconds": state.seconds, "random": random}
    tensors["recorded"] = state.recorded
    if state.summed:
        tensors |= {"sums": state.sums, "summed": state.summed}
    if state.centers is not None:
        tensors["centers"] = state.centers
    if trained.divided:
        tensors["optimizer of backbone"] = state_of(trained.optimizer, trained.model)
    else:
        tensors |= {"head": trained.head.state_dict(), "optimizer": trained.optimizer.state_dict()}
    return Checkpoint(state.step, trained.architecture(), tensors, trained.classes)


def restore(trained_at: Callable[[int], Trained], checkpoints: Checkpoints) -> TrainState | None:
    """Put the newest checkpoint back into the run; None where there is none. Called by every process.

    trained_at: what a checkpoint of a step is read into.

    One that is damaged is set aside, with a warning, and the one before it is taken. Raises DamagedCheckpointError
    where none before it can be read.
    """
    paths = checkpoints.paths()
    for place, path in reversed(list(enumerate(paths))):
        trained = trained_at(step_of(path))
        try:
            state = put_back(trained, path)
        except DamagedCheckpointError as error:
            if not place:
                raise
            before = paths[place - 1]
            with trained.group.together():
                if trained.group.is_first:
                    log.warning("%s. It is set aside as %s.damaged: going on from %s", *(error, path.name, before.name))
                    checkpoints.set_aside(path)
        else:
            return state
    return None


def put_back(trained: Trained, path: Path) -> TrainState:
    """Put one checkpoint back into the run."""
    with trained.group.together():
        found = read_checkpoint(path, trained.architecture(), trained.classes, trained.device)
    tensors = found.tensors
    with content_told(path):
        trained.model.load_state_dict(tensors["backbone"])
        if trained.divided:
            set_state_of(trained.optimizer, trained.model, tensors["optimizer of backbone"])
            load_head(trained, path)
        else:
            trained.head.load_state_dict(tensors["head"])
            trained.optimizer.load_state_dict(checked_settings(trained.optimizer, tensors["optimizer"]))
        check_optimizer(trained.optimizer)
        set_random_state(tensors["random"], trained.group.rank, trained.device)
        best, seconds, recorded = tensors["best"], tensors.get("seconds", 0.0), tensors.get("recorded", {})
        if not (best is None or is_number(best)) or not (is_number(seconds) and seconds >= 0):
            raise ValueError("its best figure and its seconds must be numbers")
        sums, summed = tensors.get("sums", {}), tensors.get("summed", 0)
        check_sums(sums, summed, tensors["backbone"])
        centers = tensors["centers"] if trained.has_centers else None
        check_centers(centers, trained)
        if not isinstance(recorded, dict):
            raise ValueError(f"what it recorded must be numbers by name, got {recorded!r:.60}")
    return TrainState(found.step, best, seconds, recorded, sums, summed, centers)


def check_sums(sums: Any, summed: Any, network: dict[str, torch.Tensor]) -> None:
    """Raise ValueError unless the sums for a mean are those of this network."""
    fits = isinstance(sums, dict) and type(summed) is int and summed >= 0 and bool(sums) == bool(summed)
    if fits and sums:
        fits = sums.keys() == network.keys() and all(
            isinstance(value, torch.Tensor) and value.shape == network[name].shape for name, value in sums.items()
        )
    if not fits:
        raise ValueError("its sums for a mean of networks do not fit this network")


def check_centers(centers: Any, trained: Trained) -> None:
    """Raise ValueError unless the centers are those of these classes."""
    shape = (trained.head.num_classes, trained.model.embedding_dim)
    if trained.has_centers and not (
        isinstance(centers, torch.Tensor) and centers.shape == shape and centers.dtype == torch.float32
    ):
        raise ValueError(f"its centers must be float32 [{shape[0]}, {shape[1]}], a row for each class")


def check_step(folder: Path, step: int, total: int) -> None:
    """Raise CheckpointError for a checkpoint of more steps than the run has: its end would never have been trained."""
    if step > total:
        raise CheckpointError(
            f"the newest checkpoint in {folder} is of step {step}, and the run has {total}: it is of another run; "
            "remove it to go on from the one before"
        )


def checked_settings(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The stored state of an optimizer, whose settings are of the types that the optimizer's own have."""
    for own, stored in zip(optimizer.param_groups, state["param_groups"], strict=True):
        for name, value in own.items():
            if name != "params" and name in stored and not is_alike(stored[name], value):
                raise ValueError(f"{name} of its optimizer must be of the kind of {value!r}, got {stored[name]!r:.60}")
    return state


def is_alike(stored: Any, own: Any) -> bool:
    """Whether two settings are of one kind; torch turns some numbers into whole ones, and texts are not among them."""
    if isinstance(own, list | tuple):
        return isinstance(stored, list | tuple) and all(map(is_number, stored)) and len(stored) == len(own)
    return is_number(stored) if is_number(own) else type(stored) is type(own)


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError unless all that an optimizer keeps of a parameter has its shape, or is one number."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            fits = isinstance(value, torch.Tensor) and (value.shape == parameter.shape or value.numel() == 1)
            if not fits and value is not None and not is_number(value):
                raise ValueError(f"{name} of its optimizer does not fit a weight of {list(parameter.shape)}")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def tensors_of_heads(trained: Trained) -> dict[str, dict[str, torch.Tensor]]:
    from angulus.heads.sharding.resharding import sharded_state  # takes long to import

    return {name: sharded_state(head, trained.optimizer) for name, head, _ in each_head(trained.head)}


def write_heads(heads: dict[str, dict[str, torch.Tensor]], path: Path, group: Processes) -> None:
    from angulus.heads.sharding.resharding import write_tensors  # takes long to import

    for name, tensors in heads.items():
        write_tensors(tensors, path / name, group.group)


def load_head(trained: Trained, path: Path) -> None:
    from angulus.heads.sharding.resharding import load_sharded  # takes long to import

    for name, head, _ in each_head(trained.head):
        load_sharded(head, path / name, trained.optimizer)


def random_state(device: torch.device) -> dict[str, Any]:
    """Where torch's random numbers stand in this process."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(saved: Any, rank: int, device: torch.device) -> None:
    """Go on with the random numbers of this process; one that was not there before keeps its own."""
    if isinstance(saved, list):
        if rank >= len(saved):
            return
        saved = saved[rank]
    torch.set_rng_state(saved["cpu"].cpu())
    if device.type == "cuda" and saved["cuda"] is not None:
        torch.cuda.set_rng_state(saved["cuda"].cpu(), device)
