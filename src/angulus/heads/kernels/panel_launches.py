"""The steps between the products of a panel as Triton kernels, one launch each.

The sums of a batch have a slot for each block of classes of a panel: every panel adds to the same ones, one after the
other, so that memory does not grow with the classes and the order never changes.
"""

import importlib.util
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from angulus.heads.kernels.panel_steps import Given, Running
from angulus.heads.strategies.problem import Logits, Problem
from angulus.heads.strategies.updates import Mover, RowSGD


@dataclass(frozen=True)
class Blocks:
    """What a program looks at. rows, columns: examples and classes of a block of logits.  row_numbers: numbers of
    weight rows.  warps: of the programs over logits."""

    rows: int
    columns: int
    row_numbers: int
    warps: int


# As in the trial on an H200; not tuned in this form, nor run, on a GPU.
BLOCKS = Blocks(rows=4, columns=1024, row_numbers=2048, warps=4)
LARGEST_WIDTH = 16_384


def kernels() -> Any:
    """The module of the kernels, which needs triton; their types are Triton's own."""
    from angulus.heads.kernels import triton_panels as kernels

    return kernels


def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on a CPU: for tests."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "y", "yes")


def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def launch_obstacle(problem: Problem, logits: Logits) -> str | None:
    """Why no kernel does the steps, or None."""
    weight = problem.weight
    centers, dim = weight.shape[1:]
    if not has_triton():
        return "triton is not installed"
    if not problem.unit.is_cuda and not interpreted():
        return f"the kernels run on CUDA devices, not on {problem.unit.device.type}"
    if logits.emphasis is not None and logits.elementwise is None:
        return "no kernel knows what the margin makes of other classes"
    if problem.unit.dtype != torch.float32 or weight.dtype != torch.float32:
        return f"the kernels compute in float32, not {weight.dtype}"
    if dim > LARGEST_WIDTH:
        return f"the kernels hold at most {LARGEST_WIDTH} dimensions, not {dim}"
    strides = weight.stride()
    if (dim > 1 and strides[2] != 1) or (centers > 1 and strides[0] != centers * strides[1]):
        return "the weights do not lie row by row"
    return "the batch is empty" if len(problem.unit) == 0 else None


