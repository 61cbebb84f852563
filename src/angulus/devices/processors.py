"""How many processor cores this process may use, and how many threads are worth having on them.

A process may be bound to some of the cores, and a control group (a container's limit) may grant less time than they
have. More threads than that wait for each other: an operation that is shared by four threads on two granted cores ends
when the last of them had its turn.
"""

import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from angulus.devices.control_groups import groups_of

USERS_WORD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables by which a user, or a launcher, says how many threads there shall be."""
_SPINS = "5000"
_FOR_A_QUOTA: list[str] = []  # what `set_waiting` has put there, which is nobody's word
_WORTH = 0.85  # fewer threads are taken where they need at most this share of the time


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process is bound to, or fewer (rounded up, at least 1) where its control groups grant less."""
    granted = granted_cores(root)
    return bound_cores() if granted is None else max(1, min(bound_cores(), math.ceil(granted)))


def bound_cores() -> int:
    """Cores on which the system may run this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def granted_cores(root: Path = Path("/")) -> float | None:
    """Processor time over time that the tightest control group grants, None where there is no limit."""
    found = [_granted(root, path) for path in groups_of("cpu", root)]
    return min((share for share in found if share is not None), default=None)


def _granted(root: Path, path: str) -> float | None:
    second, first = root / f"sys/fs/cgroup{path}/cpu.max", root / f"sys/fs/cgroup/cpu{path}/cpu.cfs_quota_us"
    try:
        if second.exists():
            quota, period = second.read_text(encoding="ascii").split()
        else:
            quota = first.read_text(encoding="ascii")
            period = first.with_name("cpu.cfs_period_us").read_text(encoding="ascii")
        granted, of = int(quota), int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return None
    return granted / of if granted > 0 and of > 0 else None


def set_waiting() -> None:
    """Say in the environment, before torch is imported, how threads wait for each other; a user's word stands.

    A thread that spins for milliseconds keeps the one it waits for from its core where another process is busy; one
    that sleeps at once makes small operations twice as slow where none is. So they spin for some microseconds, then
    sleep. Where a control group grants fewer cores than are seen, it also says how many threads there are.
    """
    if not any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # where OpenMP is not GNU's
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    cores = usable_cores()
    if cores < bound_cores() and not is_said():
        os.environ.update(limited_to(cores))
        _FOR_A_QUOTA.append(str(cores))


def is_said() -> bool:
    """Whether a user or a launcher says in the environment how many threads there shall be."""
    return any(os.environ.get(name) not in (None, *_FOR_A_QUOTA) for name in USERS_WORD)


def limited_to(threads: int) -> dict[str, str]:
    """What to add to the environment of a command that shall have so many threads."""
    return dict.fromkeys((*USERS_WORD, "OPENBLAS_NUM_THREADS"), str(threads))


@dataclass(frozen=True, kw_only=True)
class ThreadChoice:
    """threads: that were chosen.  reason: why, in words.  seconds: what a try took with each number, where it was."""

    threads: int
    reason: str
    seconds: dict[int, float] | None = None


def chosen_threads(run: Callable[[], object], counts: Sequence[int] | None = None, tries: int = 3) -> ThreadChoice:
    """How many of torch's threads `run`, a moment of the work that is to be done, is fastest with; they are set.

    counts: numbers to try, the largest first; None tries all that torch has and halves of them, down to 1, and nothing
    where the user has said a number (`OMP_NUM_THREADS`). Fewer threads must be clearly faster, so that the same machine
    gives the same answer.
    """
    import torch

    if counts is None and is_said():
        return ThreadChoice(threads=torch.get_num_threads(), reason="as the environment says")
    counts = halves_of(min(torch.get_num_threads(), usable_cores())) if counts is None else counts
    best = counts[0]
    if len(counts) == 1:
        torch.set_num_threads(best)
        return ThreadChoice(threads=best, reason="there is no other choice")
    seconds: dict[int, float] = {}
    for count in counts:
        torch.set_num_threads(count)
        run()  # what is prepared once is not what is compared
        seconds[count] = min(seconds_of(run) for _ in range(tries))
        if count != best and seconds[count] > 2 * seconds[best]:
            break  # fewer will not help
        if seconds[count] <= _WORTH * seconds[best]:
            best = count
    torch.set_num_threads(best)
    told = ", ".join(f"{1000 * value:.0f} ms with {count}" for count, value in seconds.items())
    return ThreadChoice(threads=best, reason=f"a try took {told}", seconds=seconds)


@contextmanager
def threads_of_torch(count: int) -> Generator[None, None, None]:
    """So many of torch's threads in this block, then as many as before; nothing where torch is not installed."""
    try:
        torch = import_module("torch")  # by name: what deploys without torch imports this module
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def halves_of(count: int) -> list[int]:
    """The count, its half and so on, down to 1."""
    return [count, *(halves_of(count // 2) if count > 1 else [])]


def seconds_of(run: Callable[[], object]) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
