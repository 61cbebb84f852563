"""On CUDA the product of bfloat16 operands comes in float32 and not in bfloat16: a stand-in does the same on a CPU."""

import pytest
import torch
from reference.margin_cases import CASE_NAMES, CASES
from test_half_precision import PRODUCTS, PRODUCTS_SHARP, SHARP, exact, results
from torch import Tensor

from angulus.heads import Streamed, margin_softmax
from angulus.heads.strategies import problem, streamed
from angulus.margins import ArcFace, L2Softmax

MODES = {
    "recompute": Streamed(chunk=64, mode="recompute", products="bfloat16"),
    "stash": Streamed(chunk=64, mode="stash", products="bfloat16"),
    "auto": Streamed(chunk=64, mode="auto", products="bfloat16"),
    "exponentials": Streamed(chunk=64, mode="stash", stash="bfloat16", products="bfloat16"),
}


def product_in_float32(left: Tensor, right: Tensor) -> Tensor:
    return left.bfloat16().float() @ right.bfloat16().float()


@pytest.fixture(autouse=True)
def _as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (problem, streamed):
        monkeypatch.setattr(module, "half_product", product_in_float32)


@pytest.mark.grid
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_every_margin_keeps_its_stated_bound(index: int, mode: str, subcenters: int) -> None:
    limit = PRODUCTS_SHARP if CASES[index].name.startswith(SHARP) else PRODUCTS
    found = results(CASES[index], subcenters, MODES[mode], torch.float32)
    for want, got in zip(exact(index, subcenters), found, strict=True):
        assert torch.linalg.vector_norm(got - want) <= limit * torch.linalg.vector_norm(want).clamp(min=1e-3)


@pytest.mark.parametrize("length", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("mode", MODES)
def test_a_stash_does_not_depend_on_the_length_of_the_weights(mode: str, length: float) -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(16, 32), torch.arange(16)
    w = torch.nn.functional.normalize(torch.randn(100, 32)) * length

    def gradients(strategy: Streamed) -> list[Tensor]:
        leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
        losses = margin_softmax(*leaves, labels, ArcFace(), strategy=strategy)
        return [losses.detach(), *torch.autograd.grad(losses.mean(), leaves)]

    for got, expected in zip(gradients(MODES[mode]), gradients(Streamed(chunk=64)), strict=True):
        assert float((got - expected).norm() / expected.norm()) < PRODUCTS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("margin", [ArcFace(), L2Softmax()], ids=["normalised", "free"])
def test_the_backward_pass_may_be_taken_twice(mode: str, margin: ArcFace | L2Softmax) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(8, 16, requires_grad=True), torch.randn(70, 16, requires_grad=True)
    loss = margin_softmax(x, w, torch.arange(8), margin, strategy=MODES[mode]).mean()
    first = torch.autograd.grad(loss, (x, w), retain_graph=True)
    second = torch.autograd.grad(loss, (x, w))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
