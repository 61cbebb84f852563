"""The network under attack: frozen, in evaluation mode, and put back as it was found.

Nothing in it is replaced. Its parameters get no gradients, so that only the images are moved.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


@contextmanager
def attacked(model: Module, device: str | torch.device = "cpu") -> Generator[Module, None, None]:
    """A model, or a head, on a device, in evaluation mode and without gradients for its weights, while the block runs.

    Mode, `requires_grad` and device are put back at the end; weights and running statistics are never written.
    """
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    home = _home(model, torch.device(device))
    try:
        yield model.to(device).eval().requires_grad_(False)
    finally:
        for module, training in modes:
            module.training = training
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)
        model.to(home)


def _home(model: nn.Module, otherwise: torch.device) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), otherwise)
