"""How a CUDA device computes while a run lasts: its convolutions timed once for each size, and how float32 is rounded.

These settings belong to the whole program, so that they are put back afterwards. A CPU has none of them.
"""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from angulus.training.experiment import Training


@contextmanager
def kernels_of(config: Training, device: torch.device) -> Generator[None, None, None]:
    """Convolutions are timed unless deterministic ones are asked of torch; float32 is what the recipe says."""
    if device.type != "cuda":
        yield
        return
    cudnn, products = torch.backends.cudnn, torch.get_float32_matmul_precision()
    before = cudnn.benchmark, cudnn.allow_tf32
    cudnn.benchmark = not (cudnn.deterministic or torch.are_deterministic_algorithms_enabled())
    cudnn.allow_tf32 = config.float32_precision == "high"
    torch.set_float32_matmul_precision(config.float32_precision)
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32 = before
        torch.set_float32_matmul_precision(products)
