"""Numbers and small tensors on a device without waiting for it.

A tensor that is made of Python numbers, or copied from ordinary memory, makes the program wait until the device has
done all that it was told. A number that is filled in there does not, nor does a copy from pinned memory.
"""

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The values on a device; to one with a memory of its own they are copied from pinned memory."""
    if device.type == "cpu" or values.device.type != "cpu":
        return values.to(device)
    return pinned(values).to(device, non_blocking=True)


def pinned(values: Tensor) -> Tensor:
    """The values in memory from which a CUDA device copies by itself; where there is none, as they are."""
    return values.pin_memory() if torch.cuda.is_available() else values


def scalar(value: float | Tensor, like: Tensor) -> Tensor:
    """A number as a tensor [] with the type and the device of another; a tensor keeps its shape."""
    if isinstance(value, Tensor):
        return sent(value, like.device).to(like.dtype)
    return torch.full((), value, dtype=like.dtype, device=like.device)
