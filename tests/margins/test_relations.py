"""Losses that become each other without a margin, with fitting numbers or along the norm; borders of hard classes."""

import math

import pytest
import torch
from margin_values import OVERFLOWS, losses_of, random_batch
from torch import Tensor

from angulus.margins import (
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    CombinedMargin,
    ElasticFace,
    MagFace,
    Margin,
    MVSoftmax,
    NormFace,
    Seen,
    SphereFace,
    SphereFaceR,
)


def same_losses(left: Margin, right: Margin, seed: int = 0, norm: float | None = None, **tolerance: float) -> None:
    x, w, labels = random_batch(seed, n=12)
    if norm is not None:
        x = norm * x / x.norm(dim=1, keepdim=True)
    x.requires_grad_()
    w.requires_grad_()
    results = []
    for margin in (left, right):
        loss = losses_of(margin, x, w, labels)
        results.append((loss.detach(), *torch.autograd.grad(loss.sum(), (x, w))))
    limits = {"rtol": 1e-10, "atol": 1e-10} | tolerance
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, **limits)


@pytest.mark.parametrize(
    "margin",
    [
        AMSoftmax(scale=64.0, m=0.0),
        *[ArcFace(m=0.0, overflow=rule) for rule in OVERFLOWS],
        *[CombinedMargin(m1=1.0, m2=0.0, m3=0.0, overflow=rule) for rule in OVERFLOWS],
        *[MVSoftmax(scale=64.0, base=base, m=0.0, t=0.0) for base in ("am", "arc")],
        *[AMMSoftmax(m=0.0, t=0.0, side=side) for side in ("negative", "positive", "both")],
        AMMSoftmax(m=0.0, rule="violation", slope=0.0),
        AdaFace(m=0.0),
        MagFace(lower_m=0.0, upper_m=0.0, norm_weight=0.0),
        *[ElasticFace(base=base, m=0.0, sigma=0.0) for base in ("am", "arc")],
        *[SphereFaceR(scale=64.0, loss_weight=64.0, m=1.0, version=v, gradient="exact") for v in ("v0", "v1", "v2")],
    ],
    ids=lambda margin: margin.kind,
)
@pytest.mark.parametrize("seed", range(3))
def test_without_a_margin_every_loss_is_normface(margin: Margin, seed: int) -> None:
    same_losses(margin, NormFace(scale=64.0), seed=seed)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (CombinedMargin(m1=1.0, m2=0.0, m3=0.35), AMSoftmax(scale=64.0)),
        *[(CombinedMargin(m1=1.0, m2=0.5, m3=0.0, overflow=rule), ArcFace(overflow=rule)) for rule in OVERFLOWS],
        (
            CombinedMargin(m1=1.35, m2=0.0, m3=0.0, overflow="mirror"),
            SphereFaceR(scale=64.0, loss_weight=64.0, m=1.35, version="v0", gradient="exact"),
        ),
        (
            CombinedMargin(m1=1.35, m2=0.0, m3=0.0, overflow="clip"),
            SphereFaceR(scale=64.0, loss_weight=64.0, m=1.35, version="v1", gradient="exact"),
        ),
        (AMMSoftmax(t=0.0), ArcFace()),
        (AMMSoftmax(t=0.0, side="both"), ArcFace()),
        (MVSoftmax(scale=64.0, base="arc", m=0.5, t=0.0), ArcFace()),
        (MVSoftmax(scale=64.0, base="am", m=0.35, t=0.0), AMSoftmax(scale=64.0)),
        (MagFace(lower_m=0.5, upper_m=0.5, norm_weight=0.0), ArcFace()),
        (ElasticFace(base="arc", m=0.5, sigma=0.0), ArcFace()),
        (ElasticFace(base="am", m=0.35, sigma=0.0, ordered=True), AMSoftmax(scale=64.0)),
        (SphereFace(m=1), SphereFaceR(m=1.0, norm="nfn", version="v0")),
        (SphereFace(m=3, annealing=None), SphereFaceR(m=3.0, norm="nfn", version="v0", gradient="exact")),
    ],
    ids=lambda margin: margin.kind,
)
@pytest.mark.parametrize("seed", range(3))
def test_losses_that_contain_each_other(left: Margin, right: Margin, seed: int) -> None:
    same_losses(left, right, seed=seed)


def test_adaface_goes_from_arcface_to_cosface_with_the_norm() -> None:
    cos = torch.linspace(-0.7, 0.7, 9, dtype=torch.float64)
    margin = AdaFace(m=0.4, h=1.0)
    state = {"mean": torch.tensor(50.0), "std": torch.tensor(10.0)}

    def at(norm: float) -> Tensor:
        return margin.target(cos, Seen.of(cos, norms=torch.full_like(cos, norm), state=state))

    torch.testing.assert_close(at(1.0), torch.cos(cos.acos() + 0.4))
    torch.testing.assert_close(at(50.0), cos - 0.4)
    torch.testing.assert_close(at(90.0), torch.cos(cos.acos() - 0.4) - 0.8)


def test_the_magface_margin_grows_linearly_between_its_bounds() -> None:
    cos = torch.full((5,), 0.6, dtype=torch.float64)
    norms = torch.tensor([1.0, 10.0, 60.0, 110.0, 500.0], dtype=torch.float64)
    got = MagFace().target(cos, Seen.of(cos, norms=norms)).acos() - cos.acos()
    assert got.tolist() == pytest.approx([0.45, 0.45, 0.625, 0.8, 0.8])


def test_amm_separates_a_hard_class_by_the_sum_of_both_margins() -> None:
    """The boundary of a hard class is theta_j - theta_y = m + t."""
    margin = AMMSoftmax(m=0.5, t=0.1)
    own = torch.tensor([1.0], dtype=torch.float64).cos()
    other = torch.tensor([[1.0 + 0.5 + 0.1]], dtype=torch.float64).cos()
    seen = Seen.of(own)
    assert margin.target(own, seen).item() == pytest.approx(math.cos(1.5))
    # Easy there already, so the shifted value is seen just inside the border.
    just_hard = torch.tensor([[1.5 - 1e-9]], dtype=torch.float64).cos()
    reference = margin.reference(own, seen)[:, None]
    assert margin.others(just_hard, reference, seen).item() == pytest.approx(math.cos(1.4))
    assert margin.others(other, reference, seen).item() == pytest.approx(other.item())


def test_amm_violation_is_continuous_where_a_class_becomes_hard() -> None:
    margin = AMMSoftmax(m=0.5, rule="violation", slope=1.0)
    own = torch.tensor([1.0], dtype=torch.float64).cos()
    seen = Seen.of(own)
    cos = torch.tensor([[1.5 + 1e-7, 1.5 - 1e-7]], dtype=torch.float64).cos()
    low, high = margin.others(cos, margin.reference(own, seen)[:, None], seen)[0].tolist()
    assert high - low == pytest.approx(0.0, abs=1e-6)


def test_amm_never_moves_a_hard_class_past_its_centre() -> None:
    own = torch.tensor([0.2], dtype=torch.float64)
    margin = AMMSoftmax(t=0.3)
    seen = Seen.of(own)
    cos = torch.tensor([[0.1, 0.29, 0.31]], dtype=torch.float64).cos().requires_grad_()
    values = margin.others(cos, margin.reference(own, seen)[:, None], seen)
    assert values[0].tolist() == pytest.approx([1.0, 1.0, math.cos(0.01)])
    (slopes,) = torch.autograd.grad(values.sum(), cos)
    assert slopes[0].tolist() == pytest.approx([0.0, 0.0, math.sin(0.01) / math.sin(0.31)], abs=1e-9)
