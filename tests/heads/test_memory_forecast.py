"""What a head is expected to take is what it takes."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from angulus.heads import (
    Auto,
    Dense,
    HeadSize,
    MarginHead,
    Panels,
    RowAdaGrad,
    RowAdamW,
    RowSGD,
    Streamed,
    head_memory,
    size_of,
)
from angulus.heads.auto import Device, exact
from angulus.margins import ArcFace, CurricularFace, L2Softmax, Softmax

SIZE = HeadSize(classes=100_000, dim=512, examples=128)
WEIGHTS, LOGITS = 4 * 100_000 * 512, 4 * 100_000 * 128
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "head_memory.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("head_memory", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules["head_memory"] = module  # its dataclasses look themselves up
    sys.path.insert(0, str(BENCHMARK.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARK.parent))
    yield module
    del sys.modules["head_memory"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark")
@pytest.mark.parametrize(
    ("classes", "dim", "examples", "subcenters", "only"),
    [(8_000, 256, 64, 1, None), (5_000, 64, 256, 3, ["dense", "streamed recompute", "streamed stash", "moved stash"])],
)
def test_expected_is_measured(benchmark, classes, dim, examples, subcenters, only):
    for row in benchmark.compared(classes, dim, examples, [subcenters], only or list(benchmark.CASES)):
        reshaping = "CurricularFace" in row["case"]  # counted for the hungriest margin of its sort
        allowed = (0.5 if reshaping else 0.15) * row["measured"] + 4 * 2**20
        assert abs(row["expected"] - row["measured"]) <= allowed, row


def test_parts_of_the_textbook_sizes():
    dense = head_memory(SIZE, Dense(), RowSGD(), moved=False)
    assert (dense.weights, dense.gradient, dense.optimizer_state) == (WEIGHTS, WEIGHTS, WEIGHTS)
    assert dense.step == 5 * WEIGHTS
    stash = head_memory(SIZE, Streamed(mode="stash"), RowSGD(), moved=False)
    assert stash.logits == LOGITS
    assert head_memory(SIZE, Streamed(mode="stash", stash="bfloat16"), RowSGD(), moved=False).logits == LOGITS // 2
    moved = head_memory(SIZE, Streamed(mode="recompute"), RowSGD(), moved=True)
    assert moved.gradient == moved.logits == moved.moving == 0
    assert moved.step < WEIGHTS // 10
    assert moved.total == moved.lasting + moved.step


def test_optimizer_state_is_that_of_the_rule():
    def state(rule, moved=False):
        return head_memory(SIZE, Streamed(), rule, moved=moved).optimizer_state

    assert state(RowSGD(momentum=0.0)) == 0
    assert state(RowAdamW()) == 2 * WEIGHTS
    assert state(RowAdaGrad()) == WEIGHTS // 512
    assert state(RowSGD(), moved=True) == WEIGHTS + 8 * 100_000


def test_a_shard_holds_its_part_and_accumulation_a_second_gradient():
    whole = head_memory(SIZE, Streamed(mode="recompute"), RowSGD(), moved=False)
    shard = head_memory(SIZE, Streamed(mode="recompute"), RowSGD(), moved=False, world=4)
    assert shard.weights == whole.weights // 4
    twice = head_memory(SIZE, Streamed(mode="recompute"), RowSGD(), moved=False, accumulating=True)
    assert twice.step - whole.gradient > whole.gradient


@pytest.mark.parametrize(
    ("margin", "wanted"),
    [
        (ArcFace(), (False, False, False, False)),
        (Softmax(), (True, True, False, True)),
        (L2Softmax(scale=16.0), (True, True, False, False)),
        (CurricularFace(), (False, False, True, False)),
    ],
)
def test_the_size_knows_the_margin(margin, wanted):
    size = size_of(margin, classes=10, dim=4, examples=2)
    assert (size.free, size.bias, size.reshapes, size.trained_scale) == wanted


def test_an_own_strategy_counts_as_recomputing():
    own, known = (head_memory(SIZE, s, RowSGD(), moved=False) for s in (object(), Streamed(mode="recompute")))
    assert own == known


def test_auto_keeps_what_streamed_auto_keeps():
    large = replace(SIZE, examples=512)
    for size, strategy in ((replace(SIZE, classes=1000), Dense()), (large, Streamed())):
        wanted = head_memory(size, strategy, RowSGD(), moved=False)
        assert head_memory(size, Auto(), RowSGD(), moved=False) == wanted


def test_auto_is_dense_where_that_is_small_and_streamed_beyond():
    assert exact(100_000, 128, moved=False, device=Device()) == Dense()
    assert exact(200_000, 128, moved=False, device=Device()) == Streamed()
    assert exact(10, 2, moved=True, device=Device()) == Streamed()


def test_auto_takes_panels_on_a_device_with_kernels():
    for products in ("float32", "tf32", "bfloat16"):
        device = Device(kernels=True, products=products)
        assert exact(100_000, 128, moved=False, device=device) == Dense()
        assert exact(200_000, 128, moved=False, device=device) == Panels(products=products)
        assert exact(10, 2, moved=True, device=device) == Panels(products=products)


@pytest.mark.parametrize("moved", [False, True])
def test_auto_gives_the_loss_and_gradient_of_dense(moved):
    def run(strategy, update):
        torch.manual_seed(0)
        head = MarginHead(8, 30, ArcFace(scale=16), 2, strategy, update)
        head.learning_rate = 0.1
        embeddings = torch.randn(5, 8, requires_grad=True)
        loss = head(embeddings, torch.randint(30, (5,))).loss
        loss.backward()
        return loss.detach(), embeddings.grad

    update = RowSGD() if moved else None
    for found, wanted in zip(run(Auto(), update), run(Dense(), None), strict=True):
        torch.testing.assert_close(found, wanted)


def test_auto_streams_what_is_large(monkeypatch):
    monkeypatch.setattr("angulus.heads.auto.SMALL", 0)
    monkeypatch.setattr(Dense, "sweep", lambda *_: pytest.fail("dense was taken"))
    head = MarginHead(8, 30, ArcFace(scale=16), strategy=Auto())
    assert head(torch.randn(5, 8), torch.arange(5)).loss.isfinite()