class TritonSteps:
    """The steps of `panel_steps.Steps` in kernels, for a batch without an obstacle."""

    def __init__(self, problem: Problem, logits: Logits, shift: float | None, chunk: int) -> None:
        self.problem, self.logits, self.shift = problem, logits, shift
        self.slots = -(-min(chunk, len(problem.weight)) // BLOCKS.columns)
        self.centers, self.dim = problem.weight.shape[1:]
        self.width = 1 << (self.dim - 1).bit_length()
        self.tile = max(1, BLOCKS.row_numbers // self.width)
        examples = len(problem.unit)
        self.scales = logits.scale.expand(examples).contiguous()
        self.numbers = emphasis_numbers(logits, self.scales)

    @property
    def above(self) -> float:
        known = self.logits.elementwise
        return 0.0 if known is None or known.above is None else known.above

    def meaning(self) -> dict[str, object]:
        """What is compiled into the kernels over logits."""
        known = self.logits.elementwise if self.logits.emphasis is not None else None
        return {
            "CENTERS": self.centers,
            "FREE": self.problem.free,
            "BIAS": self.logits.bias is not None,
            "KIND": "none" if known is None or known.formula is None else known.formula.kind,
            "STRAIGHT": known is not None and known.straight,
            "FILTER": known is not None and known.above is not None,
            "ROWS": BLOCKS.rows,
            "COLUMNS": BLOCKS.columns,
            "num_warps": BLOCKS.warps,
        }

    def bias(self, classes: slice) -> Tensor:
        """The bias of some classes; any tensor where there is none, since it is not read."""
        return self.scales if self.logits.bias is None else self.logits.bias[classes]

    def rows(self, classes: slice) -> Tensor:
        return self.problem.weight[classes].flatten(0, 1)

    def grid(self, classes: slice) -> tuple[int, int]:
        return -(-len(self.scales) // BLOCKS.rows), -(-(classes.stop - classes.start) // BLOCKS.columns)

    def batch(self, classes: slice) -> tuple[Tensor, ...]:
        """What both kernels over logits read of the batch."""
        return (self.problem.labels, self.scales, *self.numbers, self.bias(classes))

    def place(self, classes: slice) -> tuple[float | int, ...]:
        return self.above, len(self.scales), classes.stop - classes.start, classes.start

    def prepare(self, classes: slice, panel: Tensor) -> Tensor | None:
        rows, free = self.rows(classes), self.problem.free
        inverse = self.scales if free else rows.new_empty(len(rows))
        sizes = {"DIM": self.dim, "WIDTH": self.width, "FREE": free, "TILE": self.tile}
        grid = (-(-len(rows) // self.tile),)
        kernels().copy_rows[grid](rows, rows.stride(0), panel, inverse, len(rows), **sizes)
        return None if free else inverse

    def add(self, cos: Tensor, classes: slice, running: Running, kept: Tensor | None) -> None:
        kernels().add_panel[self.grid(classes)](
            *(cos, cos if kept is None else kept, *self.batch(classes)),
            *(running.peaks, running.totals, running.totals if running.plains is None else running.plains),
            *self.place(classes),
            **self.meaning(),
            ONLINE=self.shift is None,
            TOTAL=running.plains is not None,
            KEEP=kept is not None,
        )

    def shares(self, cos: Tensor, classes: slice, given: Given, out: Tensor) -> None:
        blocks, _ = grid = self.grid(classes)
        biases = None if given.grad_bias is None else self.scales.new_empty(blocks, classes.stop - classes.start)
        kernels().share_panel[grid](
            *(cos, out, *self.batch(classes), given.rest, given.grad_rest),
            given.rest if given.grad_total is None else given.grad_total,
            self.scales if given.grad_scale is None else given.grad_scale,
            self.scales if biases is None else biases,
            *self.place(classes),
            **self.meaning(),
            TOTAL=given.grad_total is not None,
            GRAD_SCALE=given.grad_scale is not None,
            GRAD_BIAS=biases is not None,
        )
        if biases is not None and given.grad_bias is not None:
            torch.sum(biases, dim=0, out=given.grad_bias[classes])

    def project(self, gradient: Tensor, classes: slice, inverse: Tensor | None) -> None:
        if inverse is not None:
            self.finish(gradient, classes, inverse, None)

    def move(self, gradient: Tensor, classes: slice, inverse: Tensor | None) -> bool:
        mover = mover_of(self.problem)
        if mover is None:
            return False
        self.finish(gradient, classes, inverse, mover)
        return True

    def finish(self, gradient: Tensor, classes: slice, inverse: Tensor | None, mover: Mover | None) -> None:
        rows, rule = self.rows(classes), RowSGD() if mover is None else mover.rule
        assert isinstance(rule, RowSGD)
        start = classes.start * self.centers
        averages = gradient if mover is None or not rule.momentum else mover.state["momentum"][start:][: len(rows)]
        kernels().project_rows[(-(-len(rows) // self.tile),)](
            *(rows, rows.stride(0), gradient, gradient.stride(0), self.scales if inverse is None else inverse),
            *(averages, averages.stride(0), 0.0 if mover is None else mover.rate, rule.momentum, rule.weight_decay),
            len(rows),
            DIM=self.dim,
            WIDTH=self.width,
            FREE=inverse is None,
            MOVE=mover is not None,
            MOMENTUM=rule.momentum > 0,
            NESTEROV=rule.nesterov,
            TILE=self.tile,
        )


def emphasis_numbers(logits: Logits, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reference and values of an emphasis, each [n]; any tensor where none is read."""
    known = logits.elementwise
    if logits.emphasis is None or known is None or known.formula is None:
        return like, like, like, like
    values = [number(value, like) for value in known.formula.values]
    first, second, third = [*values, like, like][:3]
    return known.reference.contiguous(), first, second, third


def number(value: float | Tensor, like: Tensor) -> Tensor:
    """A number, or one for each example, as a tensor [n]."""
    if not isinstance(value, Tensor):
        return torch.full_like(like, value)
    return value.detach().to(like).expand(len(like)).contiguous()


def mover_of(problem: Problem) -> Mover | None:
    """The mover whose rule the kernel applies itself, or None."""
    mover = problem.mover
    if mover is None or type(mover.rule) is not RowSGD or mover.lagging:
        return None
    rows = problem.weight.flatten(0, 1)
    same = mover.rows.data_ptr() == rows.data_ptr() and mover.rows.stride() == rows.stride()
    return mover if same and mover.rows.dtype == rows.dtype else None
