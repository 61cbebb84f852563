"""Which other class is nearest to an example: the largest cosine, block by block of the classes, whatever sums them."""

import torch
import torch.distributed as dist
from torch import Tensor

from angulus.heads import MarginHead, SeparateHeads, each_head
from angulus.heads.strategies.cosine import unit

BLOCK = 2**14
LEAST = -2.0
"""Less than any cosine: for an example that has no other class."""


@torch.no_grad()
def nearest_other(head: MarginHead | SeparateHeads, units: Tensor, labels: Tensor) -> Tensor:
    """[n] the largest cosine of each unit embedding [n, d] to a class that is not its own, among those of its head.

    labels: [n] int64, -1 for none. Where classes are divided over processes, all of them call this, each with as many
    examples.
    """
    best = torch.full_like(units[:, 0], LEAST)
    for _, one, classes in each_head(head):
        inside = (labels >= classes.start) & (labels < classes.stop)
        best = torch.where(inside, nearest_of(one, units, labels - classes.start), best)
    return best


def nearest_of(head: MarginHead, units: Tensor, labels: Tensor) -> Tensor:
    if not head.holds_whole_gradient or head.process_group is None:
        return nearest_row(units, labels, head.weight.detach(), head.classes.start)
    group = head.process_group
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    everyone = [torch.empty_like(units) for _ in range(world)]
    dist.all_gather(everyone, units.contiguous(), group=group)
    wanted = [torch.empty_like(labels) for _ in range(world)]
    dist.all_gather(wanted, labels.contiguous(), group=group)
    found = nearest_row(torch.cat(everyone), torch.cat(wanted), head.weight.detach(), head.classes.start)
    dist.all_reduce(found, dist.ReduceOp.MAX, group=group)
    return found.split(len(units))[rank]


def nearest_row(units: Tensor, labels: Tensor, weight: Tensor, first: int) -> Tensor:
    """[n] the largest cosine to a row of weight [c, d] or [c, k, d], whose classes begin at `first`."""
    blocks = weight if weight.ndim == 3 else weight[:, None]
    best = torch.full_like(units[:, 0], LEAST)
    for start in range(0, len(blocks), BLOCK):
        rows = unit(blocks[start : start + BLOCK].to(units.dtype))
        cos = (units @ rows.flatten(0, 1).T).unflatten(1, rows.shape[:2]).amax(2)
        numbers = torch.arange(first + start, first + start + len(rows), device=units.device)
        best = torch.maximum(best, cos.masked_fill(numbers == labels[:, None], LEAST).amax(1))
    return best
