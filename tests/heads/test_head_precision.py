"""Half precision, large scales and large biases: how exact a head stays, and in which type."""

import pytest
import torch
from small_heads import BOTH, MARGINS, batch, head_of

from angulus.heads import Dense, Streamed, margin_softmax
from angulus.margins import ArcFace, L2Softmax, Margin, MVSoftmax, SphereFace


@BOTH
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_under_bf16_autocast_the_softmax_stays_in_float32(margin: Margin, strategy) -> None:
    head = head_of(margin, embedding_dim=64, strategy=strategy).eval()
    embeddings, labels = batch(dim=64)
    plain = head(embeddings, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = head(embeddings, labels)
        halved = head(embeddings.bfloat16(), labels)
    for got in (out, halved):
        assert got.loss.dtype == torch.float32
        assert got.losses.dtype == torch.float32
        assert (got.losses != got.losses.bfloat16().float()).any()
        torch.testing.assert_close(got.losses, plain.losses, rtol=2e-2, atol=0.2)
    halved.loss.backward()
    assert head.weight.grad.dtype == torch.float32
    exact = head(embeddings.bfloat16().float(), labels).losses
    # bf16 products with float32 sums may differ by the rounding of their factors, not by that of the logits.
    torch.testing.assert_close(halved.losses, exact, rtol=1e-2, atol=0.1)


@BOTH
def test_half_precision_embeddings_get_half_precision_gradients(strategy) -> None:
    head = head_of(ArcFace(), strategy=strategy)
    embeddings, labels = batch()
    x = embeddings.bfloat16().requires_grad_()
    head(x, labels).loss.backward()
    assert x.grad.dtype == torch.bfloat16
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("mode", ["recompute", "stash"])
@pytest.mark.parametrize("scale", [30.0, 66.0, 70.0, 100.0, 400.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_scale_overflows_and_all_agree_with_dense(dtype: torch.dtype, scale: float, mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, generator=generator, dtype=dtype, requires_grad=True)
    w = torch.randn(9, 5, generator=generator, dtype=dtype, requires_grad=True)
    labels = torch.tensor([0, 8, 3, 3, -1, 5])
    results = []
    for strategy in (Dense(), Streamed(chunk=4, mode=mode)):
        losses = margin_softmax(x, w, labels, ArcFace(scale=scale), strategy=strategy)
        results.append([losses, *torch.autograd.grad(losses.sum(), (x, w))])
    for dense, streamed in zip(*results, strict=True):
        assert torch.isfinite(streamed).all()
        assert torch.allclose(dense, streamed, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5 * scale)


@pytest.mark.parametrize("mode", ["recompute", "stash"])
def test_a_large_bias_does_not_overflow(mode: str) -> None:
    x, w = torch.eye(4), torch.eye(4) + 0.1
    labels, bias = torch.arange(4), torch.tensor([200.0, -200.0, 0.0, 150.0])
    found = [
        margin_softmax(x, w, labels, ArcFace(scale=16.0), bias=bias, strategy=strategy)
        for strategy in (Dense(), Streamed(chunk=2, mode=mode))
    ]
    assert torch.isfinite(found[1]).all()
    assert torch.allclose(*found, rtol=1e-5)


@pytest.mark.parametrize("mode", ["recompute", "stash"])
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("margin", [ArcFace(scale=32.0), MVSoftmax(), SphereFace(), L2Softmax()], ids=lambda m: m.kind)
def test_bfloat16_products_stay_within_a_hundredth(margin: Margin, subcenters: int, mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(32, 64, generator=generator) * 3).requires_grad_()
    shape = (200, 64) if subcenters == 1 else (200, subcenters, 64)
    w = (torch.randn(shape, generator=generator) / 8).requires_grad_()  # about unit length, as free weights begin
    bias = torch.zeros(200) if margin.has_bias else None
    labels = torch.randint(0, 200, (32,), generator=generator)
    found = []
    for strategy in (Dense(), Streamed(chunk=64, mode=mode, products="bfloat16")):
        losses = margin_softmax(x, w, labels, margin, bias=bias, strategy=strategy)
        found.append([losses.detach(), *torch.autograd.grad(losses.mean(), (x, w))])
    for exact, rounded in zip(*found, strict=True):
        assert torch.linalg.vector_norm(exact - rounded) <= 1e-2 * torch.linalg.vector_norm(exact)
