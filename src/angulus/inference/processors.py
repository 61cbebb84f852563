"""How many threads networks may take on a CPU."""

import torch

from angulus.devices.processors import usable_cores


def compute_threads() -> int:
    """As many as torch was told, and no more than there are cores that may be used."""
    return max(1, min(torch.get_num_threads(), usable_cores()))
