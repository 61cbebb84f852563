"""Checkpoints of a head that are saved by any number of processes and loaded by any other.

A folder of torch.distributed.checkpoint: what has a row per class is written by the process that owns the class, and
read as whole tensors would be. Not imported by `angulus.heads`, because DTensor takes long to import.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed.checkpoint as checkpoint
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.optim import Optimizer

from angulus.errors import CheckpointError, DamagedCheckpointError
from angulus.heads.head import MarginHead
from angulus.heads.sharding.metadata import SealedWriter, TensorReader
from angulus.heads.sharding.remarks import one_process_is_fine
from angulus.heads.sharding.sharded import ShardedHead

log = logging.getLogger(__name__)

ROWS = ("weight", "bias")
REMEDY = "remove it and take an earlier one"
STEPS = "update_steps"
SAVED = "optimizer.saved"  # that an optimizer was saved, also where it has no state


def save_sharded(head: MarginHead, path: Path, optimizer: Optimizer | None = None) -> None:
    """Write the head, and the optimizer's state of its parameters, into a folder. Called by every process.

    The settings of the optimizer (learning rate, momentum) are not written. Raises CheckpointError on every process
    where the folder cannot be written.
    """
    with one_process_is_fine():
        write_tensors(sharded_state(head, optimizer), path, head.process_group)


def write_tensors(state: dict[str, Tensor], path: Path, group: ProcessGroup | None) -> None:
    """Write what `sharded_state` gave into a folder. Called by every process of a group.

    Alone, torch warns of it (`one_process_is_fine`, which is not for a thread beside others).
    """
    with as_sentence(CheckpointError, f"{path} could not be written", "make room, or choose another folder"):
        checkpoint.save(state, storage_writer=SealedWriter(path), process_group=group, no_dist=group is None)


def part_of_all(tensor: Tensor) -> Tensor:
    """Of a tensor of `sharded_state`, what lies in this process: the rows of its classes, or all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def put_back_in(tensor: Tensor, part: Tensor, group: ProcessGroup | None) -> Tensor:
    """What `part_of_all` gave, copied to the CPU, as a part of all again, among the same processes in another group."""
    if not isinstance(tensor, DTensor):
        return part
    mesh = DeviceMesh.from_group(cast(ProcessGroup, group), "cpu")
    return DTensor.from_local(part, mesh, tensor.placements, shape=tensor.size(), stride=tensor.stride())


def load_sharded(head: MarginHead, path: Path, optimizer: Optimizer | None = None) -> None:
    """Read a folder of `save_sharded` into a head, in place. Called by every process.

    The folder may come from another number of processes, from a `MarginHead` or from a `ShardedHead`. Raises
    CheckpointError where it does not fit the head or is damaged. An optimizer's state is left alone where none was
    saved.
    """
    saved = read_metadata(path)
    state = sharded_state(head)
    check_fit(path, saved, state)
    kept = {} if optimizer is None else empty_state(head, saved)
    if optimizer is not None and not kept and SAVED not in saved.state_dict_metadata:
        log.warning("%s holds no optimizer state: the optimizer starts afresh", path)
    targets = state | {key_of(name, key): as_saved(head, name, tensor) for (name, key), tensor in kept.items()}
    with (
        one_process_is_fine(),
        as_sentence(DamagedCheckpointError, f"{path} is not a readable checkpoint", REMEDY),
    ):
        checkpoint.load(
            targets,
            storage_reader=TensorReader(path),
            process_group=head.process_group,
            no_dist=head.process_group is None,
        )
    head.step = int(targets["step"])
    if head.mover is not None:
        head.mover.restart(int(targets[STEPS]))
    if optimizer is not None:
        parameters = dict(head.named_parameters())
        for (name, key), tensor in kept.items():
            optimizer.state[parameters[name]][key] = on_its_device(optimizer, parameters[name], tensor)


