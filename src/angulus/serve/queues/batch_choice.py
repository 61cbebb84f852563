"""Is a batch worth waiting for? Measured for a moment when the service starts, since it depends on network and machine.

On a CPU that computes one crop with all its arithmetic units, 16 crops take 16 times as long as one, and those that
wait for the others wait for nothing.
"""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

BATCH = 16
LEAST_GAIN = 0.9
"""A batch must take less than this share of the time that its crops take one by one."""


def paying_batch(embed: Callable[[int], object], *, clock: Callable[[], float] = time.perf_counter) -> int:
    """16, or 1 where these do not go through the network faster together. embed: computes so many crops."""

    def best(count: int, runs: int) -> float:
        taken = []
        for _ in range(runs):
            begun = clock()
            embed(count)
            taken.append(clock() - begun)
        return min(taken)

    embed(1)  # the first call of a shape may prepare it
    embed(BATCH)
    alone, together = best(1, 5), best(BATCH, 2) / BATCH
    pays = together < LEAST_GAIN * alone
    log.info(
        "crops go through the network %s: one alone takes %.1f ms, one of %d together %.1f ms",
        *("in batches" if pays else "one by one", 1000 * alone, BATCH, 1000 * together),
    )
    return BATCH if pays else 1
