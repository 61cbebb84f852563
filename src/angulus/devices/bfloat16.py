"""Whether products of bfloat16 operands are worth having on a device.

Processors without instructions for bfloat16 emulate it, ten to fifty times slower than float32.
"""

import functools
import time

import torch

CAPABILITY = 8  # the first CUDA architecture with bfloat16 products
SIDE = 256
_ROUNDS = 3
FASTER = 0.8  # bfloat16 must take at most this share of float32's time; rounding is not paid for by less


def bfloat16_pays(device: torch.device) -> bool:
    """Whether a matrix product takes clearly less time in bfloat16 than in float32; timed once a process."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= CAPABILITY
    return device.type == "cpu" and bfloat16_factor() <= FASTER


@functools.cache
def bfloat16_factor() -> float:
    """Time of matrix products in bfloat16 over that in float32 on this CPU; some milliseconds, once a process."""
    return _seconds(torch.bfloat16) / max(_seconds(torch.float32), 1e-9)


def _seconds(dtype: torch.dtype) -> float:
    """The least time of three products, one for each way operands lie in a step: emulation is unequally slow in them.

    On one thread: several that wait for their turn on a busy machine would take as long with either kind of operand.
    """
    left = torch.ones(SIDE, SIDE, dtype=dtype)
    found = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            for _ in range(_ROUNDS + 1):  # the first is not counted
                begin = time.thread_time()
                for one, other in ((left, left.T), (left, left), (left.T, left)):
                    torch.mm(one, other)
                found.append(time.thread_time() - begin)
    finally:
        torch.set_num_threads(threads)
    return min(found[1:])
