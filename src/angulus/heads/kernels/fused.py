"""The exact softmax over classes in Triton kernels: the sums of `Streamed`, without leaving the chip between products.

The forward pass has the shape of attention with the class weights as keys and values. It leaves for every example

    rest_i = log sum_j exp(logit_ij),    mean_i = sum_j exp(logit_ij - rest_i) w_j / |w_j|        j != y

so that the gradient of the embedding is grad_rest_i s_i mean_i, that of the scale grad_rest_i mean_i . x_i, and the own
class's part. In the backward pass a program owns some classes, looks at all examples again, adds the own classes in
float32, projects, and writes the gradient of its rows or moves them. Four matrix products in all; every sum has one
order, so that runs repeat to the bit.
"""

import functools
import importlib.util
import logging
import os
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from angulus.heads.kernels.launches import LARGEST_WIDTH, Ready, ready, received, summed, weight_gradient, width_of
from angulus.heads.strategies.problem import Logits, Problem, Sums
from angulus.heads.strategies.streamed import Streamed, StreamedSweep, own_cosines

log = logging.getLogger(__name__)

Products = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class Fused:
    """All classes in Triton kernels; the exact loss and gradient of `Dense` with the memory of a panel of classes.

    products: the operands of the large matrix products: "float32"; "tf32", float32 of which the products keep ten
        bits; or "bfloat16". Sums, the own cosine, its margin and its gradient are float32 in every case.
    fallback: what sums where the kernels do not: on devices without Triton, in float64, for margins that reshape
        other classes, for label smoothing, above 512 dimensions. The log says so once; `fallback.products` is set to
        "bfloat16" or "float32" as here.

    With `RowSGD` as update inside the backward pass the rows are moved by the kernel, and no gradient is formed.
    Second derivatives are not available: use `Dense` for a gradient penalty.
    """

    products: Products = "bfloat16"
    fallback: Streamed = field(default_factory=Streamed)

    def __post_init__(self) -> None:
        if self.products not in ("float32", "tf32", "bfloat16"):
            raise ValueError(f'Fused: products must be "float32", "tf32" or "bfloat16", got {self.products!r}')

    def sweep(self, problem: Problem) -> "FusedSweep":
        products = "bfloat16" if self.products == "bfloat16" else "float32"
        return FusedSweep(problem, self.products, replace(self.fallback, products=products).sweep(problem))


class FusedSweep:
    """One pass over the classes for one batch."""

    def __init__(self, problem: Problem, products: Products, streamed: StreamedSweep) -> None:
        self.problem = problem
        self.products: Products = products
        self.streamed = streamed

    def own(self) -> Tensor:
        return self.streamed.own()

    def hardest(self) -> Tensor:
        return self.streamed.hardest()

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        problem = self.problem
        reason = obstacle(problem, logits, total)
        if reason is not None:
            mention(reason)
            return self.streamed.sums(logits, total)
        job = Job(problem, logits, self.products, torch.is_grad_enabled())
        own, rest = FusedSums.apply(problem.unit, problem.weight, logits.bias, logits.scale, job)
        return Sums(own, rest, None, problem.weight.shape[0])


def obstacle(problem: Problem, logits: Logits, total: bool) -> str | None:
    """Why the kernels cannot sum this, or None."""
    weight, dim = problem.weight, problem.weight.shape[2]
    if total:
        return "label smoothing needs the plain sum of the logits"
    if logits.emphasis is not None:
        return "other classes are reshaped"
    if problem.unit.dtype != torch.float32 or weight.dtype != torch.float32:
        return f"the kernels compute in float32, not {weight.dtype}"
    if width_of(dim) > LARGEST_WIDTH:
        return f"the kernels hold at most {LARGEST_WIDTH} dimensions, not {dim}"
    if len(problem.unit) == 0:
        return "the batch is empty"
    strides = weight.stride()
    if (dim > 1 and strides[2] != 1) or (weight.shape[1] > 1 and strides[0] != weight.shape[1] * strides[1]):
        return "the weights do not lie row by row"
    return device_obstacle(weight.device)


def device_obstacle(device: torch.device) -> str | None:
    """Why no kernel runs on a device, or None. On a CPU Triton's interpreter does (TRITON_INTERPRET=1): for tests."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "y", "yes"):
        return None
    if device.type != "cuda":
        return f"the kernels run on CUDA devices, not on {device.type}"
    if torch.cuda.get_device_capability(device)[0] not in (9, 10):
        return "the kernels' tiles are chosen for the shared memory of compute capability 9 and 10"
    return None


@functools.cache
def mention(reason: str) -> None:
    """Say once why the fallback sums."""
    log.info("Fused: summed by Streamed, because %s", reason)


@dataclass(frozen=True)
class Job:
    """What the function below needs besides the tensors that it differentiates. gradient: whether any may follow."""

    problem: Problem
    logits: Logits
    products: Products
    gradient: bool

    def ready(self) -> Ready:
        return ready(self.problem.detached(), self.logits.detached(), self.products)


class FusedSums(torch.autograd.Function):
    """(unit, weight, bias, scale) -> (own cosines, log-sums over the other classes), each [n]."""

    @staticmethod
    def forward(
        ctx: Any, unit: Tensor, weight: Tensor, bias: Tensor | None, scale: Tensor, job: Job
    ) -> tuple[Tensor, Tensor]:
        pulled = job.gradient and (ctx.needs_input_grad[0] or ctx.needs_input_grad[3])
        with torch.cuda.device_of(unit):
            rest, mean = summed(job.ready(), pulled)
        ctx.job = job
        ctx.save_for_backward(unit, weight, bias, scale, rest, mean)
        return own_cosines(job.problem.detached())[0], rest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError("Fused has no second derivative; use the strategy Dense where one is needed")
        job: Job = ctx.job
        unit, weight, bias, scale, rest, mean = ctx.saved_tensors
        grad_own, grad_rest = gradients
        _, places, inverse = own_cosines(job.problem.detached())
        grad_unit = grad_weight = grad_scale = None
        if ctx.needs_input_grad[0]:
            grad_unit = mean * (grad_rest * scale)[:, None]
            grad_unit.addcmul_(weight.flatten(0, 1)[places], (grad_own * inverse)[:, None])
        if ctx.needs_input_grad[3]:
            grad_scale = grad_rest * (mean * unit).sum(dim=1)
            grad_scale = grad_scale if scale.ndim else grad_scale.sum()
        grad_bias = None if bias is None else torch.empty_like(bias)
        if job.problem.move is not None or ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            batch = job.ready()
            with torch.cuda.device_of(unit):
                grad_weight = weight_gradient(batch, received(batch, rest, grad_rest, grad_own, places), grad_bias)
        return grad_unit, grad_weight, grad_bias, grad_scale, None
