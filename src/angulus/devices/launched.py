"""Which process of how many this is, as torchrun tells the processes that it starts: in their environment."""

import os

from angulus.errors import ConfigError

NUMBERS, ADDRESS = ("WORLD_SIZE", "RANK", "MASTER_PORT"), "MASTER_ADDR"


def launched() -> tuple[int, int] | None:
    """The number of this process, from 0, and how many there are; None for one that was started alone.

    Raises ConfigError where the environment speaks of several and does not say how they meet.
    """
    if "WORLD_SIZE" not in os.environ or (os.environ["WORLD_SIZE"] == "1" and ADDRESS not in os.environ):
        return None
    missing = [name for name in (*NUMBERS, ADDRESS) if not os.environ.get(name)]
    odd = [name for name in NUMBERS if name not in missing and not os.environ[name].isdecimal()]
    if missing or odd:
        what = f"{' and '.join(missing)} to be set" if missing else f"{odd[0]} as a number, got {os.environ[odd[0]]!r}"
        raise ConfigError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']} speaks of several processes, which needs {what}: start them with "
            "torchrun, or unset WORLD_SIZE to be alone"
        )
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if not rank < world:
        raise ConfigError(f"RANK must be below WORLD_SIZE={world}, got {rank}: start the processes with torchrun")
    return rank, world


def processes_launched() -> int:
    """How many processes there are. Raises ConfigError as `launched`."""
    found = launched()
    return 1 if found is None else found[1]
