"""How the fused kernels are launched: tiles, what they read of a batch, and panels of classes.

Panels are copies of weight rows in the operand type, so that the inner loops copy straight into shared memory while
they multiply; float32 rows would need twice the traffic between cache and chip, which is what limits these loops. A
panel has a fixed size in bytes whatever the number of classes.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from angulus.heads.strategies.problem import Logits, Problem
from angulus.heads.strategies.streamed import constant_shift
from angulus.heads.strategies.updates import Mover, RowSGD

LARGEST_WIDTH = 512
PANEL_BYTES = 2**27
# Examples and the classes of a panel are padded to a multiple of this, which is one of every tile.
STEP = 128
PREPARED_TOGETHER = 16
INTERPRETED_PROCESSORS = 3  # so that classes are split in tests, too


@dataclass(frozen=True)
class Operand:
    """What the large products multiply. precision: what Triton is asked for."""

    dtype: torch.dtype
    precision: str

    @property
    def tensor_cores(self) -> bool:
        return self.dtype != torch.float32 or self.precision != "ieee"


OPERANDS = {
    "float32": Operand(torch.float32, "ieee"),
    "tf32": Operand(torch.float32, "tf32"),
    "bfloat16": Operand(torch.bfloat16, "ieee"),
}


@dataclass(frozen=True)
class Tiles:
    """owned: rows a program has sums for.  streamed: rows it looks at together.  warps, stages: as Triton has them."""

    owned: int
    streamed: int
    warps: int
    stages: int

    @property
    def repeats(self) -> bool:
        """Whether there are warps without rows of their own (a warp multiplies 16); see `triton_kernels`."""
        return self.owned < 16 * self.warps


# By the bytes of an operand and the width. The float32 sums [owned, width] of a program stay in its registers: 128 KiB
# of a Hopper processor's 256 in the largest case, so one program of 8 warps with 128 registers a thread for them. Its
# 227 KiB of shared memory hold the owned operands and `stages` streamed tiles: at width 512 in bfloat16 64 + 2 x 64.
# tests/heads/kernels/compiled_kernels.py shows that they fit; not yet tuned, nor run, on a GPU.
TILES = {
    (2, 128): Tiles(128, 128, 8, 3),
    (2, 256): Tiles(128, 64, 8, 3),
    (2, 512): Tiles(64, 64, 8, 2),
    (4, 128): Tiles(64, 64, 8, 2),
    (4, 256): Tiles(64, 32, 8, 2),
    (4, 512): Tiles(32, 32, 8, 1),
}


def tiles_for(operand: Operand, width: int, centers: int, online: bool) -> Tiles:
    tiles = TILES[operand.dtype.itemsize, max(width, 128)]
    if online and operand.dtype.itemsize == 2 and width == 512:
        # sums that are rescaled wait for the product before: Triton keeps a streamed tile more
        tiles = replace(tiles, streamed=tiles.streamed // 2)
    # with sub-centers rows are streamed twice, each time through shared memory of their own
    return tiles if centers == 1 else replace(tiles, stages=min(tiles.stages, 2))


def kernels() -> Any:
    """The module of the kernels, which needs triton; their types are Triton's own."""
    from angulus.heads.kernels import triton_kernels as kernels

    return kernels


def width_of(dim: int) -> int:
    """The power of two to which embeddings are padded; 16 is the least that a product takes."""
    return max(16, 1 << (dim - 1).bit_length())


