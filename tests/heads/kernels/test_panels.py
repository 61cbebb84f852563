"""Panels against the float64 oracles, in plain torch and in kernels: on a GPU where there is one, else interpreted."""

import json
import os
import subprocess
import sys
import weakref
from collections import Counter
from pathlib import Path

import pytest
import torch
from devices.gpu import GPU_IF_ANY, needs_gpu
from reference.margin_cases import CASE_NAMES, CASES, CLASSES
from reference.rounding import rounding_bounds
from test_against_reference_heads import LABELS, assert_close, batch, expected, obtained
from test_fused import DEVICE, FLOAT32, RULES, drawn, moved, results
from test_fused import assert_close as assert_near
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from angulus.heads import (
    Auto,
    Dense,
    MarginHead,
    Panels,
    RowAdamW,
    RowSGD,
    Sampled,
    ShardedHead,
    Streamed,
    head_memory,
    size_of,
)
from angulus.heads import margin_softmax as softmax
from angulus.heads.kernels import panel_launches
from angulus.heads.kernels.panel_sizes import LARGEST, SMALLEST, chunk_for, panel_bytes
from angulus.margins import (
    AMMSoftmax,
    ArcFace,
    Circle,
    CurricularFace,
    L2Softmax,
    Learned,
    Margin,
    MVSoftmax,
    NormFace,
    SphereFace,
)

pytestmark = GPU_IF_ANY
HAS_TRITON = panel_launches.has_triton()
WAYS = ["torch", pytest.param("triton", marks=pytest.mark.skipif(not HAS_TRITON, reason="needs triton"))]
EACH_WAY = pytest.mark.parametrize("way", WAYS)
TRITON = pytest.mark.skipif(not HAS_TRITON, reason="needs triton")
CUTS = pytest.mark.skipif(DEVICE == "cpu", reason="the interpreter does not round to bfloat16 but cuts off")
BOTH_MODES = pytest.mark.parametrize("mode", ["recompute", "stash"])

