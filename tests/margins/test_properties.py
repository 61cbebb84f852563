"""What must hold for every margin whatever its numbers: monotone, continuous, finite, known limits and relations."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from angulus.heads import Dense, Streamed, margin_softmax
from angulus.margins import (
    MARGINS,
    AdaCos,
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    Circle,
    CombinedMargin,
    CurricularFace,
    ElasticFace,
    L2Softmax,
    Learned,
    MagFace,
    Margin,
    MVSoftmax,
    NormFace,
    PerClass,
    PerSample,
    Seen,
    SphereFace,
    SphereFaceR,
    adacos_scale,
    normface_floor,
    scale_lower_bound,
)

settings.register_profile("margins", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("margins")

OVERFLOWS = ("continuous", "mirror", "clip", "linear", "none", "easy")
MONOTONE = ("continuous", "mirror", "clip")
FLOATS = [torch.float64, torch.float32]

EVERY_MARGIN: dict[str, Margin] = {
    "margin": Margin(),
    "normface": NormFace(),
    "normface-learned": NormFace(scale=Learned(20.0)),
    "l2softmax": L2Softmax(),
    "amsoftmax": AMSoftmax(),
    "sphereface": SphereFace(),
    **{f"sphereface-{m}": SphereFace(m=m, annealing=None) for m in (1, 2, 3, 4, 1.35, 1.7)},
    **{
        f"sphereface-r-{version}-{norm}-{gradient}": SphereFaceR(version=version, norm=norm, gradient=gradient)
        for version in ("v0", "v1", "v2")
        for norm in ("hfn", "sfn", "nfn")
        for gradient in ("exact", "straight_through")
    },
    **{f"arcface-{rule}": ArcFace(overflow=rule) for rule in OVERFLOWS},
    **{f"arcface-straight-{rule}": ArcFace(overflow=rule, gradient="straight_through") for rule in OVERFLOWS},
    **{f"combined-{rule}": CombinedMargin(m1=1.2, m2=0.4, m3=0.1, overflow=rule) for rule in OVERFLOWS},
    **{f"combined-cm2-{rule}": CombinedMargin(m1=0.9, m2=0.4, m3=0.15, overflow=rule) for rule in OVERFLOWS},
    **{
        f"amm-{rule}-{side}-{hard}": AMMSoftmax(rule=rule, side=side, hard=hard)
        for rule in ("constant", "ema", "violation")
        for side in ("negative", "positive", "both")
        for hard in ("margin", "target")
    },
    **{
        f"mv-{base}-{emphasis}-{easy}": MVSoftmax(base=base, emphasis=emphasis, easy=easy)
        for base in ("am", "arc")
        for emphasis in ("adaptive", "fixed")
        for easy in (True, False)
    },
    "curricular": CurricularFace(),
    "adaface": AdaFace(),
    "magface": MagFace(),
    **{
        f"elastic-{base}-{ordered}": ElasticFace(base=base, ordered=ordered)
        for base in ("am", "arc")
        for ordered in (True, False)
    },
    "adacos-fixed": AdaCos(mode="fixed"),
    "adacos-lagged": AdaCos(mode="lagged"),
    "circle": Circle(),
}
every_margin = pytest.mark.parametrize("margin", EVERY_MARGIN.values(), ids=EVERY_MARGIN.keys())
every_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=["float64", "float32"])


def seen_of(margin: Margin, cos: Tensor, norm: float = 20.0, classes: int = 6, **options) -> Seen:
    seen = Seen.of(
        cos,
        norms=torch.full_like(cos.detach(), norm),
        num_classes=classes,
        state=margin.initial_state(classes),
        learned={"scale": torch.tensor(20.0)},
        **options,
    )
    return dataclasses.replace(seen, hardest=torch.full_like(cos.detach(), 0.4))


def target(margin: Margin, cos: Tensor, **options) -> Tensor:
    return margin.target(cos, seen_of(margin, cos, **options))


def losses_of(margin: Margin, x: Tensor, w: Tensor, labels: Tensor, **options) -> Tensor:
    if margin.has_bias:
        options["bias"] = torch.linspace(-1, 1, len(w), dtype=w.dtype)
    if margin.initial_learned(len(w)):
        options["learned"] = {"scale": torch.tensor(20.0, dtype=w.dtype)}
    return margin_softmax(x, w, labels, margin, **options)


def random_batch(
    seed: int, n: int = 6, classes: int = 6, dim: int = 4, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = 15 * torch.randn(n, dim, generator=generator, dtype=torch.float64)
    w = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return x.to(dtype), w.to(dtype), torch.randint(0, classes, (n,), generator=generator)


# ---- monotone and continuous

angles = st.floats(0.0, math.pi)
rules = st.sampled_from(MONOTONE)


def combined_margin(m1: float, m2: float, m3: float, rule: str) -> tuple[Margin, float]:
    if rule == "mirror":
        m1 = min(m1, 2 - m2 / math.pi)  # the mirrored cosine turns at 2 pi
    return CombinedMargin(m1=m1, m2=m2, m3=m3, overflow=rule), max(m1, 1.0)


def monotone_margins() -> st.SearchStrategy[tuple[Margin, float]]:
    """Margins with the largest slope of their target in the angle."""
    return st.one_of(
        st.builds(lambda m: (AMSoftmax(m=m), 1.0), st.floats(0, 1)),
        st.builds(lambda m, rule: (ArcFace(m=m, overflow=rule), 1.0), angles, rules),
        st.builds(combined_margin, st.floats(0.5, 4), angles, st.floats(0, 1), rules),
        st.builds(lambda m: (SphereFace(m=m, annealing=None), m), st.floats(1, 8)),
        st.builds(lambda m: (SphereFace(m=float(m), annealing=None), m), st.integers(1, 8)),
        st.builds(lambda m, k: (SphereFace(m=m, annealing=k), m), st.floats(1, 8), st.floats(0, 1000)),
        st.builds(
            lambda m, version: (SphereFaceR(version=version, m=m), m),
            st.floats(1, 8),
            st.sampled_from(["v0", "v1", "v2"]),
        ),
        st.builds(lambda m, base: (MVSoftmax(m=m, base=base), 1.0), st.floats(0, 1), st.sampled_from(["am", "arc"])),
        st.builds(lambda m, rule: (CurricularFace(m=m, overflow=rule), 1.0), angles, rules),
        st.builds(lambda m, rule: (AMMSoftmax(m=m, overflow=rule), 1.0), angles, rules),
        st.builds(lambda m, h: (AdaFace(m=m, h=h), 1.0), st.floats(0, 1), st.floats(0, 1)),
        st.builds(lambda low: (MagFace(lower_m=low, upper_m=low + 0.5), 1.0), st.floats(0, 1)),
        st.builds(lambda m: (Circle(m=m), 4.0), st.floats(0, 1)),
    )


@given(monotone_margins(), st.floats(0.0, 150.0))
@settings(max_examples=300)
def test_the_target_rises_with_the_cosine_and_never_jumps(pair: tuple[Margin, float], norm: float) -> None:
    margin, steepest = pair
    theta = torch.linspace(0, math.pi, 1501, dtype=torch.float64)
    values = target(margin, theta.cos().clamp(-1, 1), norm=norm)
    change = values.diff()
    assert change.max() <= 1e-12, "rises with the angle"
    assert change.abs().max() <= steepest * (math.pi / 1500) * 1.001 + 1e-9, "jumps"


@given(monotone_margins(), st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=30))
@settings(max_examples=100)
def test_the_target_is_monotone_in_float32_too(pair: tuple[Margin, float], values: list[float]) -> None:
    margin, steepest = pair
    cos = torch.tensor(values, dtype=torch.float32).sort().values
    got = target(margin, cos)
    assert got.dtype == torch.float32
    assert (got.diff() >= -3e-6 * steepest).all()


@given(
    st.one_of(
        st.builds(lambda m: SphereFaceR(version="v2", m=m), st.floats(1, 8)),
        st.builds(
            lambda base, t, e: MVSoftmax(base=base, t=t, emphasis=e),
            st.sampled_from(["am", "arc"]),
            st.floats(0, 1),
            st.sampled_from(["adaptive", "fixed"]),
        ),
        st.builds(
            lambda m, t, rule, hard: AMMSoftmax(m=m, t=t, rule=rule, hard=hard),
            st.floats(0, 1),
            st.floats(0, 1),
            st.sampled_from(["constant", "ema", "violation"]),
            st.sampled_from(["margin", "target"]),
        ),
    ),
    st.floats(-1, 1),
)
@settings(max_examples=150)
def test_the_other_classes_rise_with_their_cosine(margin: Margin, own: float) -> None:
    cos = torch.linspace(-1, 1, 1001, dtype=torch.float64)[None]
    own_cos = torch.tensor([own], dtype=torch.float64)
    seen = seen_of(margin, own_cos)
    values = margin.others(cos, margin.reference(own_cos, seen)[:, None], seen)[0]
    assert values.diff().min() >= -1e-12


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


# ---- limits and slopes at the ends


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


# ---- relations between the losses


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


# ---- numbers per class and per sample

VALUED = {
    "amsoftmax": (AMSoftmax, "m", 0.3),
    **{f"arcface-{rule}": (lambda rule=rule, **o: ArcFace(overflow=rule, **o), "m", 0.4) for rule in OVERFLOWS},
    "combined-m1": (CombinedMargin, "m1", 1.1),
    "combined-m2": (CombinedMargin, "m2", 0.4),
    "combined-m3": (CombinedMargin, "m3", 0.2),
    **{
        f"combined-{rule}": (lambda rule=rule, **o: CombinedMargin(overflow=rule, **o), "m2", 0.4) for rule in OVERFLOWS
    },
    "sphereface": (SphereFace, "m", 1.5),
    "sphereface-whole": (lambda **o: SphereFace(annealing=None, **o), "m", 4.0),
    **{f"sphereface-r-{v}": (lambda v=v, **o: SphereFaceR(version=v, **o), "m", 1.4) for v in ("v0", "v1", "v2")},
    **{f"mv-{base}-m": (lambda base=base, **o: MVSoftmax(base=base, **o), "m", 0.3) for base in ("am", "arc")},
    "mv-t": (MVSoftmax, "t", 0.25),
    "curricular": (CurricularFace, "m", 0.4),
    "amm-m": (AMMSoftmax, "m", 0.4),
    "amm-t": (AMMSoftmax, "t", 0.2),
    "amm-both-t": (lambda **o: AMMSoftmax(side="both", **o), "t", 0.2),
    "adaface": (AdaFace, "m", 0.3),
    "elastic-am": (lambda **o: ElasticFace(base="am", **o), "m", 0.3),
    "elastic-arc": (lambda **o: ElasticFace(base="arc", **o), "m", 0.3),
    "circle": (Circle, "m", 0.3),
    "scale": (ArcFace, "scale", 40.0),
    "scale-l2": (L2Softmax, "scale", 12.0),
    "scale-sphereface": (SphereFace, "scale", 0.5),
}


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=4)], ids=["dense", "streamed"])
@pytest.mark.parametrize(("build", "name", "value"), VALUED.values(), ids=VALUED.keys())
def test_equal_values_per_class_or_sample_are_the_plain_number(build, name: str, value: float, strategy) -> None:
    x, w, labels = random_batch(4, n=12)
    labels[3] = -1
    plain = losses_of(build(**{name: value}), x, w, labels, strategy=strategy)
    per_class = losses_of(build(**{name: PerClass((value,) * len(w))}), x, w, labels, strategy=strategy)
    samples = PerSample(torch.full((len(x),), value, dtype=torch.float64))
    per_sample = losses_of(build(**{name: samples}), x, w, labels, strategy=strategy)
    torch.testing.assert_close(per_class, plain, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(per_sample, plain, rtol=1e-11, atol=1e-11)


def test_a_list_of_values_of_the_wrong_length_is_an_error() -> None:
    x, w, labels = random_batch(0)
    with pytest.raises(ValueError, match="6"):
        margin_softmax(x, w, labels, ArcFace(m=PerClass((0.1, 0.2))))
    with pytest.raises(ValueError, match="6"):
        margin_softmax(x, w, labels, ArcFace(m=PerSample((0.1, 0.2))))


# ---- finite everywhere


def special_cosines(dtype: torch.dtype) -> Tensor:
    eps = torch.finfo(dtype).eps
    ends = [1.0, 1 - eps / 2, 1 - eps, 1 - 4 * eps, 1 - 1e-6, 1 - 1e-4, math.cos(0.1), math.cos(0.5), 0.5]
    return torch.tensor([0.0, eps, -eps, *ends, *[-v for v in ends]], dtype=dtype)


@every_dtype
@every_margin
def test_target_and_others_are_finite_for_every_cosine(margin: Margin, dtype: torch.dtype) -> None:
    cos = special_cosines(dtype).requires_grad_()
    value = target(margin, cos)
    (slopes,) = torch.autograd.grad(value.sum(), cos)
    assert torch.isfinite(value).all()
    assert torch.isfinite(slopes).all()
    block = special_cosines(dtype).expand(len(cos), -1).clone().requires_grad_()
    seen = seen_of(margin, cos.detach())
    others = margin.others(block, margin.reference(cos.detach(), seen)[:, None], seen)
    assert torch.isfinite(others).all()
    if others.requires_grad:
        (slopes,) = torch.autograd.grad(others.sum(), block)
        assert torch.isfinite(slopes).all()


def extreme_batches(dtype: torch.dtype) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Examples equal, opposite, at right angles to class weights, without length, very long and very short."""
    w = torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [-0.5, 0, 0], [1.0, 1.0, 0], [0.3, -0.2, 0.9]], dtype=dtype)
    x = torch.cat([w, -w, 0 * w[:1], 1e15 * w, 1e-15 * w, w + 1e-4, w * (1 + 1e-6)])
    labels = torch.arange(len(x)) % len(w)
    zero_row = w.clone()
    zero_row[1] = 0
    long_rows = w * torch.tensor([1e10, 1e-10, 1.0, 1e-14, 1e14], dtype=dtype)[:, None]
    batches = [(x, weight, labels) for weight in (w, zero_row, long_rows, 0 * w)]
    batches += [(x, w, torch.full_like(labels, label)) for label in range(len(w))]
    three = w[:3].repeat_interleave(3, 0).reshape(3, 3, 3).clone()
    three[1, 2] = 0
    batches.append((x, three, torch.arange(len(x)) % 3))
    return batches