def whole_steps(count: int) -> int:
    return -(-count // STEP) * STEP


@dataclass(frozen=True)
class Ready:
    """A batch as the kernels read it.

    units: [e, width] operands, zero beyond the batch.  labels, scales: [e].
    shift: what is taken off every logit; None where that needs a running maximum.
    """

    problem: Problem
    logits: Logits
    operand: Operand
    tiles: Tiles
    units: Tensor
    labels: Tensor
    scales: Tensor
    shift: float | None

    @property
    def width(self) -> int:
        return self.units.shape[1]

    @property
    def centers(self) -> int:
        return self.problem.weight.shape[1]

    def panel_bias(self, classes: slice) -> Tensor:
        """The bias of some classes; any tensor where there is none, since it is not read."""
        return self.scales if self.logits.bias is None else self.logits.bias[classes]

    def meaning(self) -> dict[str, object]:
        """What is compiled into the kernels that multiply."""
        return {
            "WIDTH": self.width,
            "CENTERS": self.centers,
            "FREE": self.problem.free,
            "BIAS": self.logits.bias is not None,
            "PRECISION": self.operand.precision,
            "BRANCH": self.tiles.repeats and self.operand.tensor_cores,
            "OWNED": self.tiles.owned,
            "STREAMED": self.tiles.streamed,
            "num_warps": self.tiles.warps,
            "num_stages": self.tiles.stages,
            "enable_fp_fusion": True,
        }


def ready(problem: Problem, logits: Logits, products: str) -> Ready:
    operand = OPERANDS[products]
    examples, dim = problem.unit.shape
    width, beyond = width_of(dim), whole_steps(examples) - examples
    shift = constant_shift(logits.limit)
    return Ready(
        problem,
        logits,
        operand,
        tiles_for(operand, width, problem.weight.shape[1], shift is None),
        units=pad(problem.unit.to(operand.dtype), (0, width - dim, 0, beyond)),
        labels=pad(problem.labels, (0, beyond), value=-1),
        scales=pad(logits.scale.expand(examples), (0, beyond)),
        shift=shift,
    )


@dataclass(frozen=True)
class Panel:
    """A range of classes.  rows: [c' * k, d] as stored.  operands: [k, room, width].  inverses: [k, room]."""

    classes: slice
    rows: Tensor
    operands: Tensor
    inverses: Tensor

    @property
    def count(self) -> int:
        return self.classes.stop - self.classes.start

    @property
    def room(self) -> int:
        return self.operands.shape[1]


def panels(batch: Ready) -> Iterator[Panel]:
    """The classes, panel by panel, in the same memory."""
    weight, width, dtype = batch.problem.weight, batch.width, batch.operand.dtype
    classes, centers, dim = weight.shape
    fitting = PANEL_BYTES // (centers * width * dtype.itemsize) // STEP * STEP
    room = min(max(fitting, STEP), whole_steps(classes))
    operands = weight.new_empty(centers, room, width, dtype=dtype)
    inverses = weight.new_empty(centers, room)
    for start in range(0, classes, room):
        part = slice(start, min(start + room, classes))
        rows = weight[part].flatten(0, 1)
        panel = Panel(part, rows, operands, inverses)
        grid = (whole_steps(panel.count) // PREPARED_TOGETHER, centers)
        sizes = {"DIM": dim, "WIDTH": width, "CENTERS": centers, "FREE": batch.problem.free}
        places = (rows, rows.stride(0), operands, inverses, panel.count, room)
        kernels().prepare[grid](*places, **sizes, TILE=PREPARED_TOGETHER)
        yield panel


@functools.cache
def processors(device: torch.device) -> int:
    if device.type != "cuda":
        return INTERPRETED_PROCESSORS
    return torch.cuda.get_device_properties(device).multi_processor_count


def splits_of(blocks: int, processors: int) -> int:
    """Into how many parts the classes go: the fewest with which whole rounds of programs keep processors busy."""

    def busy(splits: int) -> float:
        rounds = -(-blocks * splits // processors)
        return blocks * splits / (rounds * processors)

    choices = range(1, max(1, 4 * processors // blocks) + 1)
    return next((splits for splits in choices if busy(splits) >= 0.9), max(choices, key=busy))


def summed(batch: Ready, pulled: bool) -> tuple[Tensor, Tensor | None]:
    """rest [n], and where `pulled` mean [n, d]; see `angulus.heads.kernels.fused`."""
    examples = len(batch.labels)
    blocks = -(-len(batch.problem.unit) // batch.tiles.owned)
    splits = splits_of(blocks, processors(batch.units.device))
    start = kernels().LOWEST if batch.shift is None else batch.shift
    peaks = batch.scales.new_full((splits, examples), start)
    totals = torch.zeros_like(peaks)
    pulls = peaks.new_zeros(splits, examples, batch.width) if pulled else totals
    for panel in panels(batch):
        tiles = -(-panel.count // batch.tiles.streamed)
        kernels().sum_classes[(blocks, splits)](
            *(batch.units, batch.labels, batch.scales, batch.panel_bias(panel.classes), panel.operands),
            *(peaks, totals, pulls, panel.count, panel.classes.start, panel.room, examples, -(-tiles // splits)),
            **batch.meaning(),
            ONLINE=batch.shift is None,
            GRADIENT=pulled,
        )
    return combined(batch, peaks, totals, pulls if pulled else None)


def combined(batch: Ready, peaks: Tensor, totals: Tensor, pulls: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The splits' sums added up, in their order."""
    examples, dim = batch.problem.unit.shape
    peak = peaks.amax(dim=0)
    shares = (peaks - peak).exp_()
    total = (totals * shares).sum(dim=0).clamp(min=torch.finfo(totals.dtype).tiny)
    rest = (peak + total.log())[:examples]
    if pulls is None:
        return rest, None
    if batch.shift is None:
        pulls.mul_(shares[..., None])
    return rest, (pulls.sum(dim=0) / total[:, None])[:examples, :dim].contiguous()


@dataclass(frozen=True)
class Received:
    """What the backward pass is given.

    rests, grads: [e] the log-sums and their gradients.
    own_labels, own_examples, own_centers, own_grads: [n] the labels in rising order; whose they are, the nearest of the
        own sub-centers, and the gradient of the own cosine.
    """

    rests: Tensor
    grads: Tensor
    own_labels: Tensor
    own_examples: Tensor
    own_centers: Tensor
    own_grads: Tensor

    def bounds(self, panel: Panel, tile: int) -> Tensor:
        """Where the labels of each tile of classes begin; those of no class come before all."""
        starts = torch.arange(panel.classes.start, panel.classes.stop + tile, tile, device=self.own_labels.device)
        return torch.searchsorted(self.own_labels, starts.clamp(max=panel.classes.stop))


def received(batch: Ready, rest: Tensor, grad_rest: Tensor, grad_own: Tensor, places: Tensor) -> Received:
    """places: [n] the weight rows of the own classes, of [c * k, d]."""
    beyond = len(batch.labels) - len(rest)
    labels, order = batch.problem.labels.sort(stable=True)
    # so large that every exponential of a padded example is 0, whatever the bias
    rests, grads = pad(rest, (0, beyond), value=1e30), pad(grad_rest, (0, beyond))
    return Received(rests, grads, labels, order, (places % batch.centers)[order], grad_own[order])


def mover_of(problem: Problem) -> Mover | None:
    """The mover whose rule the kernel applies itself, or None."""
    mover = problem.mover
    if mover is None or type(mover.rule) is not RowSGD or mover.lagging:
        return None
    rows = problem.weight.flatten(0, 1)
    same = mover.rows.data_ptr() == rows.data_ptr() and mover.rows.stride() == rows.stride()
    return mover if same and mover.rows.dtype == rows.dtype else None


def weight_gradient(batch: Ready, given: Received, grad_bias: Tensor | None) -> Tensor | None:
    """The gradient [c, k, d]; None where the rows are moved. grad_bias: [c], to be filled."""
    problem = batch.problem
    mover, whole, buffer = mover_of(problem), None, None
    if problem.move is None:
        whole = problem.weight.new_empty(problem.weight.shape)
    for panel in panels(batch):
        rows = slice(panel.classes.start * batch.centers, panel.classes.stop * batch.centers)
        if whole is not None:
            move_panel(batch, given, panel, whole[panel.classes].flatten(0, 1), None, grad_bias)
        elif mover is not None:
            move_panel(batch, given, panel, panel.rows, mover, grad_bias)
        else:
            assert problem.move is not None
            buffer = torch.empty_like(panel.rows) if buffer is None else buffer[: len(panel.rows)]
            move_panel(batch, given, panel, buffer, None, grad_bias)
            problem.move(rows, buffer)
    if mover is not None:  # a kernel's writes are not seen by autograd
        torch.autograd.graph.increment_version((problem.weight, *mover.state.values()))
    return whole


def move_panel(
    batch: Ready, given: Received, panel: Panel, target: Tensor, mover: Mover | None, grad_bias: Tensor | None
) -> None:
    """Write the gradient of a panel's rows into target [c' * k, d], or move the rows."""
    rule = RowSGD() if mover is None else mover.rule
    assert isinstance(rule, RowSGD)
    start = panel.classes.start * batch.centers
    averages = target if mover is None or not rule.momentum else mover.state["momentum"][start:][: len(panel.rows)]
    unit, owned, streamed = batch.problem.unit, batch.tiles.owned, batch.tiles.streamed
    kernels().move_rows[(-(-panel.count // owned), batch.centers)](
        *(batch.units, batch.labels, batch.scales, given.rests, given.grads, panel.operands, panel.inverses),
        *(batch.panel_bias(panel.classes), batch.scales if grad_bias is None else grad_bias[panel.classes]),
        *(unit, unit.stride(0), given.own_labels, given.own_examples, given.own_centers, given.own_grads),
        *(given.bounds(panel, owned), panel.rows, panel.rows.stride(0), target, target.stride(0)),
        *(averages, averages.stride(0), 0.0 if mover is None else mover.rate, rule.momentum, rule.weight_decay),
        *(panel.count, panel.classes.start, panel.room, -(-len(unit) // streamed)),
        **batch.meaning(),
        DIM=unit.shape[1],
        MOVE=mover is not None,
        MOMENTUM=rule.momentum > 0,
        NESTEROV=rule.nesterov,
    )
