"""Options of margins: names, the defaults of the papers, bad numbers named with their value."""

import dataclasses

import pytest
import torch
from torch import Tensor

from angulus.heads import margin_softmax
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
)


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


def test_a_margin_that_defines_others_is_summed_with_it() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Forgetful(Margin):
        def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
            return cos * 0

    x, w, labels = torch.randn(4, 8), torch.randn(6, 8), torch.arange(4)
    with_emphasis = margin_softmax(x, w, labels, Forgetful(scale=16.0))
    assert not torch.allclose(with_emphasis, margin_softmax(x, w, labels, NormFace(scale=16.0)))
