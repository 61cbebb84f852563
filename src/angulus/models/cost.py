"""What a network costs: its weights, and the multiply-adds of one example."""

import math
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from angulus.models.base import EmbeddingModel


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network weighs. parameters, trainable: numbers.  macs: multiply-adds of one example.

    Of speech that is one of the usual length, `input.frames`.
    """

    parameters: int
    trainable: int
    macs: int


def describe(model: EmbeddingModel) -> Cost:
    """Count weights and multiply-adds (convolutions, matrix products, attention); runs one blank example."""
    was_training = model.training
    device = next(model.parameters()).device
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            model.eval()(torch.zeros(1, *model.input.shape, device=device))
    finally:
        model.train(was_training)
    return Cost(
        parameters=sum(weight.numel() for weight in model.parameters()),
        trainable=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        macs=math.ceil(counter.get_total_flops() / 2),
    )
