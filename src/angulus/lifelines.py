"""Children end with the process that started them, however that one ends.

Linux tells a child when its parent is gone; elsewhere, and where others stand between the two, a thread looks every
half second whether the process is still there.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

PARENT = "ANGULUS_ENDS_WITH"
"""The variable that tells a command, and all that it starts, with which process to end."""
_EVERY = 0.5
_PR_SET_PDEATHSIG = 1


def ends_with_me() -> dict[str, str]:
    """What to add to the environment of a command that shall not outlive this process."""
    return {PARENT: _named(os.getpid())}


def follow_parent() -> None:
    """End with the process that the environment names, and with torchrun where it started this one."""
    named = [os.environ.get(PARENT, "")]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        named.append(_named(os.getppid()))
    for one in filter(None, named):
        end_with(one)


def end_with(named: str) -> None:
    """End this process, at once and by force, when another one is gone."""
    process = int(named.split(":")[0])
    if os.getppid() == process:
        _ask_kernel()
    if not _is_there(named):
        os._exit(128 + signal.SIGKILL)
    threading.Thread(target=_watch, args=(named,), name="lifeline", daemon=True).start()


def follow_loader(_: int = 0) -> None:
    """For workers of a DataLoader, whose own watch takes seconds."""
    _ask_kernel()


def _watch(named: str) -> None:
    while _is_there(named):
        time.sleep(_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)


def _ask_kernel() -> None:
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def name_of_this_process() -> str:
    """This process, for `end_with` in another one."""
    return _named(os.getpid())


def _named(process: int) -> str:
    return f"{process}:{_started(process)}"


def _is_there(named: str) -> bool:
    process, _, started = named.partition(":")
    return is_running(int(process)) and (not started or _started(int(process)) in ("", started))


def is_running(process: int) -> bool:
    """Whether a process of this machine is there and has not ended."""
    state = _stat(process)
    if state:
        return state[0] not in "ZX"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not Path("/proc/self/stat").exists()


def _started(process: int) -> str:
    """When a process began, which tells it from a later one of its number; "" where the system does not say."""
    state = _stat(process)
    return state[19] if len(state) > 19 else ""


def _stat(process: int) -> list[str]:
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
