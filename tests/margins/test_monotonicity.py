"""Targets rise with the cosine and never jump, whatever the numbers of the margin."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from margin_values import FEW, seen_of, target

from angulus.margins import (
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    Circle,
    CombinedMargin,
    CurricularFace,
    MagFace,
    Margin,
    MVSoftmax,
    SphereFace,
    SphereFaceR,
)

MONOTONE = ("continuous", "mirror", "clip")

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
@settings(FEW, max_examples=300)
def test_the_target_rises_with_the_cosine_and_never_jumps(pair: tuple[Margin, float], norm: float) -> None:
    margin, steepest = pair
    theta = torch.linspace(0, math.pi, 1501, dtype=torch.float64)
    values = target(margin, theta.cos().clamp(-1, 1), norm=norm)
    change = values.diff()
    assert change.max() <= 1e-12, "rises with the angle"
    assert change.abs().max() <= steepest * (math.pi / 1500) * 1.001 + 1e-9, "jumps"


@given(monotone_margins(), st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=30))
@settings(FEW, max_examples=100)
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
@settings(FEW, max_examples=150)
def test_the_other_classes_rise_with_their_cosine(margin: Margin, own: float) -> None:
    cos = torch.linspace(-1, 1, 1001, dtype=torch.float64)[None]
    own_cos = torch.tensor([own], dtype=torch.float64)
    seen = seen_of(margin, own_cos)
    values = margin.others(cos, margin.reference(own_cos, seen)[:, None], seen)[0]
    assert values.diff().min() >= -1e-12