def read_tensors(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """Whole tensors of a folder of `save_sharded` by name, on the CPU; those that it does not hold are left out.

    Reads without other processes, whoever saved the folder.
    """
    saved = read_metadata(path).state_dict_metadata
    entries = {name: entry for name in names if isinstance(entry := saved.get(name), TensorStorageMetadata)}
    tensors = {name: torch.empty(entry.size, dtype=entry.properties.dtype) for name, entry in entries.items()}
    with one_process_is_fine(), as_sentence(DamagedCheckpointError, f"{path} is not a readable checkpoint", REMEDY):
        checkpoint.load({**tensors}, storage_reader=TensorReader(path), no_dist=True)
    return tensors


def sharded_state(head: MarginHead, optimizer: Optimizer | None = None) -> dict[str, Tensor]:
    """The tensors of a head by name, for torch.distributed.checkpoint; they share memory with the head.

    In a `ShardedHead` those with a row per class are DTensors of all classes: weight, bias, the state of an update
    inside the backward pass, and each tensor of the optimizer's state of weight and bias that has as many rows.
    "step" and "update_steps" are copies.
    """
    state = {name: tensor for name, tensor in head.state_dict().items() if isinstance(tensor, Tensor)}
    state = {name: rows_of_all(head, tensor) if name in ROWS else tensor for name, tensor in state.items()}
    for name in () if head.mover is None else head.mover.state:
        # the sub-centers of a class stay together, wherever the classes are cut
        rows = state[f"update_{name}"].unflatten(0, (len(head.classes), -1))
        state[f"update_{name}"] = rows_of_all(head, rows)
    state["step"] = torch.tensor(head.step)
    if head.mover is not None:
        state[STEPS] = torch.tensor(head.mover.steps)
    if optimizer is not None:
        state[SAVED] = torch.tensor(True)
        for name, key, tensor in optimizer_tensors(head, optimizer):
            state[key_of(name, key)] = as_saved(head, name, tensor)
    return state


def optimizer_tensors(head: MarginHead, optimizer: Optimizer) -> Iterator[tuple[str, str, Tensor]]:
    """(parameter, name in the optimizer's state, tensor) for the head's parameters."""
    for name, parameter in head.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is None:
                continue
            if not isinstance(value, Tensor):
                kind = type(optimizer).__name__
                raise CheckpointError(f"only tensors of an optimizer's state can be saved; {kind} has {key}={value!r}")
            yield name, key, value


def key_of(name: str, key: str) -> str:
    return f"optimizer.{name}.{key}"


def as_saved(head: MarginHead, name: str, tensor: Tensor) -> Tensor:
    """A tensor of the optimizer's state for the parameter `name`, in the form in which it is saved and loaded."""
    per_class = name in ROWS and tensor.ndim > 0 and len(tensor) == len(head.classes)
    return rows_of_all(head, tensor) if per_class else tensor


def rows_of_all(head: MarginHead, tensor: Tensor) -> Tensor:
    """A tensor with a row for each class of this process, as part of one with a row for every class."""
    if not isinstance(head, ShardedHead):
        return tensor
    mesh = DeviceMesh.from_group(head.group, tensor.device.type)
    shape = torch.Size((head.num_classes, *tensor.shape[1:]))
    strides = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return DTensor.from_local(tensor.detach().contiguous(), mesh, [Shard(0)], shape=shape, stride=strides)


def empty_state(head: MarginHead, saved: Metadata) -> dict[tuple[str, str], Tensor]:
    """Room for the optimizer's state that was saved: by parameter and name, of this process's size."""
    room: dict[tuple[str, str], Tensor] = {}
    for name, parameter in head.named_parameters():
        prefix = key_of(name, "")
        for full, entry in saved.state_dict_metadata.items():
            if full.startswith(prefix) and isinstance(entry, TensorStorageMetadata):
                size = list(entry.size)
                if name in ROWS and size and size[0] == head.num_classes:
                    size[0] = len(head.classes)
                place = parameter.device if size else torch.device("cpu")
                room[name, full.removeprefix(prefix)] = torch.empty(size, dtype=entry.properties.dtype, device=place)
    return room


def on_its_device(optimizer: Optimizer, parameter: Tensor, tensor: Tensor) -> Tensor:
    """A count of steps stays on the CPU unless the optimizer is fused or capturable, as in torch.optim."""
    for group in optimizer.param_groups:
        if any(parameter is other for other in group["params"]) and (group.get("fused") or group.get("capturable")):
            return tensor.to(parameter.device)
    return tensor


def read_metadata(path: Path) -> Metadata:
    try:
        return TensorReader(path).read_metadata()
    except FileNotFoundError as missing:
        raise DamagedCheckpointError(
            f"{path} is no whole checkpoint of a head: it has no file .metadata; take another"
        ) from missing
    except Exception as error:  # a damaged pickle raises half a dozen types
        raise DamagedCheckpointError(
            f"{path} is not a readable checkpoint (.metadata: {first_line(error)}); {REMEDY}"
        ) from error


def check_fit(path: Path, saved: Metadata, state: dict[str, Tensor]) -> None:
    """Raise CheckpointError unless the folder holds each tensor in the same size."""
    for name, tensor in state.items():
        entry: Any = saved.state_dict_metadata.get(name)
        if entry is None:
            reason = "another update" if name.startswith("update_") else "another margin"
            raise CheckpointError(f"{path} holds no {name}: it was saved from a head with {reason}")
        if entry.size != tensor.size():
            raise CheckpointError(
                f"{path} holds {name} of shape {list(entry.size)}, the head has {list(tensor.size())}; "
                "num_classes, embedding_dim and subcenters must be those of the saved head"
            )


@contextmanager
def as_sentence(kind: type[CheckpointError], what: str, remedy: str) -> Generator[None, None, None]:
    """The failure of a process as one CheckpointError; torch raises on all processes what went wrong in one."""
    try:
        yield
    except CheckpointException as found:
        reason = first_line(next(iter(found.failures.values()))[0])
        raise kind(f"{what} ({reason}); {remedy}") from found


def first_line(error: BaseException) -> str:
    """The kind of an error and the beginning of what it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
