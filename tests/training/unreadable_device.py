"""A device whose values nobody can read, which stands for a GPU where there is none.

Tensors on torch's "meta" device have no values, so that whatever would make a program wait for a GPU fails by itself:
`item`, `nonzero`, masks as indices, `tolist`, `numpy`, copies to the host. What would wait to put something there
(tensors of Python numbers, lists as indices, copies from ordinary memory) is refused by `Watch`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from devices.gpu import HAS_GPU, LAST
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from angulus.devices import copies as device_copies

DEVICE = torch.device(LAST if HAS_GPU else "meta")


class WaitError(AssertionError):
    """The program would have waited for the device."""


class Numbers(TorchFunctionMode):
    """Refuses tensors of Python numbers on the device, and lists as indices of its tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor, torch.asarray):
            there = torch.device(kwargs.get("device") or "cpu").type != "cpu"
            if there and not (isinstance(args[0], Tensor) and args[0].device.type != "cpu"):
                raise WaitError(f"torch.{func.__name__} puts {args[0]!r} on the device")
        if func is Tensor.new_tensor and args[0].device.type != "cpu":
            raise WaitError(f"new_tensor puts {args[1]!r} on the device")
        if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].device.type != "cpu":
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, list) for part in index):
                raise WaitError(f"a list is an index: {args[1]}")
        return func(*args, **kwargs)


class Copies(TorchDispatchMode):
    """Refuses operations that take a tensor of ordinary memory to the device, or one of the device from there."""

    def __init__(self) -> None:
        super().__init__()
        self.pinned: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        # a number on the host is read there, when the device is told what to compute
        host = [tensor for tensor in tensors if tensor.device.type == "cpu" and (tensor.ndim or "copy" in str(func))]
        everything = [*tensors, *(leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor))]
        if host and any(tensor.device.type != "cpu" for tensor in everything):
            is_sent = kwargs.get("non_blocking") and any(host[0] is tensor for tensor in self.pinned)
            if not is_sent:
                raise WaitError(f"{func} takes ordinary memory and the device: {[tensor.device for tensor in tensors]}")
        return found

    def pin(self, values: Tensor) -> Tensor:
        self.pinned.append(values)
        return values


@contextmanager
def nothing_waits(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Raises where the program would wait for the device; on a CUDA device torch itself says so."""
    if DEVICE.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return
    copies = Copies()
    with patch.context() as context:
        context.setattr(device_copies, "pinned", copies.pin)
        with Numbers(), copies:
            yield


def stand_in(patch: pytest.MonkeyPatch) -> None:
    """Let autocast and generators pass, which know no such device."""
    if DEVICE.type == "meta":
        torch.zeros(1, device=DEVICE).lt(0)  # the first one imports annotations of torch.Generator
        generator = torch.Generator
        patch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
        patch.setattr(torch, "Generator", lambda device=None: generator())
