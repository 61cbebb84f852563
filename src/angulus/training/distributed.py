"""Several processes, one run: what torchrun sets up, and batch norm whose statistics they share."""

import copy
import itertools
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from angulus.devices.launched import launched
from angulus.devices.meeting import agreed_name, keeps_store, store_of_launch
from angulus.errors import AngulusError
from angulus.models import EmbeddingModel


@dataclass(frozen=True)
class Processes:
    """This process among all: `rank` of `world`. group is None for a single process."""

    rank: int = 0
    world: int = 1
    group: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a number over the processes."""
        if self.group is None:
            return value
        total = value.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total

    def least(self, value: Tensor) -> Tensor:
        """The smallest of a number over the processes."""
        if self.group is None:
            return value
        least = value.detach().clone()
        dist.all_reduce(least, dist.ReduceOp.MIN, group=self.group)
        return least

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over the processes."""
        return self.sum(value) / self.world

    def wait(self) -> None:
        if self.group is not None:
            dist.barrier(group=self.group)

    def every(self, value: Any) -> list[Any]:
        """A small value of every process, in order of rank."""
        if self.group is None:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.group)
        return values

    @contextmanager
    def together(self) -> Generator[None, None, None]:
        """What is done in here by some processes succeeds for all, or raises in all: none goes on alone and waits.

        Every process enters; what waits for another process does not belong in here.
        """
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
        told = failure if failure is None or isinstance(failure, AngulusError) else repr(failure)
        found = self.every(told)
        if failure is not None:
            raise failure
        for rank, other in enumerate(found):
            if other is not None:
                raise other if isinstance(other, AngulusError) else AngulusError(f"process {rank} stopped: {other}")


@contextmanager
def processes(device: torch.device) -> Generator[Processes, None, None]:
    """The processes of this run: those that torchrun started, or this one alone.

    A group that was there before is used and left; one that is made here is destroyed after a barrier. A group of
    one is as good as none.
    """
    if not dist.is_initialized() and launched() is None:
        yield Processes()
        return
    made = not dist.is_initialized()
    if made:
        if device.index is not None:
            torch.cuda.set_device(device)  # where values that are not tensors travel through
        join_processes("nccl" if device.type == "cuda" else "gloo")
    try:
        world = dist.get_world_size()
        yield Processes(dist.get_rank(), world, dist.group.WORLD) if world > 1 else Processes()
        if made:
            dist.barrier()
    finally:
        if made:
            dist.destroy_process_group()


_JOINED = itertools.count()


def join_processes(backend: str) -> None:
    """Form the group of the processes that torchrun started, under a name of its own.

    torch names the first group alike each time, so that in a second one a process may find the addresses of the first,
    where nobody listens any more. The same holds of processes that torchrun starts again (`devices.meeting`).
    """
    if keeps_store() and (found := launched()) is not None:
        store, (rank, world) = store_of_launch(), found
        name = agreed_name(store, rank, world)
    else:
        store, rank, world = next(dist.rendezvous("env://"))
        name = f"run-{next(_JOINED)}"
    named = dist.PrefixStore(name, store)
    dist.init_process_group(backend, store=named, rank=rank, world_size=world)


def local_device(device: torch.device) -> torch.device:
    """The CUDA device of this process when there are several on one machine."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


class Summed(torch.autograd.Function):
    """The sum of a tensor over the processes, of which each has a part of the loss."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return total_of(value, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        return total_of(grads[0], ctx.group), None


def total_of(value: Tensor, group: dist.ProcessGroup) -> Tensor:
    total = value.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total


class SynchronisedBatchNorm(_BatchNorm):
    """Batch norm over the global batch, for any device and any backend, with the tensors of another batch norm."""

    def __init__(self, inner: _BatchNorm, group: dist.ProcessGroup) -> None:
        super().__init__(inner.num_features, inner.eps, inner.momentum, inner.affine, inner.track_running_stats)
        self.weight, self.bias = inner.weight, inner.bias
        for name, buffer in inner.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self.group = group
        self.train(inner.training)

    def __deepcopy__(self, memo: dict[int, Any]) -> "SynchronisedBatchNorm":
        """A copy belongs to the same processes."""
        found = self.__class__.__new__(self.__class__)
        memo |= {id(self): found, id(self.group): self.group}
        found.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return found

    def _check_input_dim(self, input: Tensor) -> None:
        return

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        count = x.new_full((1,), x.numel() / x.shape[1])
        dist.all_reduce(count, group=self.group)
        mean = Summed.apply(x.sum(axes), self.group) / count
        centred = x - mean.view(shape)
        variance = Summed.apply(centred.square().sum(axes), self.group) / count
        self.remember(mean.detach(), (variance * count / (count - 1).clamp(min=1)).detach())
        y = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


@contextmanager
def batch_norm_synchronised(model: EmbeddingModel, group: dist.ProcessGroup | None) -> Generator[None, None, None]:
    """Replace the batch norms of a model by synchronised ones while it is trained; afterwards it is as it was."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    if group is not None:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, _BatchNorm):
                    replaced.append((parent, name, child))
                    setattr(parent, name, SynchronisedBatchNorm(child, group))
    try:
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)


def freeze_batch_norm(model: nn.Module) -> None:
    """Put the batch norms of a model into evaluation mode: their statistics stay as they are."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
