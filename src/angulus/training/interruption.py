"""Stopping a run: its processes agree on the last step, and one that is gone is named by the others."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from angulus.errors import AngulusError
from angulus.interruptions import Asked, Interruption
from angulus.lifelines import is_running
from angulus.training.distributed import Processes

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds in which a process whose peer is gone should fail by itself; torchrun gives it 30
_NOTICED = 2.0  # seconds until a process that was killed is seen to be gone
STOPPED = 2  # exit status
FAILED = 1000  # above the number of every signal
_REMEDY = "what was saved is whole: start all processes again with --resume"


class LostProcessError(AngulusError):
    """A process of a run is gone, so that the others cannot go on."""


class StopSign:
    """Whether a signal asked any process to stop; all get the same answer at the same step, one step late.

    failed: whether something beside the steps has failed in this process, which stops all as well.
    """

    def __init__(self, asked: Asked, group: Processes, failed: Callable[[], bool] = lambda: False) -> None:
        self.asked, self.failed = asked, failed
        # of its own and on the CPU: no step of a GPU is waited for
        self.group = None if group.group is None else dist.new_group(backend="gloo")
        self.pending: tuple[Tensor, dist.Work] | None = None

    def seen(self) -> int:
        """The number of the signal, FAILED, or 0 to go on. Called by every process, once a step."""
        if self.group is None:
            return self.number()
        before, number = self.pending, torch.tensor(self.number())
        work = dist.all_reduce(number, dist.ReduceOp.MAX, group=self.group, async_op=True)
        assert work is not None
        self.pending = (number, work)
        return 0 if before is None else waited(before)

    def last(self) -> int:
        """The same after the last step, with nothing left under way."""
        self.seen()
        return self.number() if self.pending is None else waited(self.pending)

    def number(self) -> int:
        """What this process has to say."""
        return FAILED if self.failed() else self.asked.number


def waited(pending: tuple[Tensor, dist.Work]) -> int:
    number, work = pending
    work.wait()
    return int(number)


@dataclass(frozen=True)
class Peers:
    """The processes of a run: for each rank its machine and its number there."""

    places: tuple[tuple[str, int], ...]

    @staticmethod
    def of(group: Processes) -> "Peers":
        """Called by every process."""
        return Peers(tuple(group.every((socket.gethostname(), os.getpid()))))

    def gone(self) -> list[int]:
        """The ranks of this machine that have ended or were killed."""
        here = socket.gethostname()
        return [
            rank for rank, (machine, process) in enumerate(self.places) if machine == here and not is_running(process)
        ]

    def told(self, gone: list[int]) -> str:
        """What happened, in a sentence."""
        names = ", ".join(f"{rank} (number {self.places[rank][1]} on {self.places[rank][0]})" for rank in gone)
        what = f"process {names} of {len(self.places)} is gone" if len(gone) == 1 else f"processes {names} are gone"
        return f"{what}: killed, for example for want of memory, or ended by an error of its own; {_REMEDY}"


@contextmanager
def losses_named(group: Processes) -> Generator[None, None, None]:
    """Where another process is gone, the block ends with a LostProcessError that says which.

    A process that waits for it in vain, as NCCL does, is ended after a while, with the same words in the log.
    """
    if group.group is None:
        yield
        return
    peers, over = Peers.of(group), threading.Event()
    threading.Thread(target=watch, args=(peers, over), name="peers", daemon=True).start()
    try:
        with failures_explained(peers):
            yield
    except Interruption as stop:
        gone = [] if stop.args else peers.gone()  # torchrun ends those that are left
        if gone:
            raise LostProcessError(peers.told(gone)) from stop
        raise
    finally:
        over.set()


@contextmanager
def failures_explained(peers: Peers) -> Generator[None, None, None]:
    """What a process meets with when it waits for one that is gone, as a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        deadline = time.monotonic() + _NOTICED
        while not (gone := peers.gone()) and time.monotonic() < deadline:
            time.sleep(0.1)
        if gone:
            raise LostProcessError(peers.told(gone)) from error
        if "onnection" in str(error):
            first = str(error).strip().splitlines()[0]
            raise LostProcessError(f"a process on another machine is gone ({first}); {_REMEDY}") from error
        raise


def watch(peers: Peers, over: threading.Event) -> None:
    """End this process when another has been gone for so long that nothing else will."""
    while not over.wait(1.0):
        gone = peers.gone()
        if gone and not over.wait(PATIENCE):
            log.error("%s", peers.told(gone))
            os._exit(STOPPED)
