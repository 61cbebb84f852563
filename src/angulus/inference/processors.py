"""How many cores this process may use."""

import os

import torch


def usable_cores() -> int:
    """Cores that the system lets this process run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_threads() -> int:
    """Threads that networks may take on a CPU: as many as torch was told, and no more than there are cores."""
    return max(1, min(torch.get_num_threads(), usable_cores()))
