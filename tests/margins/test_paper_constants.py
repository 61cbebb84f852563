"""Constants and slopes that the papers give."""

import math

import pytest
import torch

from angulus.heads import margin_softmax
from angulus.margins import AdaCos, Circle, NormFace, Seen, SphereFace, adacos_scale, normface_floor, scale_lower_bound


@pytest.mark.parametrize(
    ("classes", "p", "bound"),
    [(10, 0.9, 4.277), (1000, 0.9, 9.103), (10572, 0.9, 11.463), (13403, 0.9, 11.700), (58207, 0.9, 13.169)],
)
def test_the_lower_bound_on_the_scale_of_l2_softmax(classes: int, p: float, bound: float) -> None:
    alpha = scale_lower_bound(classes, p)
    assert alpha == pytest.approx(bound, abs=6e-4)
    assert math.exp(alpha) / (math.exp(alpha) + classes - 2) == pytest.approx(p)
    assert scale_lower_bound(classes, 0.99) - alpha == pytest.approx(2.398, abs=6e-4)


@pytest.mark.parametrize(("classes", "p"), [(2, 0.9), (100, 0.0), (100, 1.0)])
def test_the_lower_bound_needs_three_classes_and_a_probability(classes: int, p: float) -> None:
    with pytest.raises(ValueError, match=str(classes) if classes == 2 else "probability"):
        scale_lower_bound(classes, p)


def test_the_floor_of_the_normalised_softmax() -> None:
    assert normface_floor(10575, 1.0) == pytest.approx(8.27, abs=0.005)


@pytest.mark.parametrize(("classes", "scale"), [(2, 1.0), (3, 4.0), (8, 16.0)])
def test_a_regular_simplex_reaches_the_floor(classes: int, scale: float) -> None:
    simplex = torch.eye(classes, dtype=torch.float64) - 1 / classes
    losses = margin_softmax(simplex, simplex, torch.arange(classes), NormFace(scale=scale))
    assert losses.tolist() == pytest.approx([normface_floor(classes, scale)] * classes, rel=1e-9)


def test_adacos_scale() -> None:
    assert adacos_scale(10572) == pytest.approx(13.10, abs=0.005)
    assert AdaCos().temperature(Seen.of(torch.zeros(1), num_classes=10572)) == pytest.approx(13.10, abs=0.005)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_annealed_slope_of_sphereface(m: int) -> None:
    """With lambda = 5 the slope at the centre is (5 + m^2) / 6."""
    cos = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    seen = Seen.of(cos, step=10_000)
    (got,) = torch.autograd.grad(SphereFace(m=m).target(cos, seen).sum(), cos)
    assert got.item() == pytest.approx((5 + m * m) / 6)


def test_circle_at_its_optimum() -> None:
    """T = m^2 - (1 - c)^2 and N = c^2 - m^2, with slopes 1 + m - c and c + m."""
    cos = torch.tensor([1.0, 0.75, 0.0, -1.0], dtype=torch.float64, requires_grad=True)
    margin = Circle(m=0.25)
    seen = Seen.of(cos)
    own = margin.target(cos, seen)
    assert own.tolist() == pytest.approx([0.0625, 0.0, 0.0625 - 1, 0.0625 - 4])
    assert torch.autograd.grad(own.sum(), cos)[0].tolist() == pytest.approx([0.25, 0.5, 1.25, 2.25])
    other = margin.others(cos[None], own.detach()[:, None], seen)[0]
    assert other.tolist() == pytest.approx([1 - 0.0625, 0.5625 - 0.0625, -0.0625, 0.0])
    assert torch.autograd.grad(other.sum(), cos)[0].tolist() == pytest.approx([1.25, 1.0, 0.25, 0.0])
