"""Which worker of how many is this process: by its own word, or by what its launcher put in the environment.

    torchrun                  RANK of WORLD_SIZE
    Slurm, steps of a job     SLURM_PROCID of SLURM_NTASKS
    Slurm, an array           SLURM_ARRAY_TASK_ID from SLURM_ARRAY_TASK_MIN, in steps, of SLURM_ARRAY_TASK_COUNT
    Kubernetes, indexed job   JOB_COMPLETION_INDEX of JOB_COMPLETIONS, which the job has to set; or auto/n

The names are those of the documentation of each.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from angulus.errors import ConfigError

_Found = tuple[int, int | None, str] | None


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Worker `index` (from 0) of `count`; `origin` says where that was read.

    local: its number on its machine, where the launcher says it (LOCAL_RANK, SLURM_LOCALID).
    Raises ConfigError for numbers that name none.
    """

    index: int = 0
    count: int = 1
    origin: str = ""
    local: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.index < self.count:
            where = f" ({self.origin})" if self.origin else ""
            raise ConfigError(
                f"shard must be i/n with i from 0 to n - 1, got {self.index}/{self.count}{where}; 0/4 is the first of 4"
            )

    def describe(self) -> str:
        """For example: worker 3 of 8 (from 0), by SLURM_PROCID and SLURM_NTASKS."""
        by = f", by {self.origin}" if self.origin else ""
        return f"worker {self.index} of {self.count} (from 0){by}"

    def device_of(self, devices: int) -> int:
        """Which of the GPUs of its machine it computes on: each worker in turn takes the next."""
        return 0 if self.local is None or devices < 1 else self.local % devices


def worker_named(words: str, environment: Mapping[str, str] | None = None) -> Worker:
    """The worker that `--shard` names: i/n, auto, or auto/n where the launcher does not say how many there are.

    Raises ConfigError for anything else, and where the launcher says nothing.
    """
    said = re.fullmatch(r"(auto|\d{1,9})(?:/(\d{1,9}))?", words.strip())
    if said is None or (said[1] != "auto" and said[2] is None):
        raise ConfigError(f"shard must be i/n, auto or auto/n, got {words!r}; the first of four workers is 0/4")
    count = None if said[2] is None else int(said[2])
    if said[1] == "auto" or count is None:
        return _launched(os.environ if environment is None else environment, count)
    return Worker(index=int(said[1]), count=count)


def _launched(environment: Mapping[str, str], count: int | None) -> Worker:
    looks: tuple[Callable[[Mapping[str, str]], _Found], ...] = (_torchrun, _slurm, _kubernetes)
    for look in looks:
        found = look(environment)
        if found is None:
            continue
        index, of, origin = found
        if of is None and count is None:
            raise ConfigError(
                f"{origin} says which worker this is and nothing how many there are; set JOB_COMPLETIONS to the number "
                "of completions of the job, or name it: --shard auto/8"
            )
        if of is not None and count is not None and of != count:
            raise ConfigError(f"shard auto/{count} contradicts {origin}, which say {of}; leave the number out")
        return Worker(index=index, count=of or count or 0, origin=origin, local=_local(environment))
    raise ConfigError(
        "shard auto found no launcher: neither RANK, nor SLURM_PROCID, nor SLURM_ARRAY_TASK_ID, nor "
        "JOB_COMPLETION_INDEX is set; name the worker, such as --shard 0/4"
    )


def _local(environment: Mapping[str, str]) -> int | None:
    """The number of this worker among those of its machine."""
    name = next((name for name in ("LOCAL_RANK", "SLURM_LOCALID") if name in environment), None)
    return None if name is None else _number(environment, name)


def _torchrun(environment: Mapping[str, str]) -> _Found:
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return None
    return _number(environment, "RANK"), _number(environment, "WORLD_SIZE"), "RANK and WORLD_SIZE"


def _slurm(environment: Mapping[str, str]) -> _Found:
    """A task of a step, of a job that may be one of an array."""
    index, count, origin = 0, 1, []
    if "SLURM_ARRAY_TASK_ID" in environment and "SLURM_ARRAY_TASK_COUNT" in environment:
        first = _number(environment, "SLURM_ARRAY_TASK_MIN", 0)
        step = max(1, _number(environment, "SLURM_ARRAY_TASK_STEP", 1))
        index = (_number(environment, "SLURM_ARRAY_TASK_ID") - first) // step
        count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
        origin += ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"]
    if "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment:
        tasks = _number(environment, "SLURM_NTASKS")
        index, count = index * tasks + _number(environment, "SLURM_PROCID"), count * tasks
        origin += ["SLURM_PROCID", "SLURM_NTASKS"]
    return (index, count, " and ".join(origin)) if origin else None


def _kubernetes(environment: Mapping[str, str]) -> _Found:
    if "JOB_COMPLETION_INDEX" not in environment:
        return None
    index = _number(environment, "JOB_COMPLETION_INDEX")
    if "JOB_COMPLETIONS" not in environment:
        return index, None, "JOB_COMPLETION_INDEX"
    return index, _number(environment, "JOB_COMPLETIONS"), "JOB_COMPLETION_INDEX and JOB_COMPLETIONS"


def _number(environment: Mapping[str, str], name: str, usual: int | None = None) -> int:
    text = environment.get(name, "" if usual is None else str(usual)).strip()
    if not re.fullmatch(r"\d{1,9}", text):
        raise ConfigError(f"the variable {name} must be a whole number, got {text!r}; name the worker: --shard 0/4")
    return int(text)
