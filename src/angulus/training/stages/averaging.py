"""The mean of a network's weights at several moments, which lies better than any of them (Izmailov et al. 2018).

    mean = (w_1 + ... + w_k) / k        of every weight, and of the mean and variance that batch norm keeps

The statistics of batch norm are averaged as wespeaker's are: that needs no data, no random numbers and no exchange, so
that it is the same over any number of processes and after a resumption. They are those of the mean network to first
order in how far the networks lie apart, which is little at the end of a decaying learning rate, where one averages.
Sums are kept in float64.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from angulus.errors import CheckpointError
from angulus.training.storage.checkpoint import Checkpoints, load_content

Sums = dict[str, Tensor]


@torch.no_grad()
def added(sums: Sums, state: dict[str, Tensor]) -> Sums:
    """Sums with one more network; {} is none. What is no floating point number, as a count of batches, is the last."""
    found: Sums = {}
    for name, value in state.items():
        whole = value.detach().to(torch.float64) if value.is_floating_point() else value.detach().clone()
        found[name] = whole + sums[name] if value.is_floating_point() and name in sums else whole
    return found


@torch.no_grad()
def put_mean(model: nn.Module, sums: Sums, count: int) -> None:
    """Give a network the mean of `count` networks."""
    for name, value in model.state_dict().items():
        value.copy_(sums[name] / count if value.is_floating_point() else sums[name])


def mean_of(states: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several networks of one kind, in the types of the first. Raises ValueError for none."""
    sums: Sums = {}
    first: dict[str, Tensor] = {}
    count = 0
    for state in states:
        first = first or state
        if state.keys() != first.keys():
            raise ValueError("networks must have the same weights, by name, for a mean of them")
        sums, count = added(sums, state), count + 1
    if not count:
        raise ValueError("a mean is of at least 1 network, got 0")
    return {
        name: (sums[name] / count).to(value.dtype) if value.is_floating_point() else sums[name]
        for name, value in first.items()
    }


def mean_of_run(folder: Path, last: int) -> dict[str, Tensor]:
    """The mean network of the newest `last` checkpoints of a run, by the names of its weights, on the CPU.

    For runs that kept them (`train.keep_last`) and were made without `train.average_last`. Raises CheckpointError where
    there are fewer.
    """
    paths = Checkpoints(folder / "checkpoints", 1).paths()
    if not 1 <= last <= len(paths):
        raise CheckpointError(
            f"{folder} has {len(paths)} checkpoints, and the mean is of {last}; a run keeps train.keep_last of them"
        )
    return mean_of(load_content(path, torch.device("cpu")).tensors["backbone"] for path in paths[-last:])