MARGINS = {
    "arcface": ArcFace(),
    "arcface-200": ArcFace(scale=200.0),  # needs a running maximum
    "sphereface": SphereFace(),  # a scale for each example, with a gradient
    "l2softmax": L2Softmax(scale=Learned(7.0)),  # free weights, a bias, a learned scale
    "mv": MVSoftmax(),
    "mv-straight": MVSoftmax(gradient="straight_through", scale=Learned(20.0)),
    "curricular": CurricularFace(),
    "amm": AMMSoftmax(),
    "amm-violation": AMMSoftmax(rule="violation"),  # which no kernel knows
    "circle": Circle(),
}
SHAPES = {  # examples, classes, sub-centers, dimensions
    "within-a-panel": (5, 4, 1, 8),
    "over-panels": (13, 65, 1, 17),
    "whole-panels": (16, 48, 1, 16),
    "subcenters": (19, 50, 3, 20),
    "one-example": (1, 40, 2, 3),
    "one-class": (6, 1, 3, 5),
    "two-dimensions": (7, 12, 1, 2),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that little shapes have several; those for a GPU stay as they are."""
    if DEVICE == "cpu":
        monkeypatch.setattr(panel_launches, "BLOCKS", panel_launches.Blocks(8, 16, 64, 4))


def panels(way: str = "torch", mode: str = "recompute", **settings) -> Panels:
    settings = {"products": "float32", "chunk": 24} | settings
    return Panels(elementwise=way, mode=mode, **settings)


# ---- the same numbers


@pytest.mark.grid
@BOTH_MODES
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_float64_matches_the_oracle(index: int, subcenters: int, mode: str) -> None:
    for chunk, smoothing in ((1, 0.0), (3, 0.2), (3, 0.0), (100, 0.0)):
        strategy = panels(mode=mode, chunk=chunk)
        got = obtained(CASES[index], subcenters, torch.float64, strategy, label_smoothing=smoothing)
        assert_close(got, expected(index, subcenters, torch.float64, label_smoothing=smoothing), torch.float64)


@pytest.mark.grid
@EACH_WAY
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_float32_matches_the_oracle(index: int, subcenters: int, way: str) -> None:
    for mode, smoothing in (("stash", 0.0), ("recompute", 0.2)):
        got = obtained(CASES[index], subcenters, torch.float32, panels(way, mode, chunk=3), label_smoothing=smoothing)
        assert_close(got, expected(index, subcenters, torch.float32, label_smoothing=smoothing), torch.float32)


# Only logits with a known bound are kept.
KEPT = [(name, "recompute") for name in MARGINS] + [("arcface", "stash")]


@pytest.mark.grid
@EACH_WAY
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize(("name", "mode"), KEPT)
def test_awkward_shapes(name: str, shape: tuple[int, int, int, int], mode: str, way: str) -> None:
    margin, problem = MARGINS[name], drawn(*shape)
    got = results(panels(way, mode), margin, problem, torch.float32)
    assert_near(got, results(Dense(), margin, problem, torch.float64), 1e-4 if margin.reshapes_others else FLOAT32)


@pytest.mark.grid
@TRITON
@pytest.mark.parametrize("products", ["float32", pytest.param("bfloat16", marks=CUTS)])
@pytest.mark.parametrize("margin", MARGINS.values(), ids=MARGINS.keys())
def test_kernels_do_what_plain_torch_does(margin: Margin, products: str) -> None:
    problem = drawn(19, 50, 3, 20)
    one, other = (
        results(panels(way, products=products), margin, problem, torch.float32) for way in ("torch", "triton")
    )
    # a share that rounds the other way is another by one part in 128
    assert_near(one, other, FLOAT32 if products == "float32" else 2**-7)


def test_a_filter_and_zero_rows_and_ties() -> None:
    embeddings, weight, labels = drawn(9, 30, 3, 5)
    weight[[3, 7]] = 0.0
    weight[11:13, 1:] = weight[11:13, :1]
    labels[0], embeddings[1] = 3, 0.0
    found = {}
    for name, strategy in (("dense", Dense()), ("torch", panels()), ("triton", panels("triton"))):
        if name == "triton" and not HAS_TRITON:
            continue
        for margin in (ArcFace(scale=16.0), MVSoftmax(scale=16.0)):
            torch.manual_seed(0)
            head = MarginHead(5, 30, margin, 3, strategy, filter_above=0.3).to(DEVICE)
            with torch.no_grad():
                head.weight.copy_(weight)
            x = embeddings.to(DEVICE).requires_grad_()
            head(x, labels.to(DEVICE)).loss.backward()
            ties = head.weight.grad[11:13, 1:]
            assert name == "dense" or (ties == 0).all()
            keep = [row for row in range(30) if row not in (11, 12)]
            found[name, margin.kind] = {"embeddings": x.grad, "weight": head.weight.grad[keep]}
    for (name, kind), values in found.items():
        if name != "dense":
            assert_near(values, found["dense", kind], FLOAT32)


@EACH_WAY
def test_very_short_and_very_long_rows(way: str) -> None:
    problem = drawn(9, 20, 1, 5)
    problem[1][3] *= 1e-15
    problem[1][4] *= 1e15
    problem[2][:2] = torch.tensor([3, 4])
    got, want = (
        results(strategy, ArcFace(), problem, dtype)
        for strategy, dtype in ((panels(way), torch.float32), (Dense(), torch.float64))
    )
    for row in (3, 4, 5):
        size = float(want["weight"][row].abs().max())
        assert float((got["weight"][row] - want["weight"][row]).abs().max()) <= FLOAT32 * size


def test_weights_that_do_not_lie_row_by_row() -> None:
    embeddings, weight, labels = (tensor.to(DEVICE) for tensor in drawn(9, 20, 3, 5))
    for turned in (
        weight.permute(2, 1, 0).contiguous().permute(2, 1, 0),
        weight.transpose(0, 1).contiguous().transpose(0, 1),
    ):
        leaf = turned.detach().requires_grad_()
        assert not leaf.is_contiguous()
        for strategy in (panels("triton"), Streamed(chunk=7), panels(mode="stash")):
            losses = softmax(embeddings, leaf, labels, ArcFace(), strategy=strategy)
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
            dense = softmax(embeddings, leaf, labels, ArcFace())
            (want,) = torch.autograd.grad(dense.sum(), leaf)
            torch.testing.assert_close(gradient, want, rtol=1e-4, atol=1e-4)


@EACH_WAY
def test_labels_and_bias_that_do_not_lie_one_by_one(way: str) -> None:
    x, w, labels = (tensor.to(DEVICE) for tensor in drawn(9, 30, 1, 5))
    apart = torch.stack([labels, torch.zeros_like(labels)], dim=1)[:, 0]
    bias = torch.stack([torch.linspace(-2, 2, 30), torch.full((30,), 9.0)], dim=1).to(DEVICE)[:, 0]
    losses = softmax(x, w, apart, L2Softmax(), bias=bias, strategy=panels(way), label_smoothing=0.1)
    want = softmax(x, w, labels, L2Softmax(), bias=bias.contiguous(), label_smoothing=0.1)
    torch.testing.assert_close(losses, want, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@EACH_WAY
@BOTH_MODES
def test_runs_repeat_to_the_bit_and_the_backward_pass_may_be_taken_twice(way: str, mode: str) -> None:
    problem = drawn(17, 50, 3, 9)
    problem[2][5:12] = 3
    for products in ("float32", "bfloat16"):
        strategy = panels(way, mode, products=products)
        first, second = (results(strategy, ArcFace(), problem, torch.float32) for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        x, w, labels = (tensor.to(DEVICE) for tensor in problem)
        loss = softmax(x.requires_grad_(), w.requires_grad_(), labels, ArcFace(), strategy=strategy).sum()
        one = torch.autograd.grad(loss, (x, w), retain_graph=True)
        assert all(torch.equal(*pair) for pair in zip(one, torch.autograd.grad(loss, (x, w)), strict=True))


@EACH_WAY
def test_frozen_weights_or_embeddings_and_no_gradient_at_all(way: str) -> None:
    problem = drawn(9, 30, 1, 5)
    whole = results(panels(way), ArcFace(), problem, torch.float32)
    x, w, labels = (tensor.to(DEVICE) for tensor in problem)
    per_loss = torch.linspace(0.5, 1.5, 9, device=DEVICE)
    for name, leaf in (("embeddings", x), ("weight", w)):
        leaf.requires_grad_(True)
        losses = softmax(x, w, labels, ArcFace(), strategy=panels(way))
        assert torch.equal(torch.autograd.grad((losses * per_loss).sum(), leaf)[0], whole[name])
        leaf.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(softmax(x, w, labels, ArcFace(), strategy=panels(way, "stash")), whole["losses"])
    assert softmax(x[:0], w, labels[:0], ArcFace(), strategy=panels(way)).shape == (0,)


def test_second_derivatives_and_bad_settings_are_refused() -> None:
    x, w, labels = drawn(9, 20, 1, 5)
    losses = softmax(x.requires_grad_(), w, labels, ArcFace(), strategy=panels())
    with pytest.raises(RuntimeError, match="Dense"):
        torch.autograd.grad(losses.sum(), x, create_graph=True)
    for settings, words in (
        ({"products": "int8"}, 'products must be one of "float32", "tf32", "bfloat16", got \'int8\''),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
        ({"budget": -1}, "budget must be at least 0 bytes, got -1"),
    ):
        with pytest.raises(ValueError, match=words):
            Panels(**settings)


def test_the_precision_of_other_products_is_left_as_it_was() -> None:
    before = torch.get_float32_matmul_precision()
    seen = []
    patched = panel_products(seen)
    with patched:
        results(panels(products="tf32"), ArcFace(), drawn(5, 30, 1, 8), torch.float32)
    assert set(seen) == {"high"}
    assert torch.get_float32_matmul_precision() == before


def panel_products(seen: list[str]):
    """Notes what torch is told of float32 products at each large product."""
    from angulus.heads.kernels import panels as module

    inner, patch = module.product, pytest.MonkeyPatch.context()

    class Patched:
        def __enter__(self):
            self.patch = patch.__enter__()
            self.patch.setattr(module, "product", self.noted)

        def noted(self, *arguments):
            seen.append(torch.get_float32_matmul_precision())
            return inner(*arguments)

        def __exit__(self, *problem):
            return patch.__exit__(*problem)

    return Patched()


# ---- operands of bfloat16


@pytest.mark.grid
@EACH_WAY
@pytest.mark.parametrize("cosines", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", ["over-panels", "subcenters", "one-example"])
@pytest.mark.parametrize(
    ("name", "mode"), [pair for pair in KEPT if pair[0] in ("arcface", "arcface-200", "sphereface", "l2softmax")]
)
def test_rounded_operands_keep_the_bound_of_their_rounding(name, shape, cosines, mode, way) -> None:
    problem = drawn(*SHAPES[shape])
    got = results(panels(way, mode, products="bfloat16", cosines=cosines), MARGINS[name], problem, torch.float32)
    cut = way == "triton" and DEVICE == "cpu"
    want, bounds = rounding_bounds(MARGINS[name], problem, cut=cut, cosines=cosines)
    for key, bound in bounds.items():
        difference = (got[key].cpu().double() - want[key]).abs()
        assert (difference <= bound).all(), f"{key}: {(difference / bound).max():.2f} of the bound"


# ---- moving rows inside the backward pass


@pytest.mark.grid
@EACH_WAY
@BOTH_MODES
@pytest.mark.parametrize("centers", [1, 3])
@pytest.mark.parametrize("rule", [*RULES.values(), RowAdamW()], ids=[*RULES.keys(), "adamw"])
def test_rows_move_as_with_streamed(rule, centers: int, mode: str, way: str) -> None:
    got = moved(panels(way, mode), rule, centers=centers)
    assert_near(got, moved(Streamed(), rule, centers=centers), 2e-3 if isinstance(rule, RowAdamW) else FLOAT32)


@pytest.mark.grid
@EACH_WAY
@pytest.mark.parametrize(
    "margin", [SphereFace(), L2Softmax(scale=Learned(8.0)), CurricularFace(), AMMSoftmax(side="both")]
)
def test_rows_of_other_margins_move_as_with_streamed(margin: Margin, way: str) -> None:
    want = moved(Streamed(), RowSGD(), margin=margin)
    assert_near(moved(panels(way), RowSGD(), margin=margin), want, 1e-4 if margin.reshapes_others else FLOAT32)


@pytest.mark.grid
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_an_update_in_backward_moves_by_the_oracles_gradient(index: int, subcenters: int) -> None:
    """One step of plain gradient descent with rate 1: the weights lose exactly their gradient."""
    case = CASES[index]
    embeddings, weight, bias, per_loss = batch(subcenters)
    rule = RowSGD(momentum=0.0, weight_decay=0.0)
    head = MarginHead(embeddings.shape[1], CLASSES, case.margin, subcenters, panels(chunk=3), rule).double()
    head.learning_rate = 1.0
    with torch.no_grad():
        head.weight.copy_(weight)
        if head.bias is not None:
            head.bias.copy_(bias)
    for name, value in case.state.items():
        head.get_buffer(f"state_{name}").fill_(value)
    head.keep = lambda state: None  # the oracle has the statistics as they were
    x = embeddings.clone().requires_grad_()
    (head(x, torch.tensor(LABELS), step=case.step).losses * per_loss).sum().backward()
    want = expected(index, subcenters, torch.float64)
    got = {"gradient of weight": weight - head.weight.detach(), "gradient of embeddings": x.grad}
    assert_close(got, {name: want[name] for name in got}, torch.float64)


@EACH_WAY
def test_a_graph_whose_rows_were_moved_is_not_used_again(way: str) -> None:
    head = MarginHead(5, 9, ArcFace(), strategy=panels(way), update=RowSGD()).to(DEVICE)
    head.learning_rate = 0.1
    embeddings, _, labels = drawn(6, 9, 1, 5)
    loss = head(embeddings.to(DEVICE), labels.to(DEVICE)).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@EACH_WAY
def test_sampled_classes_are_summed_in_panels(way: str) -> None:
    rates = {"rate": 0.4, "seed": 3}
    inner = Sampled(streamed=panels(way), **rates)
    assert_near(moved(inner, RowSGD()), moved(Sampled(streamed=Streamed(), **rates), RowSGD()), FLOAT32)
    problem = drawn(11, 45, 2, 12)
    want = results(Sampled(streamed=Streamed(), **rates), ArcFace(), problem, torch.float32)
    assert_near(results(inner, ArcFace(), problem, torch.float32), want, FLOAT32)


@EACH_WAY
def test_inside_a_sharded_head_of_one_process(tmp_path, way: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        found = []
        for strategy in (panels(way), Dense()):
            torch.manual_seed(0)
            head = ShardedHead(
                5, 40, MVSoftmax(), strategy=strategy, process_group=dist.group.WORLD, label_smoothing=0.1
            )
            embeddings, _, labels = drawn(9, 40, 1, 5)
            embeddings.requires_grad_()
            head(embeddings, labels).loss.backward()
            found.append({"embeddings": embeddings.grad, "weight": head.weight.grad})
        assert_near(*found, 1e-4)
    finally:
        dist.destroy_process_group()


# ---- what a step takes


class Watched(TorchDispatchMode):
    """Counts matrix products, and the bytes that tensors made meanwhile take together at most."""

    def __init__(self) -> None:
        super().__init__()
        self.products, self.now, self.most = 0, 0, 0
        self.living: set[int] = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        given = {tensor.untyped_storage()._cdata for tensor in tree_leaves((arguments, options)) if is_tensor(tensor)}
        out = function(*arguments, **(options or {}))
        self.products += function.overloadpacket is torch.ops.aten.mm
        for tensor in tree_leaves(out):
            if is_tensor(tensor) and tensor.untyped_storage()._cdata not in given | self.living:
                self.keep(tensor.untyped_storage())
        return out

    def keep(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        self.living.add(place)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.drop, place, size)

    def drop(self, place: int, size: int) -> None:
        self.living.discard(place)
        self.now -= size


def is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def launches_of(strategy: Panels, margin: Margin, moves: bool) -> tuple[int, Counter]:
    """Large products and kernels of one step over 100 classes of 12 dimensions."""
    head = MarginHead(12, 100, margin, strategy=strategy, update=RowSGD() if moves else None).to(DEVICE)
    head.learning_rate = 0.1
    embeddings, _, labels = drawn(11, 100, 1, 12)
    embeddings = embeddings.to(DEVICE).requires_grad_()
    counted: Counter = Counter()
    with pytest.MonkeyPatch.context() as patch, Watched() as watched:
        real = panel_launches.kernels()

        class Counting:
            def __getattr__(self, name):
                counted[name] += 1
                return getattr(real, name)

        patch.setattr(panel_launches, "kernels", Counting)
        head(embeddings, labels.to(DEVICE)).loss.backward()
    return watched.products, counted


@pytest.mark.slow
@TRITON
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("margin", [ArcFace(), ArcFace(scale=200.0), CurricularFace()], ids=lambda margin: margin.kind)
def test_a_step_launches_four_products_and_five_kernels_a_panel(margin: Margin, moves: bool) -> None:
    products, counted = launches_of(panels("triton"), margin, moves)
    count = -(-100 // 24)
    assert products == 4 * count
    assert counted == {"copy_rows": 2 * count, "add_panel": count, "share_panel": count, "project_rows": count}


@pytest.mark.slow
@TRITON
@pytest.mark.parametrize("moves", [False, True])
def test_a_stash_saves_a_product_and_two_kernels_a_panel(moves: bool) -> None:
    products, counted = launches_of(panels("triton", "stash"), ArcFace(), moves)
    count = -(-100 // 24)
    assert products == 3 * count
    assert counted == {"copy_rows": count, "add_panel": count, "project_rows": count}


@pytest.mark.grid
@EACH_WAY
@BOTH_MODES
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("centers", [1, 3])
@pytest.mark.parametrize("margin", [ArcFace(), SphereFace(), CurricularFace()], ids=lambda margin: margin.kind)
def test_a_step_takes_no_more_than_its_forecast(margin: Margin, centers: int, moves: bool, mode: str, way: str) -> None:
    """Bytes of all tensors that a step makes; the kernels' own path as it is on a CUDA device."""
    classes, dim, examples = 2000, 64, 48
    strategy = panels(way, mode, chunk=512)
    head = MarginHead(dim, classes, margin, centers, strategy, RowSGD() if moves else None).to(DEVICE)
    head.learning_rate = 0.1
    embeddings, _, labels = drawn(examples, classes, 1, dim)
    embeddings = embeddings.to(DEVICE).requires_grad_()
    with pytest.MonkeyPatch.context() as patch, Watched() as watched:
        if way == "triton" and DEVICE == "cpu":  # how much is made does not depend on what the kernels compute
            kernel = type("Kernel", (), {"__getitem__": lambda self, grid: lambda *given, **sizes: None})()
            patch.setattr(panel_launches, "kernels", lambda: type("Kernels", (), {"__getattr__": lambda *_: kernel})())
        head(embeddings, labels.to(DEVICE)).loss.backward()
    size = size_of(margin, classes=classes, dim=dim, examples=examples, subcenters=centers, on_cuda=way == "triton")
    forecast = head_memory(size, strategy, RowSGD(), moved=moves)
    assert watched.most <= forecast.step
    assert watched.most >= 0.5 * forecast.step


@pytest.mark.parametrize(
    ("examples", "dim", "subcenters", "products", "wanted"),
    [
        (1024, 512, 1, "bfloat16", 32_768),
        (512, 512, 1, "bfloat16", LARGEST),
        (1024, 512, 3, "bfloat16", 16_384),
        (1024, 512, 1, "float32", LARGEST),
        (8192, 512, 1, "bfloat16", 8_192),
        (10**7, 512, 1, "bfloat16", SMALLEST),
    ],
)
def test_a_panel_has_as_many_classes_as_fit(examples, dim, subcenters, products, wanted) -> None:
    assert chunk_for(examples, dim, subcenters, products, "float32", on_cuda=True) == wanted
    if wanted > SMALLEST:
        assert panel_bytes(wanted * subcenters, examples, dim, products, "float32") <= 2**29


def test_auto_is_what_it_was_on_a_cpu() -> None:
    problem = drawn(9, 30, 1, 5)
    if DEVICE != "cpu":
        pytest.skip("there it takes panels")
    one, other = (results(strategy, ArcFace(), problem, torch.float32) for strategy in (Auto(), Dense()))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@TRITON
def test_compiled_for_hopper_the_kernels_of_common_margins_spill_no_registers() -> None:
    settings = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("compiled_panels.py")
    done = subprocess.run([sys.executable, script], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert max(values["shared"] for values in found.values()) <= 227 * 1024, found
    assert [name for name, values in found.items() if values["spilled"] and "True" not in name] == []


# ---- on a GPU only: real blocks, real operands


@needs_gpu
@pytest.mark.parametrize("products", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("shape", [(1024, 30_001, 1, 512), (200, 20_011, 1, 300), (256, 5_003, 3, 512)])
@pytest.mark.parametrize("name", ["arcface", "sphereface", "l2softmax"])
def test_large_problems(name: str, shape: tuple[int, int, int, int], products: str) -> None:
    problem: tuple[Tensor, Tensor, Tensor] = drawn(*shape)
    got = results(Panels(products=products, chunk=4096), MARGINS[name], problem, torch.float32)
    if products == "bfloat16":
        want, bounds = rounding_bounds(MARGINS[name], problem)
        for key, bound in bounds.items():
            assert ((got[key].cpu().double() - want[key]).abs() <= bound).all(), key
        return
    bound = (5e-5 if products == "float32" else 5e-3) * (4 if MARGINS[name].free_weights else 1)
    assert_near(got, results(Dense(), MARGINS[name], problem, torch.float64), bound)


@needs_gpu
def test_nothing_waits_for_the_device() -> None:
    head = MarginHead(64, 5000, ArcFace(), strategy=Panels(), update=RowSGD()).cuda()
    head.learning_rate = 0.1
    embeddings, _, labels = (tensor.cuda() for tensor in drawn(64, 5000, 1, 64))
    head(embeddings.requires_grad_(), labels).loss.backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        head(embeddings, labels).loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_normface_with_a_learned_scale_keeps_no_stash() -> None:
    problem = drawn(9, 30, 1, 5)
    margin = NormFace(scale=Learned(20.0))
    want = results(Dense(), margin, problem, torch.float64)
    assert_near(results(panels(mode="stash"), margin, problem, torch.float32), want, FLOAT32)