@every_dtype
@every_margin
def test_loss_and_gradient_are_finite_for_extreme_examples(margin: Margin, dtype: torch.dtype) -> None:
    for strategy in (Dense(), Streamed(chunk=2)):
        for number, (x, w, labels) in enumerate(extreme_batches(dtype)):
            x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
            losses = losses_of(margin, x, w, labels, strategy=strategy)
            assert torch.isfinite(losses).all(), (strategy, number, losses)
            losses.sum().backward()
            assert torch.isfinite(x.grad).all(), (strategy, number, x.grad)
            assert torch.isfinite(w.grad).all(), (strategy, number, w.grad)


@given(st.data())
@settings(max_examples=60)
def test_loss_and_gradient_are_finite_for_any_angle(data: st.DataObject) -> None:
    margin = data.draw(st.sampled_from(list(EVERY_MARGIN.values())))
    dtype = data.draw(st.sampled_from(FLOATS))
    theta = torch.tensor(data.draw(st.lists(st.floats(0, math.pi), min_size=1, max_size=6)), dtype=dtype)
    length = data.draw(st.floats(1e-10, 1e10))
    x = length * torch.stack([theta.cos(), theta.sin(), 0 * theta], 1)
    x.requires_grad_()
    w = torch.eye(3, dtype=dtype, requires_grad=True)
    losses = losses_of(margin, x, w, torch.zeros(len(theta), dtype=torch.int64))
    losses.sum().backward()
    for values in (losses, x.grad, w.grad):
        assert torch.isfinite(values).all()


