"""Tensors that pass between processes which share one loss, with the gradients of a single process.

Each process holds some of the classes, and all compute the same loss of the same global batch. So the gradient of a
tensor is either whole on every process, or each process has only the term of its classes. Six passages follow:

    gathered      own rows -> rows of all       the gradient is whole: its own rows
    spread        own rows -> rows of all       the gradient is in terms: their sum, its own rows
    entering      whole -> into one's classes   the value stays; the gradient is the sum of the terms
    known_by_one  one process knows the value   the value is summed; the gradient stays
    added_up      terms -> their sum            the gradient is whole: it stays
    log_summed    terms -> log of sum of exp    the gradient is whole: times the share of one's own term

The gradients take part in collectives, so every process must run the backward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Rows:
    """The rows of a global batch: `sizes[r]` of them belong to process r, in order of rank."""

    group: dist.ProcessGroup
    rank: int
    sizes: tuple[int, ...]

    @property
    def own(self) -> slice:
        """Where the rows of this process stand."""
        start = sum(self.sizes[: self.rank])
        return slice(start, start + self.sizes[self.rank])

    def join(self, values: Tensor) -> Tensor:
        """values [n, ...] of all processes one after the other, without gradient."""
        most = max(self.sizes)
        parts = values.new_empty(len(self.sizes), most, *values.shape[1:])
        dist.all_gather(list(parts.unbind(0)), padded(values.detach(), most), group=self.group)
        if min(self.sizes) == most:
            return parts.flatten(0, 1)
        return torch.cat([part[:size] for part, size in zip(parts, self.sizes, strict=True)])

    def sum_of_own(self, values: Tensor) -> Tensor:
        """The sum over the processes of values [all rows, ...]; of it, the rows of this process."""
        most = max(self.sizes)
        parts = [padded(part, most) for part in values.split(self.sizes)]
        total = torch.empty_like(parts[self.rank])
        dist.reduce_scatter(total, parts, group=self.group)
        return total[: self.sizes[self.rank]]


def padded(values: Tensor, rows: int) -> Tensor:
    """values [n, ...], filled up with zeros to a number of rows."""
    if len(values) == rows:
        return values.contiguous()
    return torch.cat([values, values.new_zeros(rows - len(values), *values.shape[1:])])


def rows_of(labels: Tensor, group: dist.ProcessGroup, sizes: Sequence[int] | None) -> Rows:
    """How the rows of a batch are spread; the sizes are exchanged unless they are given, which waits for the device."""
    world, rank = dist.get_world_size(group), dist.get_rank(group)
    if sizes is None:
        size = torch.tensor([len(labels)], device=labels.device)
        found = size.new_empty(world, 1)
        dist.all_gather(list(found.unbind(0)), size, group=group)
        return Rows(group, rank, tuple(found.flatten().tolist()))
    if len(sizes) != world or sizes[rank] != len(labels):
        raise ValueError(
            f"batch_sizes must be the batch size of each of {world} processes, with {len(labels)} for process {rank}; "
            f"got {list(sizes)}"
        )
    return Rows(group, rank, tuple(sizes))


def dealt(values: Tensor, group: dist.ProcessGroup) -> Tensor:
    """values [processes, ...], without gradient: row r goes to process r, which gets such a row of every process."""
    found = torch.empty_like(values, memory_format=torch.contiguous_format)
    dist.all_to_all_single(found, values.contiguous(), group=group)
    return found


def gathered(values: Tensor, rows: Rows) -> Tensor:
    """values [n, ...] of all processes, for what every process computes alike: the gradient is whole everywhere."""
    return Gathered.apply(values, rows)


def spread(values: Tensor, rows: Rows) -> Tensor:
    """values [n, ...] of all processes, for what each process computes for its own classes."""
    return Spread.apply(values, rows)


def entering(value: Tensor, group: dist.ProcessGroup) -> Tensor:
    """A tensor that is the same on all processes, on its way into what a process computes for its own classes."""
    return Entering.apply(value, group)


def known_by_one(values: Tensor, known: Tensor, group: dist.ProcessGroup) -> Tensor:
    """values [n], of which each process knows those marked in `known` [n]; exactly one process knows each."""
    found = torch.where(known, values.detach(), 0.0)
    dist.all_reduce(found, group=group)
    return with_gradient_of(found, values, known)


def with_gradient_of(found: Tensor, values: Tensor, known: Tensor) -> Tensor:
    """The values `found` [n] with the gradient of `values` [n] where these are known."""
    return found + torch.where(known, values - values.detach(), 0.0)


def added_up(values: Tensor, group: dist.ProcessGroup) -> Tensor:
    """The sum over the processes of values of one shape; twice their bytes pass, whatever the number of processes."""
    return AddedUp.apply(values, group)


def log_summed(values: Tensor, group: dist.ProcessGroup) -> Tensor:
    """logsumexp over the processes of values of one shape; four times their bytes pass, however many they are."""
    return LogSummed.apply(values, group)


class AddedUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, group: dist.ProcessGroup) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        return grads[0], None


class LogSummed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, group: dist.ProcessGroup) -> Tensor:
        most = values.clamp(min=torch.finfo(values.dtype).min)  # of minus infinity the difference is not a number
        dist.all_reduce(most, dist.ReduceOp.MAX, group=group)
        total = (values - most).exp()
        own = total.clone()
        dist.all_reduce(total, group=group)
        ctx.save_for_backward(torch.where(total > 0, own / total, 0.0))
        return most + total.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        (share,) = ctx.saved_tensors
        return grads[0] * share, None


class Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Rows) -> Tensor:
        ctx.rows = rows
        return rows.join(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        return grads[0][ctx.rows.own], None


class Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Rows) -> Tensor:
        ctx.rows = rows
        return rows.join(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        return ctx.rows.sum_of_own(grads[0]), None


class Entering(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return value.view_as(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.group)
        return total, None


class Amplified(torch.autograd.Function):
    """The value unchanged, its gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: int) -> Tensor:
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] * ctx.factor, None
