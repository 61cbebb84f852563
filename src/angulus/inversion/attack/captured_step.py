"""A step of an inversion that is recorded once and replayed: on a CUDA device the CPU is asked once instead of for
every kernel, which takes most of the time of a small network.

What is recorded is the objective and its gradient. Random views are drawn outside and copied into the tensors that the
record reads; the optimizer moves the images outside. A record is used only where it gives, on the same images and
views, what the step itself gives: else the steps go on unrecorded, with a warning.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from angulus.inversion.attack.views import DrawnViews

log = logging.getLogger(__name__)

Slope = Callable[[DrawnViews], dict[str, Tensor]]
"""The terms of a step, detached; leaves the gradient in the variable's `grad`."""
Replay = Callable[[], None]
Capture = Callable[[Callable[[], dict[str, Tensor]]], tuple[dict[str, Tensor], Replay]]
"""Records a step: what it gave, in tensors that `replay` writes anew."""
WARM_UPS = 3
TOLERANCE = 1e-3
"""Relative, of the gradient and the loss: kernels that are chosen anew, and sums in another order."""


class CapturedStep:
    """A recorded step; called like the step itself."""

    def __init__(self, slope: Slope, variable: Tensor, drawn: DrawnViews, capture: Capture) -> None:
        self.drawn = DrawnViews(
            **{name: None if value is None else value.clone() for name, value in vars(drawn).items()}
        )
        self.terms, self.replay = capture(lambda: slope(self.drawn))
        self.variable, self.slope = variable, variable.grad

    def __call__(self, drawn: DrawnViews) -> dict[str, Tensor]:
        for name, value in vars(self.drawn).items():
            if value is not None:
                value.copy_(getattr(drawn, name), non_blocking=True)
        self.replay()
        self.variable.grad = self.slope
        return self.terms

    @staticmethod
    def of(slope: Slope, variable: Tensor, drawn: DrawnViews, capture: Capture) -> "CapturedStep | None":
        """The record of a step, or None where it cannot be recorded or gives something else."""
        wanted = slope(drawn)["loss"]
        assert variable.grad is not None
        gradient = variable.grad.clone()
        try:
            step = CapturedStep(slope, variable, drawn, capture)
            found = step(drawn)["loss"]
        except RuntimeError as error:
            log.warning("steps are not recorded on this device: %s", str(error).splitlines()[0])
            return None
        assert variable.grad is not None
        if not (_near(found, wanted) and _near(variable.grad, gradient)):
            log.warning("steps are not recorded on this device: a replayed one gives another gradient")
            return None
        return step


def _near(found: Tensor, wanted: Tensor) -> bool:
    return bool((found - wanted).norm() <= TOLERANCE * wanted.norm())


def cuda_graph(step: Callable[[], dict[str, Tensor]]) -> tuple[dict[str, Tensor], Replay]:
    """Record a step as a CUDA graph."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        terms = step()
    return terms, graph.replay
