"""The fused head against `Dense` in float64, on a GPU where there is one, else in Triton's interpreter.

The interpreter multiplies bfloat16 wrongly, so that operands of two bytes are float16 there, at scales that fit it.
"""

import contextlib
import json
import logging
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from devices.gpu import GPU_IF_ANY, HAS_GPU, LAST, needs_gpu
from reference.rounding import rounding_bounds
from torch import Tensor

from angulus.heads import Dense, Fused, MarginHead, RowAdaGrad, RowSGD, Sampled, ShardedHead, Streamed
from angulus.heads import margin_softmax as softmax
from angulus.heads.kernels import launches
from angulus.heads.kernels.fused import device_obstacle, mention
from angulus.margins import (
    AMMSoftmax,
    ArcFace,
    CurricularFace,
    L2Softmax,
    Learned,
    Margin,
    MVSoftmax,
    NormFace,
    SphereFace,
)

pytest.importorskip("triton")
pytestmark = GPU_IF_ANY
DEVICE = LAST if HAS_GPU else "cpu"
EXACT = Fused(products="float32")
# Relative to the largest entry of each gradient. Measured in the interpreter: up to 1.2e-5, the losses 2e-7.
FLOAT32 = 2e-5

MARGINS = {
    "arcface": ArcFace(),
    "arcface-200": ArcFace(scale=200.0),  # needs a running maximum
    "sphereface": SphereFace(),  # a scale for each example, with a gradient
    "l2softmax": L2Softmax(scale=Learned(7.0)),  # free weights, a bias, a learned scale
    "normface-learned": NormFace(scale=Learned(20.0)),
}
SHAPES = {  # examples, classes, sub-centers, dimensions
    "within-a-tile": (5, 11, 1, 8),
    "over-tiles": (37, 203, 1, 40),
    "whole-tiles": (32, 64, 1, 16),
    "subcenters": (19, 50, 3, 20),
    "one-example": (1, 40, 2, 3),
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles and panels so small that little shapes have several; those for a GPU stay as they are."""
    if DEVICE == "cpu":
        for key in launches.TILES:
            monkeypatch.setitem(launches.TILES, key, launches.Tiles(16, 16, 4, 1))
        monkeypatch.setattr(launches, "PANEL_BYTES", 128 * 64 * 4)


def drawn(examples: int, classes: int, centers: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, weights and labels; duplicates and -1 among them where there are enough."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = 3 * torch.randn(examples, dim, generator=generator)
    weight = torch.randn(classes, centers, dim, generator=generator) * torch.logspace(-1, 1, classes)[:, None, None]
    labels = torch.randint(classes, (examples,), generator=generator)
    labels[2:4] = labels[:1]
    labels[4:5] = -1
    return embeddings, weight, labels


def results(
    strategy, margin: Margin, batch: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype, **options
) -> dict[str, Tensor]:
    """Losses and gradients of everything that has one."""
    embeddings, weight, labels = batch
    leaves = {"embeddings": embeddings, "weight": weight}
    if margin.has_bias:
        leaves["bias"] = torch.linspace(-2, 2, len(weight))
    for name, value in margin.initial_learned(len(weight)).items():
        leaves[name] = torch.tensor(value)
    leaves = {name: leaf.to(DEVICE, dtype).requires_grad_() for name, leaf in leaves.items()}
    learned = {"scale": leaves["scale"]} if "scale" in leaves else None
    options |= {"bias": leaves.get("bias"), "learned": learned, "strategy": strategy}
    losses = softmax(leaves["embeddings"], leaves["weight"], labels.to(DEVICE), margin, **options)
    per_loss = torch.linspace(0.5, 1.5, len(losses), device=DEVICE, dtype=dtype)
    gradients = torch.autograd.grad((losses * per_loss).sum(), list(leaves.values()))
    return {"losses": losses.detach(), **dict(zip(leaves, gradients, strict=True))}


def assert_close(got: dict[str, Tensor], wanted: dict[str, Tensor], bound: float) -> None:
    for name, want in wanted.items():
        largest = max(float(want.abs().max()), 1e-3)
        difference = float((got[name].double() - want.double()).abs().max()) / largest
        assert difference <= bound, f"{name}: {difference:.1e} of the largest entry {largest:.1e}"


def compared(margin: Margin, batch: tuple[Tensor, Tensor, Tensor], strategy=EXACT, bound: float = FLOAT32) -> None:
    used: list[str] = []
    with watched(used):
        got = results(strategy, margin, batch, torch.float32)
    assert used == ["summed", "weight_gradient"]  # and not the fallback
    assert_close(got, results(Dense(), margin, batch, torch.float64), bound)


@contextlib.contextmanager
def watched(used: list[str]):
    """Notes which launches were made."""
    from angulus.heads.kernels import fused

    def noting(name, function):
        def noted(*arguments):
            used.append(name)
            return function(*arguments)

        return noted

    with pytest.MonkeyPatch.context() as patch:
        for name in ("summed", "weight_gradient"):
            patch.setattr(fused, name, noting(name, getattr(fused, name)))
        yield


# ---- the same numbers


@pytest.mark.grid
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("margin", MARGINS.values(), ids=MARGINS.keys())
def test_losses_and_gradients_are_those_of_dense(margin: Margin, shape: tuple[int, int, int, int]) -> None:
    compared(margin, drawn(*shape))


@pytest.mark.parametrize("centers", [1, 3])
@pytest.mark.parametrize("margin", MARGINS.values(), ids=MARGINS.keys())
def test_one_class_gives_nothing(margin: Margin, centers: int) -> None:
    embeddings, weight, _ = drawn(6, 1, centers, 5)
    compared(margin, (embeddings, weight, torch.tensor([0, 0, -1, 0, 0, -1])))


def test_examples_of_no_class_give_nothing() -> None:
    embeddings, weight, _ = drawn(6, 20, 1, 5)
    got = results(EXACT, ArcFace(), (embeddings, weight, torch.full((6,), -1)), torch.float32)
    assert all((value == 0).all() for value in got.values())


def test_many_examples_of_one_class() -> None:
    embeddings, weight, _ = drawn(40, 20, 2, 5)
    compared(ArcFace(), (embeddings, weight, torch.full((40,), 17)))


def test_zero_rows() -> None:
    embeddings, weight, labels = drawn(9, 20, 1, 5)
    weight[[3, 7]] = 0.0
    labels[0] = 3
    embeddings[1] = 0.0
    compared(ArcFace(), (embeddings, weight, labels))


def test_very_short_and_very_long_rows() -> None:
    batch = drawn(9, 20, 1, 5)
    batch[1][3] *= 1e-15
    batch[1][4] *= 1e15
    batch[2][:2] = torch.tensor([3, 4])
    got, want = results(EXACT, ArcFace(), batch, torch.float32), results(Dense(), ArcFace(), batch, torch.float64)
    for row in (3, 4, 5):
        size = float(want["weight"][row].abs().max())
        assert float((got["weight"][row] - want["weight"][row]).abs().max()) <= FLOAT32 * size
    assert_close({"losses": got["losses"]}, {"losses": want["losses"]}, FLOAT32)


@pytest.mark.parametrize("free", [False, True])
def test_ties_between_subcenters_go_to_the_first(free: bool) -> None:
    embeddings, weight, labels = drawn(9, 20, 3, 5)
    weight[:, 1:] = weight[:, :1]
    got = results(EXACT, L2Softmax(scale=7.0) if free else ArcFace(), (embeddings, weight, labels), torch.float32)
    assert got["weight"][:, 0].abs().max() > 0
    assert (got["weight"][:, 1:] == 0).all()


def test_without_gradients_only_sums_are_made() -> None:
    embeddings, weight, labels = (tensor.to(DEVICE) for tensor in drawn(9, 30, 2, 5))
    with torch.no_grad():
        losses = softmax(embeddings, weight.requires_grad_(), labels, ArcFace(), strategy=EXACT)
    torch.testing.assert_close(losses, softmax(embeddings, weight, labels, ArcFace()).detach(), rtol=1e-5, atol=1e-5)


def test_weights_that_are_frozen_or_embeddings_that_are() -> None:
    embeddings, weight, labels = (tensor.to(DEVICE) for tensor in drawn(9, 30, 1, 5))
    whole = results(EXACT, ArcFace(), drawn(9, 30, 1, 5), torch.float32)
    per_loss = torch.linspace(0.5, 1.5, 9, device=DEVICE)
    for name, leaf in (("embeddings", embeddings), ("weight", weight)):
        leaf.requires_grad_(True)
        losses = softmax(embeddings, weight, labels, ArcFace(), strategy=EXACT)
        (gradient,) = torch.autograd.grad((losses * per_loss).sum(), leaf)
        leaf.requires_grad_(False)
        assert torch.equal(gradient, whole[name])


def test_a_large_bias_needs_a_running_maximum_whatever_the_margin() -> None:
    embeddings, weight, labels = drawn(9, 30, 1, 5)
    bias = torch.linspace(0, 60, 30)
    found = []
    for strategy, dtype in ((EXACT, torch.float32), (Dense(), torch.float64)):
        x = embeddings.to(DEVICE, dtype)
        losses = softmax(x, weight.to(DEVICE, dtype), labels.to(DEVICE), ArcFace(), bias=bias.to(x), strategy=strategy)
        found.append({"losses": losses})
    assert_close(*found, FLOAT32)


@pytest.mark.slow
def test_two_runs_are_equal_to_the_bit() -> None:
    batch = drawn(37, 203, 3, 40)
    first, second = (results(EXACT, L2Softmax(scale=Learned(7.0)), batch, torch.float32) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rows_at_distances_beyond_2_to_the_31() -> None:
    """Rows 2^30 numbers apart in address space that is hardly used: an offset of 32 bits would end the process."""
    if DEVICE != "cpu":
        pytest.skip("the host's address space is no device memory")
    count, dim, apart = 5, 6, 2**30
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    memory = mmap.mmap(-1, 4 * (count * apart), flags=flags)
    spread = torch.frombuffer(memory, dtype=torch.float32).as_strided((count, dim), (apart, 1))
    embeddings, weight, labels = drawn(7, count, 1, dim)
    spread.copy_(weight[:, 0])
    labels[0] = count - 1
    found = []
    for rows in (spread, weight[:, 0]):
        head = MarginHead(dim, count, ArcFace(), strategy=EXACT, update=RowSGD(momentum=0.0))
        head.weight = torch.nn.Parameter(rows)
        head.learning_rate = 0.1
        head(embeddings, labels).loss.backward()
        found.append(rows.detach().clone())
    assert not torch.equal(found[0], drawn(7, count, 1, dim)[1][:, 0])
    assert torch.equal(*found)


def test_operands_of_two_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":
        monkeypatch.setitem(launches.OPERANDS, "bfloat16", launches.Operand(torch.float16, "ieee"))
    bound = 2e-3 if DEVICE == "cpu" else 2e-2
    for centers in (1, 3):
        compared(ArcFace(scale=8.0), drawn(19, 50, centers, 20), Fused(), bound)


# ---- moving rows inside the backward pass


def moved(strategy, rule, steps: int = 4, centers: int = 1, margin: Margin | None = None) -> dict[str, Tensor]:
    torch.manual_seed(0)
    head = MarginHead(12, 45, margin or ArcFace(scale=16.0), centers, strategy=strategy, update=rule).to(DEVICE)
    head.learning_rate = 0.1
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape))
    for step in range(steps):
        embeddings, _, labels = drawn(11, 45, 1, 12, seed=step)
        head.learning_rate = 0.1 / (step + 1)
        embeddings = embeddings.to(DEVICE).requires_grad_()
        head(embeddings, labels.to(DEVICE)).loss.backward()
    assert head.weight.grad is None
    head.settle()
    return {"weight": head.weight.detach(), "embeddings": embeddings.grad, **dict(head.named_buffers())}


RULES = {
    "momentum": RowSGD(momentum=0.9, weight_decay=0.01),
    "nesterov": RowSGD(momentum=0.8, weight_decay=0.01, nesterov=True),
    "plain": RowSGD(momentum=0.0, weight_decay=0.0),
    "adagrad": RowAdaGrad(),  # panel by panel, not by the kernel
}


@pytest.mark.grid
@pytest.mark.parametrize("centers", [1, 3])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_rows_move_as_with_streamed(rule, centers: int) -> None:
    got = moved(EXACT, rule, centers=centers)
    assert_close(got, moved(Streamed(), rule, centers=centers), FLOAT32)


@pytest.mark.parametrize("margin", [SphereFace(), L2Softmax(scale=Learned(8.0))], ids=lambda margin: margin.kind)
def test_rows_of_other_margins_move_as_with_streamed(margin: Margin) -> None:
    assert_close(moved(EXACT, RowSGD(), margin=margin), moved(Streamed(), RowSGD(), margin=margin), FLOAT32)


def test_the_kernel_moves_rows_without_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "angulus.heads.strategies.updates.Mover.move", lambda *arguments: pytest.fail("a gradient was formed")
    )
    moved(EXACT, RowSGD(), steps=1)


def test_a_graph_whose_rows_were_moved_is_not_used_again() -> None:
    head = MarginHead(5, 9, ArcFace(), strategy=EXACT, update=RowSGD()).to(DEVICE)
    head.learning_rate = 0.1
    embeddings, _, labels = drawn(6, 9, 1, 5)
    loss = head(embeddings.to(DEVICE), labels.to(DEVICE)).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_sampled_classes_are_summed_by_kernels() -> None:
    rates = {"rate": 0.4, "seed": 3}
    assert_close(moved(Sampled(streamed=EXACT, **rates), RowSGD()), moved(Sampled(**rates), RowSGD()), FLOAT32)
    batch = drawn(11, 45, 2, 12)
    got = results(Sampled(streamed=EXACT, **rates), ArcFace(), batch, torch.float32)
    assert_close(
        got, results(Sampled(**rates), ArcFace(), batch, torch.float64 if DEVICE == "cpu" else torch.float32), 2e-5
    )


def test_inside_a_sharded_head_of_one_process(tmp_path) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        found = []
        for strategy in (EXACT, Dense()):
            torch.manual_seed(0)
            head = ShardedHead(5, 40, ArcFace(), strategy=strategy, process_group=dist.group.WORLD)
            embeddings, _, labels = drawn(9, 40, 1, 5)
            embeddings.requires_grad_()
            head(embeddings, labels).loss.backward()
            found.append({"embeddings": embeddings.grad, "weight": head.weight.grad})
        assert_close(*found, FLOAT32)
    finally:
        dist.destroy_process_group()


# ---- what the kernels do not do


@pytest.mark.parametrize("margin", [MVSoftmax(), CurricularFace(), AMMSoftmax()], ids=lambda margin: margin.kind)
def test_margins_that_reshape_other_classes_are_summed_by_the_fallback(margin: Margin) -> None:
    batch = drawn(9, 20, 2, 5)
    used: list[str] = []
    with watched(used):
        got = results(EXACT, margin, batch, torch.float32)
    assert used == []
    assert_close(got, results(Dense(), margin, batch, torch.float64), 1e-4)


@pytest.mark.parametrize(
    ("reason", "dtype", "dim", "options"),
    [
        ("float32, not torch.float64", torch.float64, 5, {}),
        ("512 dimensions, not 513", torch.float32, 513, {}),
        ("label smoothing", torch.float32, 5, {"label_smoothing": 0.1}),
    ],
)
def test_the_log_says_once_why_the_fallback_sums(reason, dtype, dim, options, caplog) -> None:
    mention.cache_clear()
    batch = drawn(9, 20, 1, dim)
    with caplog.at_level(logging.INFO, logger="angulus.heads.kernels.fused"):
        for _ in range(2):
            got = results(EXACT, ArcFace(), batch, dtype, **options)
    assert [reason in record.getMessage() for record in caplog.records] == [True]
    assert_close(got, results(Dense(), ArcFace(), batch, torch.float64, **options), FLOAT32)


def test_weights_that_do_not_lie_row_by_row_and_empty_batches() -> None:
    embeddings, weight, labels = (tensor.to(DEVICE) for tensor in drawn(9, 20, 1, 5))
    turned = weight[:, 0].T.contiguous().T
    losses = softmax(embeddings, turned, labels, ArcFace(), strategy=EXACT)
    torch.testing.assert_close(losses, softmax(embeddings, turned, labels, ArcFace()), rtol=1e-5, atol=1e-5)
    assert softmax(embeddings[:0], turned, labels[:0], ArcFace(), strategy=EXACT).shape == (0,)


def test_a_device_without_kernels_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert device_obstacle(torch.device("cpu")) == "the kernels run on CUDA devices, not on cpu"


def test_second_derivatives_are_refused() -> None:
    embeddings, weight, labels = (tensor.to(DEVICE) for tensor in drawn(9, 20, 1, 5))
    losses = softmax(embeddings.requires_grad_(), weight, labels, ArcFace(), strategy=EXACT)
    with pytest.raises(RuntimeError, match="Dense"):
        torch.autograd.grad(losses.sum(), embeddings, create_graph=True)


def test_unknown_products_are_refused() -> None:
    with pytest.raises(ValueError, match='"tf32" or "bfloat16", got \'int8\''):
        Fused(products="int8")


def test_angulus_is_imported_without_triton() -> None:
    code = "import sys; import angulus.heads; sys.exit(any(name.split('.')[0] == 'triton' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- how classes are divided


@pytest.mark.parametrize(("blocks", "expected"), [(16, 8), (8, 15), (1, 119), (100, 5), (500, 1)])
def test_splits_keep_a_processor_of_132_busy(blocks: int, expected: int) -> None:
    assert launches.splits_of(blocks, 132) == expected


@pytest.mark.parametrize("width", [128, 256, 512])
@pytest.mark.parametrize("size", [2, 4])
def test_tiles_divide_what_is_padded(size: int, width: int) -> None:
    tiles = launches.TILES[size, width]
    assert launches.STEP % tiles.owned == 0
    assert launches.STEP % tiles.streamed == 0


@pytest.mark.slow
def test_compiled_for_hopper_the_kernels_fit_its_shared_memory() -> None:
    settings = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("compiled_kernels.py")
    done = subprocess.run([sys.executable, script], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert max(found.values()) <= 227 * 1024, found


# ---- on a GPU only: real tiles, real operands

LARGE = {
    "512": (1024, 30_001, 1, 512),
    "300": (200, 20_011, 1, 300),
    "128": (333, 20_000, 1, 128),
    "512-3": (256, 5_003, 3, 512),
    "128-3": (256, 5_003, 3, 128),
}


@needs_gpu
@pytest.mark.parametrize("products", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("shape", LARGE.values(), ids=LARGE.keys())
@pytest.mark.parametrize("margin", MARGINS.values(), ids=MARGINS.keys())
def test_large_problems(margin: Margin, shape: tuple[int, int, int, int], products: str) -> None:
    problem = drawn(*shape)
    if products != "bfloat16":
        bound = 5e-5 if products == "float32" else 5e-3 * (4 if margin.free_weights else 1)
        compared(margin, problem, Fused(products=products), bound)
        return
    got = results(Fused(products=products), margin, problem, torch.float32)
    want, bounds = rounding_bounds(margin, problem)
    for name, bound in bounds.items():
        assert ((got[name].cpu().double() - want[name]).abs() <= bound).all(), name


@needs_gpu
@pytest.mark.parametrize("products", ["float32", "tf32", "bfloat16"])
def test_large_problems_repeat_to_the_bit(products: str) -> None:
    batch = drawn(1024, 30_001, 1, 512)
    first, second = (results(Fused(products=products), ArcFace(), batch, torch.float32) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