# ---- symmetries of the loss


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=4)], ids=["dense", "streamed"])
@every_margin
def test_classes_can_be_renamed(margin: Margin, strategy) -> None:
    x, w, labels = random_batch(7)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    bias = torch.linspace(-1, 1, 6, dtype=torch.float64) if margin.has_bias else None
    learned = {"scale": torch.tensor(20.0, dtype=torch.float64)} if margin.initial_learned(6) else None
    plain = margin_softmax(x, w, labels, margin, bias=bias, learned=learned, strategy=strategy)
    renamed = torch.argsort(order)[labels]
    moved_bias = None if bias is None else bias[order]
    moved = margin_softmax(x, w[order], renamed, margin, bias=moved_bias, learned=learned, strategy=strategy)
    torch.testing.assert_close(moved, plain, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("margin", [m for m in EVERY_MARGIN.values() if not isinstance(m, ElasticFace)])
def test_examples_can_be_reordered(margin: Margin) -> None:
    x, w, labels = random_batch(8)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    plain = losses_of(margin, x, w, labels)
    torch.testing.assert_close(losses_of(margin, x[order], w, labels[order]), plain[order], rtol=1e-11, atol=1e-11)


# ElasticFace's draws depend on the place in the batch
@pytest.mark.parametrize("margin", [m for m in EVERY_MARGIN.values() if not isinstance(m, ElasticFace)])
def test_an_ignored_example_changes_nothing(margin: Margin) -> None:
    x, w, labels = random_batch(9)
    plain = losses_of(margin, x, w, labels)
    x_more = torch.cat([x[:2], 3 + x[:1], x[2:]]).requires_grad_()
    labels_more = torch.cat([labels[:2], torch.tensor([-1]), labels[2:]])
    more = losses_of(margin, x_more, w, labels_more)
    assert more[2].item() == 0.0
    torch.testing.assert_close(torch.cat([more[:2], more[3:]]), plain, rtol=1e-12, atol=1e-12)
    more.sum().backward()
    assert (x_more.grad[2] == 0).all()


NORM_FREE = {
    name: margin
    for name, margin in EVERY_MARGIN.items()
    if not isinstance(margin, (SphereFace, AdaFace, MagFace)) and getattr(margin, "norm", "hfn") == "hfn"
}


@pytest.mark.parametrize("margin", NORM_FREE.values(), ids=NORM_FREE.keys())
def test_the_length_of_an_embedding_does_not_matter(margin: Margin) -> None:
    x, w, labels = random_batch(10)
    x.requires_grad_()
    losses = losses_of(margin, x, w, labels)
    longer = losses_of(margin, x * torch.logspace(-3, 3, len(x), dtype=torch.float64)[:, None], w, labels)
    torch.testing.assert_close(longer, losses, rtol=1e-10, atol=1e-10)
    (gradient,) = torch.autograd.grad(losses.sum(), x)
    along = (gradient * x).sum(1).abs() / x.norm(dim=1)
    assert (along <= 1e-11 * gradient.norm(dim=1).clamp(min=1.0)).all()


# ---- constants of the papers


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


# ---- names and defaults


def test_every_named_margin_can_be_made_without_options() -> None:
    for name, kind in MARGINS.items():
        assert name == name.lower()
        assert isinstance(kind(), Margin)
    wanted = {
        *("normface", "l2softmax", "sphereface", "sphereface_r", "amsoftmax", "arcface", "combined", "ammsoftmax"),
        *("mvsoftmax", "curricularface", "adaface", "magface", "elasticface", "adacos", "circle"),
    }
    assert {name.replace("_", "") for name in wanted} <= {name.replace("_", "") for name in MARGINS}


def test_defaults_are_the_papers() -> None:
    assert (ArcFace().scale, ArcFace().m) == (64.0, 0.5)
    assert (AMSoftmax().scale, AMSoftmax().m) == (30.0, 0.35)
    assert (SphereFace().m, SphereFace().annealing.at(0)) == (4, pytest.approx(892.857, abs=1e-3))
    sphere_r = SphereFaceR()
    assert (sphere_r.version, sphere_r.norm, sphere_r.scale, sphere_r.m) == ("v2", "hfn", 60.0, 1.4)
    assert (sphere_r.loss_weight, sphere_r.gradient) == (50.0, "straight_through")
    mv = MVSoftmax()
    assert (mv.scale, mv.m, mv.t, mv.emphasis, mv.easy) == (32.0, 0.35, 0.2, "adaptive", False)
    assert (CurricularFace().scale, CurricularFace().m, CurricularFace().momentum) == (64.0, 0.5, 0.01)
    assert (AdaFace().scale, AdaFace().m, AdaFace().h, AdaFace().momentum) == (64.0, 0.4, 0.333, 0.01)
    mag = MagFace()
    assert (mag.lower_norm, mag.upper_norm, mag.lower_m, mag.upper_m, mag.norm_weight) == (10, 110, 0.45, 0.8, 35)
    assert (ElasticFace().m, ElasticFace().sigma, Circle().scale, Circle().m) == (0.5, 0.05, 256.0, 0.25)
    amm = AMMSoftmax()
    assert (amm.scale, amm.m, amm.t, amm.rule, amm.side, amm.hard) == (64.0, 0.5, 0.1, "constant", "negative", "margin")
    for margin in (ArcFace(), CombinedMargin(), AMMSoftmax(), CurricularFace(), MagFace()):
        assert margin.gradient == "exact"
        assert margin.overflow == "continuous"


def test_amm_says_that_its_equation_is_inferred() -> None:
    text = " ".join((AMMSoftmax.__doc__ or "").split()).lower()
    assert "not public" in text or "inferred" in text


def test_margins_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ArcFace().m = 0.3  # pyrefly: ignore


# ---- bad numbers


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ArcFace(m=-0.1), ("ArcFace", "m ", "-0.1")),
        (lambda: ArcFace(m=4.0), ("ArcFace", "m ", "4")),
        (lambda: ArcFace(m=float("nan")), ("ArcFace", "m ", "nan")),
        (lambda: ArcFace(m=PerClass((0.1, -0.2))), ("m ", "-0.2")),
        (lambda: ArcFace(m=PerSample(torch.tensor([0.1, 9.0]))), ("m ", "9")),
        (lambda: ArcFace(scale=0.0), ("scale", "0")),
        (lambda: ArcFace(scale=-64.0), ("scale", "-64")),
        (lambda: ArcFace(overflow="wrap"), ("overflow", "wrap")),
        (lambda: ArcFace(gradient="exactly"), ("gradient", "exactly")),
        (lambda: AMSoftmax(m=-0.35), ("AMSoftmax", "m ", "-0.35")),
        (lambda: CombinedMargin(m1=0.0), ("m1", "0")),
        (lambda: CombinedMargin(m2=-1.0), ("m2", "-1")),
        (lambda: CombinedMargin(m3=-1.0), ("m3", "-1")),
        (lambda: SphereFace(m=0.5), ("SphereFace", "m ", "0.5")),
        (lambda: SphereFaceR(version="v3"), ("version", "v3")),
        (lambda: SphereFaceR(norm="abc"), ("norm", "abc")),
        (lambda: SphereFaceR(m=0.9), ("m ", "0.9")),
        (lambda: AMMSoftmax(t=-0.1), ("t ", "-0.1")),
        (lambda: AMMSoftmax(rule="sometimes"), ("rule", "sometimes")),
        (lambda: AMMSoftmax(side="left"), ("side", "left")),
        (lambda: AMMSoftmax(hard="soft"), ("hard", "soft")),
        (lambda: MVSoftmax(base="cos"), ("base", "cos")),
        (lambda: MVSoftmax(emphasis="weak"), ("emphasis", "weak")),
        (lambda: CurricularFace(momentum=1.5), ("momentum", "1.5")),
        (lambda: AdaFace(m=-0.4), ("m ", "-0.4")),
        (lambda: MagFace(lower_norm=20.0, upper_norm=10.0), ("lower_norm", "20")),
        (lambda: ElasticFace(sigma=-0.1), ("sigma", "-0.1")),
        (lambda: ElasticFace(base="circle"), ("base", "circle")),
        (lambda: AdaCos(mode="dynamic"), ("mode", "dynamic")),
        (lambda: Circle(m=-0.1), ("m ", "-0.1")),
        (lambda: Learned(0.0), ("scale", "0")),
    ],
)
def test_a_bad_number_is_named_with_its_value(build, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are checked below)
        build()
    message = str(caught.value)
    assert all(word in message for word in words), message
