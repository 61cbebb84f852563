"""Let sizes and the device choose how the classes are summed: all at once where that is small, else in parts."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from angulus.heads.kernels.panel_launches import has_triton
from angulus.heads.kernels.panel_sizes import PanelProducts
from angulus.heads.kernels.panels import Panels
from angulus.heads.strategies.dense import Dense
from angulus.heads.strategies.problem import Demand, Problem, Sweep
from angulus.heads.strategies.streamed import Streamed

# Bytes of one matrix of examples times class weights below which `Dense` is as fast and takes little.
SMALL = 64 * 2**20


@dataclass(frozen=True)
class Device:
    """What the choice depends on besides sizes.

    kernels: a CUDA device, with triton installed.  products: what its large matrix products multiply.
    """

    kernels: bool = False
    products: PanelProducts = "float32"


def device_kind(device: torch.device, products: PanelProducts | None = None) -> Device:
    """The sort of a device. products: None takes what torch is told of float32 products."""
    if products is None:
        products = "float32" if torch.get_float32_matmul_precision() == "highest" else "tf32"
    return Device(kernels=device.type == "cuda" and has_triton(), products=products)


def device_for(problem: Problem) -> Device:
    """The sort of a problem's device; without kernels for what they do not sum."""
    return Device() if problem.demands else device_kind(problem.weight.device)


@dataclass(frozen=True)
class Auto:
    """`Dense` where one matrix of examples times class weights is below 64 MiB; else `Panels` on a CUDA device with
    Triton, `Streamed` elsewhere and for margins that rank classes or sum a binary loss.

    All are exact, so the choice changes time and memory alone; never `Sampled`, which is another loss. With an update
    inside the backward pass never `Dense`. Products are float32 here, or TF32 where torch is told so. A recipe with
    this strategy is resolved once, before the head is built, with a look at the memory as well (no stash, smaller
    panels or `Fused` where it is short) and at the precision of the run; the run folder keeps the result.
    """

    answers: ClassVar[tuple[Demand, ...]] = ("nearest", "binary")

    def sweep(self, problem: Problem) -> Sweep:
        examples, (classes, subcenters, _) = len(problem.unit), problem.weight.shape
        moved = problem.move is not None
        return exact(classes * subcenters, examples, moved=moved, device=device_for(problem)).sweep(problem)


def exact(rows: int, examples: int, *, moved: bool, device: Device) -> Dense | Streamed | Panels:
    """The exact strategy for so many class weights and examples. moved: the weights move inside the backward pass."""
    return large(device) if moved or 4 * rows * examples >= SMALL else Dense()


def large(device: Device) -> Streamed | Panels:
    """The strategy for more classes than are summed at once."""
    return Panels(products=device.products) if device.kernels else Streamed()
