"""Remarks of torch that are none of the user's business."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def one_process_is_fine() -> Generator[None, None, None]:
    """Without torch's warning that one process saves or loads alone.

    Filters are those of the whole process: a thread that writes is held inside, and opens no block of its own.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield
