"""How long gradients and weights are, part by part: the first and the last weights, the backbone, the head."""

import torch
from torch import Tensor, nn

from angulus.heads import MarginHead, SeparateHeads

PARTS = ("first", "last", "backbone", "head")


class Lengths:
    """Squares of lengths at some moments of a stretch, kept on the device: [moments, parts] of gradients, of weights.

    Over several processes the sum of all is that of one: the first process counts what all have alike, and of a head
    whose classes are divided each counts its own.
    """

    def __init__(
        self, model: nn.Module, head: MarginHead | SeparateHeads, device: torch.device, moments: int, is_first: bool
    ) -> None:
        matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
        backbone = list(model.parameters())
        self.parts = (matrices[:1], matrices[-1:], backbone, list(head.parameters()))
        self.counts = (is_first, is_first, is_first, is_first or head.holds_whole_gradient)
        shape = (moments, len(PARTS))
        self.tensors = {name: torch.zeros(shape, dtype=torch.float64, device=device) for name in ("slopes", "weights")}

    @torch.no_grad()
    def look(self, moment: int) -> None:
        """Measure the gradients and weights as they are."""
        for place, (parameters, counts) in enumerate(zip(self.parts, self.counts, strict=True)):
            if not counts:
                continue
            slopes = [parameter.grad for parameter in parameters if parameter.grad is not None]
            self.tensors["slopes"][moment, place] = self.square(slopes)
            self.tensors["weights"][moment, place] = self.square(parameters)

    def square(self, tensors: list[Tensor] | list[nn.Parameter]) -> Tensor:
        if not tensors:
            return self.tensors["slopes"].new_zeros(())
        return torch.stack(torch._foreach_norm([one.detach() for one in tensors])).double().square().sum()

    def clear(self) -> None:
        for tensor in self.tensors.values():
            tensor.zero_()
