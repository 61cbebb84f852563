"""Statistics over frames: against loops in float64, values and slopes, one frame and no spread included."""

import pytest
import torch
from reference.speech_pooling import attentive, plain

from angulus.models.speech.pooling import AttentiveStatistics, statistics, weighted_statistics


def drawn(n: int, channels: int, frames: int, dtype=torch.float64, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return (3 + 2 * torch.randn(n, channels, frames, generator=generator, dtype=torch.float64)).to(dtype)


SHAPES = [(2, 3, 1), (1, 1, 2), (3, 5, 7), (1, 4, 101)]
TYPES = [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
@pytest.mark.parametrize("epsilon", [1e-7, 0.0])
def test_mean_and_deviation(shape, dtype, tolerance, epsilon) -> None:
    x = drawn(*shape, dtype=dtype)
    found = statistics(x, epsilon)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), plain(x, epsilon), rtol=tolerance, atol=max(tolerance, 1e-6))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
@pytest.mark.parametrize("has_context", [True, False])
def test_attentive_statistics(shape, dtype, tolerance, has_context) -> None:
    torch.manual_seed(0)
    layer = AttentiveStatistics(shape[1], has_context=has_context, inner=6).to(dtype)
    x = drawn(*shape, dtype=dtype)
    with torch.no_grad():
        found = layer(x)
    expected = attentive(x, layer.state_dict(), has_context)
    torch.testing.assert_close(found.double(), expected, rtol=5 * tolerance, atol=5 * tolerance)


@pytest.mark.parametrize("frames", [2, 6])
def test_slopes_are_those_of_differences(frames) -> None:
    torch.manual_seed(0)
    x = drawn(2, 3, frames).requires_grad_(True)
    layer = AttentiveStatistics(3, has_context=True, inner=4).double()
    assert torch.autograd.gradcheck(statistics, (x,))
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize(
    "x", [drawn(2, 3, 1), torch.full((2, 3, 5), 4.0), torch.zeros(2, 3, 1)], ids=["one frame", "constant", "zero"]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_spread_has_a_finite_slope(x, dtype) -> None:
    layer = AttentiveStatistics(3, has_context=True, inner=4).to(dtype)
    even = torch.full_like(x, 1.0 / x.shape[2], dtype=dtype)
    plain_root, weighted = lambda given: statistics(given, 0.0), lambda given: weighted_statistics(given, even)
    for pool in (statistics, plain_root, layer, weighted):
        given = x.to(dtype).clone().requires_grad_(True)
        found = pool(given)
        found.sum().backward()
        assert given.grad is not None
        assert bool(torch.isfinite(found).all())
        assert bool(torch.isfinite(given.grad).all())
        assert float(found.detach()[:, 3:].max()) < 1e-3


def test_a_large_offset_does_not_drown_the_spread() -> None:
    x = drawn(1, 2, 50) + 1000.0
    even = torch.full_like(x, 1 / 50)
    for pool in (statistics, lambda given: weighted_statistics(given, even.to(given))):
        torch.testing.assert_close(pool(x.float())[:, 2:].double(), pool(x)[:, 2:], rtol=1e-4, atol=0)


def test_under_autocast_statistics_stay_in_float32() -> None:
    x = drawn(2, 3, 40, dtype=torch.bfloat16)
    layer = AttentiveStatistics(3, has_context=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert statistics(x).dtype == layer(x).dtype == torch.float32
