"""Who writes the checkpoints of a run: the step itself, or a thread beside it from a copy on the host.

At most one write is under way. Threads of several processes agree over a group of their own, so that nothing of theirs
is taken for an exchange of a step.
"""

import logging
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import cast

import torch
import torch.distributed as dist

from angulus.heads.sharding.remarks import one_process_is_fine
from angulus.training.distributed import Processes
from angulus.training.storage.checkpoint import Checkpoints
from angulus.training.storage.host_copies import HostCopies
from angulus.training.storage.run_state import (
    Snapshot,
    Trained,
    TrainState,
    save,
    snapshot,
    write,
)

log = logging.getLogger(__name__)


class Writer:
    """Writes checkpoints; made, entered and left by every process.

    background: whether a thread writes them. The block ends when all is written, or raises what a write failed with,
    which all processes get alike.
    """

    def __init__(self, checkpoints: Checkpoints, group: Processes, device: torch.device, *, background: bool) -> None:
        self.checkpoints, self.device, self.background = checkpoints, device, background
        self.group = own_group(group) if background else group
        self.copies = HostCopies()
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None
        self.left_alone = False
        self.quiet = ExitStack()

    @property
    def failed(self) -> bool:
        """Whether a write has failed in this process and nobody has been told yet."""
        return self.failure is not None

    def save(self, trained: Trained, state: TrainState) -> None:
        """Write a checkpoint, or begin to, when the one before is written. Raises what that one failed with."""
        if not self.background:
            save(trained, self.checkpoints, state)
            return
        self.wait()
        own = snapshot(trained, state).copied(self.copies, self.group)
        self.thread = threading.Thread(target=self._write, args=(own,), name="checkpoint", daemon=True)
        self.thread.start()

    def wait(self) -> None:
        """Until nothing is being written. Raises what the write failed with."""
        if self.thread is not None:
            try:
                self.thread.join()
            except BaseException:  # a second signal: nobody waits any more
                self.left_alone = True
                raise
            self.thread = None
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def _write(self, own: Snapshot) -> None:
        try:
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            self.copies.wait()
            write(own, self.checkpoints, self.group)
        except BaseException as error:
            self.failure = error

    def __enter__(self) -> "Writer":
        if self.background:
            self.quiet.enter_context(one_process_is_fine())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self.left_alone:
                self.wait()
        except Exception as failure:
            if error is None:
                raise
            log.warning("%s", failure)  # the run ends with another error
        finally:
            self.quiet.close()


def own_group(group: Processes) -> Processes:
    """The same processes as a group on the CPU whose exchanges nobody else takes part in. Called by every process."""
    if group.group is None:
        return group
    return Processes(group.rank, group.world, cast(dist.ProcessGroup, dist.new_group(backend="gloo")))
