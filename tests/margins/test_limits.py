"""Targets at their limits: past 180 degrees under every overflow rule, values and slopes at both ends."""

import math

import pytest
import torch
from margin_values import OVERFLOWS, every_dtype, target

from angulus.heads import margin_softmax
from angulus.margins import ArcFace, CombinedMargin, ElasticFace, Margin, MVSoftmax, Seen, SphereFace


@pytest.mark.parametrize("rule", [rule for rule in OVERFLOWS if rule != "easy"])
@pytest.mark.parametrize(("m1", "m2"), [(0.5, 0.0), (0.9, 0.0), (0.5, 1.0)])
@every_dtype
def test_a_margin_that_never_reaches_pi_never_needs_a_rule(dtype: torch.dtype, m1: float, m2: float, rule: str) -> None:
    cos = torch.tensor([-1.0, -0.9999, -0.9, 0.1, 1.0], dtype=dtype)
    got = target(CombinedMargin(m1=m1, m2=m2, m3=0.1, overflow=rule), cos)
    expected = torch.cos(m1 * cos.double().acos() + m2) - 0.1
    assert got.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_negative_drawn_margin_needs_no_rule_either() -> None:
    margin = ElasticFace(m=0.0, sigma=0.3)
    cos = torch.full((8,), -1.0, dtype=torch.float64)
    drawn = margin.offsets(Seen.of(cos))
    assert (drawn < 0).any()
    got = target(margin, cos)[drawn < 0]
    torch.testing.assert_close(got, torch.cos(math.pi + drawn[drawn < 0]))


@pytest.mark.parametrize(("m", "drop"), [(0.2, 0.0198), (0.35, 0.0594), (0.5, 0.1173)])
def test_the_linear_rule_drops_by_the_known_amount(m: float, drop: float) -> None:
    edge = -math.cos(m)
    cos = torch.tensor([edge - 1e-9, edge + 1e-9], dtype=torch.float64)
    low, high = target(ArcFace(m=m, overflow="linear"), cos).tolist()
    assert high - low == pytest.approx(drop, abs=6e-5)
    assert high - low == pytest.approx(m * math.sin(m) - (1 - math.cos(m)), abs=1e-7)


@pytest.mark.parametrize("margin", [ArcFace(overflow="easy"), MVSoftmax(base="arc", m=0.5, easy=True)])
def test_the_easy_rule_jumps_up_past_ninety_degrees(margin: Margin) -> None:
    low, high = target(margin, torch.tensor([-1e-12, 1e-12], dtype=torch.float64)).tolist()
    assert low - high == pytest.approx(math.sin(0.5), abs=1e-9)


def test_without_a_rule_the_target_turns_around() -> None:
    values = target(ArcFace(overflow="none"), torch.tensor([-1.0, -math.cos(0.5)], dtype=torch.float64))
    assert values.tolist() == pytest.approx([-math.cos(0.5), -1.0])


@pytest.mark.parametrize("m", [0.1, 0.35, 0.5, 1.2])
@pytest.mark.parametrize(
    ("rule", "at_minus_one"),
    [
        ("continuous", lambda m: math.cos(m) - 2),
        ("mirror", lambda m: math.cos(m) - 2),
        ("clip", lambda m: -1.0),
        ("linear", lambda m: -1 - m * math.sin(m)),
        ("none", lambda m: -math.cos(m)),
        ("easy", lambda m: -1.0),
    ],
)
@every_dtype
def test_arcface_at_both_ends(dtype: torch.dtype, rule: str, at_minus_one, m: float) -> None:
    ends = target(ArcFace(m=m, overflow=rule), torch.tensor([-1.0, 1.0], dtype=dtype))
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6
    assert ends.tolist() == pytest.approx([at_minus_one(m), math.cos(m)], abs=tolerance)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 1.5, 1.7, 3.25])
def test_psi_at_both_ends(m: float) -> None:
    ends = target(SphereFace(m=m, annealing=None), torch.tensor([-1.0, 1.0], dtype=torch.float64))
    k = math.floor(m) if m % 1 else m - 1
    at_pi = (-1) ** k * math.cos(m * math.pi) - 2 * k
    assert ends.tolist() == pytest.approx([at_pi, 1.0], abs=1e-12)
    if m % 1 == 0:
        assert at_pi == pytest.approx(-(2 * m - 1))


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_psi_of_a_whole_m_has_the_slope_m_squared_at_the_ends_and_none_at_the_knots(m: int) -> None:
    inner = [math.cos(k * math.pi / m) for k in range(1, m)]
    cos = torch.tensor([-1.0, 1.0, *inner], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(target(SphereFace(m=m, annealing=None), cos).sum(), cos)
    assert slopes.tolist() == pytest.approx([m * m, m * m, *[0.0] * (m - 1)], abs=1e-9)


@pytest.mark.parametrize(("dtype", "theta"), [(torch.float64, 1e-4), (torch.float32, 1e-2)])
@pytest.mark.parametrize("gradient", ["exact", "straight_through"])
def test_the_pull_on_an_aligned_example(gradient: str, dtype: torch.dtype, theta: float) -> None:
    """Exact: s (1 - p) sin(theta + m), which stays as theta goes to 0. Straight-through: s (1 - p) sin(theta)."""
    m, s = 0.5, 2.0
    x = torch.tensor([[math.cos(theta), math.sin(theta), 0.0]], dtype=dtype, requires_grad=True)
    w = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]], dtype=dtype)
    margin_softmax(x, w, torch.tensor([0]), ArcFace(scale=s, m=m, gradient=gradient)).sum().backward()
    p = 1 / (1 + math.exp(-s * math.cos(theta + m)))
    size = math.sin(theta + m) if gradient == "exact" else math.sin(theta)
    assert x.grad[0, :2].norm().item() == pytest.approx(s * (1 - p) * size, rel=1e-4)
    assert x.grad[0, 2].item() == pytest.approx(s * (1 - p), rel=1e-5)
