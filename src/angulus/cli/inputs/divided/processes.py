"""The processes that torchrun started for an evaluation: they share its blocks, and the first of them reports."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from angulus.cli.options import EmbeddingUse, Said, device_named
from angulus.devices.launched import launched

if TYPE_CHECKING:
    import torch.distributed as dist


@dataclass(frozen=True)
class Sharing:
    """group: the processes, None for one alone.  device: where this one computes.  is_first: whether it reports."""

    group: "dist.ProcessGroup | None"
    device: str
    is_first: bool

    def using(self, use: EmbeddingUse) -> EmbeddingUse:
        """How images go through a model here: each process has a device of its own."""
        return use if self.group is None else replace(use, device=self.device)

    def saying(self, said: Said) -> Said:
        """What is said here: the first process alone shows how far it is."""
        return said if self.is_first else replace(said, quiet=True)


def comparing_device(word: str) -> str:
    """Where stored embeddings are compared: on the CPU, unless a device is named. Raises ConfigError."""
    return "cpu" if word == "auto" else device_named(word)


def is_further_process() -> bool:
    """Whether torchrun started this process, and it is not the first: where nothing is shared it has nothing to do."""
    found = launched()
    return found is not None and found[0] > 0


@contextmanager
def sharing(word: str) -> Generator[Sharing, None, None]:
    """The processes of this evaluation: over NCCL where `word` names a CUDA device, else over gloo.

    An error in one is raised in all.
    """
    device = comparing_device(word)
    if launched() is None:
        yield Sharing(None, device, True)
        return
    import torch

    from angulus.training.distributed import local_device, processes

    own = local_device(torch.device(device))
    with processes(own) as these:
        yield Sharing(these.group, str(own), these.is_first)
