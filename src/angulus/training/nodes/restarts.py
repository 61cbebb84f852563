"""A run that torchrun starts again after it lost a process: it goes on by itself, and no other run does.

torchrun counts restarts for each machine: where only another machine lost a process the count may still be 0 here. So
the processes tell each other, and one that was started again is enough.
"""

import os
from pathlib import Path

from angulus.json_files import read_json
from angulus.training.distributed import Processes

COUNT, LAUNCH = "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_RUN_ID"
UNNAMED = ("", "none")  # what torchrun calls a launch that was given no --rdzv-id


def launch() -> str | None:
    """What tells this launch of torchrun from others, through all its restarts; None where there is nothing."""
    named = os.environ.get(LAUNCH, "")
    if named not in UNNAMED:
        return named
    if LAUNCH in os.environ and "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ:
        return f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"  # as given, without a rendezvous
    return None


def is_restarted(group: Processes) -> bool:
    """Whether torchrun has started any process of this run again. Called by every process."""
    return any(group.every(int(os.environ.get(COUNT, "0") or 0) > 0))


def is_of_this_launch(group: Processes, folder: Path) -> bool:
    """Whether the run in a folder was begun, or gone on with, under this launch. Called by every process."""
    return all(group.every(launch_in(folder) in (None, launch())))


def launch_in(folder: Path) -> str | None:
    """The launch that worked last in the folder of a run; None where it says nothing, as it was lost too early.

    Before a run has its environment.json it has trained nothing that could be mistaken for another's.
    """
    if not (folder / "environment.json").exists():
        return None
    try:
        return str(read_json(folder / "environment.json").get("launch"))
    except (OSError, ValueError, AttributeError):
        return "unreadable"
