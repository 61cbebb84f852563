"""Copies of what a checkpoint holds, in memory of the host, from which it is written while training goes on."""

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


class HostCopies:
    """Room for one copy at a time, kept for the next: memory that is new to a process costs more than the copying.

    Bytes: those of what was copied last.
    """

    def __init__(self) -> None:
        self.room: list[torch.UntypedStorage] = []
        self.copied: torch.cuda.Event | None = None

    @property
    def nbytes(self) -> int:
        return sum(storage.nbytes() for storage in self.room)

    @torch.no_grad()
    def of(self, value: Value) -> Value:
        """A value of dictionaries, lists and tuples with all its tensors on the host; the copy before is overwritten.

        Tensors that share memory share it in the copy, so that a file of it has the bytes of a file of the value. From
        CUDA they go to pinned memory behind the work that was asked of the stream before; `wait` until they are there.
        """
        tensors = list(tensors_in(value))
        before, self.room = self.room, []
        places: dict[int, torch.UntypedStorage] = {}
        memo: dict[int, Any] = {}
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata not in places:
                on_cuda = storage.device.type == "cuda"
                places[storage._cdata] = room = room_for(storage, before, len(self.room), pinned=on_cuda)
                room.copy_(storage, non_blocking=on_cuda)
                self.room.append(room)
            host = torch.empty(0, dtype=tensor.dtype)
            # pyrefly: ignore[no-matching-overload]  (its stub of set_ does not know untyped storages)
            host.set_(places[storage._cdata], tensor.storage_offset(), tensor.size(), tensor.stride())
            memo[id(tensor)] = host
        if any(tensor.device.type == "cuda" for tensor in tensors):
            self.copied = torch.cuda.Event()
            self.copied.record()
        return copy.deepcopy(value, memo)

    def wait(self) -> None:
        """Until what was copied last is on the host."""
        if self.copied is not None:
            self.copied.synchronize()


def room_for(
    storage: torch.UntypedStorage, before: list[torch.UntypedStorage], place: int, *, pinned: bool
) -> torch.UntypedStorage:
    """The room of the copy before where it fits, else new room."""
    if place < len(before) and before[place].nbytes() == storage.nbytes() and before[place].is_pinned() == pinned:
        return before[place]
    return torch.empty(storage.nbytes(), dtype=torch.uint8, pin_memory=pinned).untyped_storage()


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in dictionaries, lists and tuples, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
