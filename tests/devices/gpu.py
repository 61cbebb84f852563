"""Tests that need a CUDA GPU: how they are marked, and where a test of both kinds runs.

Tensors and networks go to the last GPU by its number, which is not the current one where there are several, so that
whatever is made on the current GPU instead is found.
"""

from collections.abc import Callable

import pytest
import torch

HAS_GPU = torch.cuda.is_available()
LAST = f"cuda:{torch.cuda.device_count() - 1}" if HAS_GPU else "cuda:0"

GPU = [pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="there is no CUDA GPU")]
# Of a module whose tests run on a GPU where there is one, and else on the CPU.
GPU_IF_ANY = [pytest.mark.gpu] if HAS_GPU else []

DEVICES = ["cpu", *([pytest.param(LAST, marks=pytest.mark.gpu, id="gpu")] if HAS_GPU else [])]
EACH_DEVICE = pytest.mark.parametrize("device", DEVICES)


def needs_gpu(test: Callable) -> Callable:
    """A test that runs on a GPU alone."""
    for mark in GPU:
        test = mark(test)
    return test
