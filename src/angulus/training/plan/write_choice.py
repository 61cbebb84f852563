"""Before the first step: whether a step waits while its checkpoint is written, or a thread writes it from a copy.

A small checkpoint is written in less time than a step waits for anything else, and a thread would take as long of the
cores; of a large one the copy takes a small part of the time, and the memory of the host for it must be there.
"""

import logging
import socket
from itertools import chain

from torch import nn

from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment
from angulus.training.optimization import row_rule
from angulus.training.plan.footprint import state_of
from angulus.training.plan.machine import available, in_words
from angulus.training.plan.measured_choice import AS_ASKED, Choice

log = logging.getLogger(__name__)

LEAST = 32 * 2**20  # bytes of a process from which on a copy is worth it
SHARE = 0.25  # of the free memory of a machine, which activations and gradients need too


def with_writes(experiment: Experiment, model: nn.Module, head: nn.Module, group: Processes) -> Choice:
    """How the checkpoints of a run are written, the same in all processes, and why. Called by every process."""
    asked = experiment.train.checkpoint_writes
    if asked != "auto":
        return Choice(chosen=asked, reason=AS_ASKED)
    if any(weight.is_cuda for weight in model.parameters()):
        return Choice(chosen="waiting", reason="copies from a GPU have not been tried; =background asks for them")
    own = own_bytes(experiment, model, head, group)
    choice = chosen(group.every((socket.gethostname(), own, available())))
    if group.is_first:
        log.debug("checkpoint_writes auto: %s, %s", choice.chosen, choice.reason)
    return choice


def chosen(found: list[tuple[str, int, int]]) -> Choice:
    """found: of each process its machine, the bytes that it copies and those that are free there."""
    largest = max(size for _, size, _ in found)
    if largest < LEAST:
        return Choice(chosen="waiting", reason=f"{in_words(largest)} are soon written")
    for machine in sorted({name for name, _, _ in found}):
        copies = sum(size for name, size, _ in found if name == machine)
        free = min(room for name, _, room in found if name == machine)
        if copies > SHARE * free:
            return Choice(
                chosen="waiting", reason=f"copies would take {in_words(copies)} of {in_words(free)} of memory"
            )
    return Choice(chosen="background", reason=f"{in_words(largest)} are copied sooner than written")


def own_bytes(experiment: Experiment, model: nn.Module, head: nn.Module, group: Processes) -> int:
    """About the bytes that this process adds to a checkpoint: weights and what the optimizer keeps of them."""
    modules = [*([model] if group.is_first else []), *([head] if group.is_first or experiment.head.sharded else [])]
    weights = sum(
        tensor.nbytes for module in modules for tensor in module.state_dict().values() if hasattr(tensor, "nbytes")
    )
    trained = sum(one.nbytes for one in chain(*(module.parameters() for module in modules)) if one.requires_grad)
    sums = 2 * sum(one.nbytes for one in model.parameters()) if group.is_first and experiment.train.average_last else 0
    return weights + round(state_of(row_rule(experiment.optim)) * trained) + sums
