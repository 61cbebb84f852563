"""How the processes of one start find each other where torchrun keeps what earlier starts have left.

torchrun's own store lives as long as torchrun, and the addresses of processes that were killed stay in it. torch keeps
starts apart by how often this machine's torchrun has restarted, a number in which two machines may differ: one whose
own process was lost counts a restart, one that only sees the others come back does not. So the first process draws a
name, and tells it to every process that asks for it with a word that it has drawn itself.
"""

import os
import time
import uuid
from datetime import timedelta

import torch.distributed as dist

PATIENCE = timedelta(minutes=10)
_PAUSE = 0.02


def keeps_store() -> bool:
    """Whether the store is that of torchrun, which outlives the processes."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def store_of_launch() -> dist.Store:
    """The store of torchrun, with nothing before the names in it."""
    return dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=PATIENCE)


def agreed_name(store: dist.Store, rank: int, world: int) -> str:
    """A name that the processes of this start share, and no other start. Called by every process."""
    if rank == 0:
        return name_given(store, world)
    word = uuid.uuid4().hex
    store.set(f"asks/{rank}", word)
    store.wait([f"answer/{word}"], PATIENCE)
    name = store.get(f"answer/{word}").decode()
    store.set(f"knows/{name}/{rank}", "yes")
    return name


def name_given(store: dist.Store, world: int) -> str:
    """The name, once all other processes know it: words of processes that are gone are answered in vain."""
    name, deadline = uuid.uuid4().hex, time.monotonic() + PATIENCE.total_seconds()
    missing = set(range(1, world))
    while missing:
        for rank in sorted(missing):
            if store.check([f"asks/{rank}"]):
                store.set(f"answer/{store.get(f'asks/{rank}').decode()}", name)
        missing = {rank for rank in missing if not store.check([f"knows/{name}/{rank}"])}
        if missing and time.monotonic() > deadline:
            raise TimeoutError(
                f"process {min(missing)} of {world} has not come within {PATIENCE}; look at what its torchrun says, "
                "and start all again"
            )
        time.sleep(_PAUSE if missing else 0)
    return name
