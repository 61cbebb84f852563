"""Every margin under a name of its own, and its targets and losses on small inputs."""

import dataclasses

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from angulus.heads import margin_softmax
from angulus.margins import (
    AdaCos,
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    Circle,
    CombinedMargin,
    CurricularFace,
    ElasticFace,
    InterTopK,
    L2Softmax,
    Learned,
    MagFace,
    Margin,
    MVSoftmax,
    NormFace,
    Seen,
    SphereFace,
    SphereFace2,
    SphereFaceR,
)

FEW = settings(deadline=None, max_examples=25, derandomize=True, database=None)

OVERFLOWS = ("continuous", "mirror", "clip", "linear", "none", "easy")
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
    "inter-topk": InterTopK(),
    "inter-topk-two": InterTopK(k=2, m=0.5, m_prime=0.3),
    **{
        f"sphereface2-{version}-{gradient}": SphereFace2(version=version, m=m, gradient=gradient)
        for version, m in (("C", 0.4), ("A", 0.5), ("M", 1.7))
        for gradient in ("exact", "straight_through")
    },
    "sphereface2-learned": SphereFace2(scale=Learned(20.0)),
}
every_margin = pytest.mark.parametrize("margin", EVERY_MARGIN.values(), ids=EVERY_MARGIN.keys())
every_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=["float64", "float32"])


def seen_of(margin: Margin, cos: Tensor, norm: float = 20.0, classes: int = 6, **options) -> Seen:
    seen = Seen.of(
        cos,
        norms=torch.full_like(cos.detach(), norm),
        num_classes=classes,
        state=margin.initial_state(classes),
        learned={"scale": torch.tensor(20.0), "bias": torch.tensor(-3.0)},
        **options,
    )
    return dataclasses.replace(seen, hardest=torch.full_like(cos.detach(), 0.4))


def target(margin: Margin, cos: Tensor, **options) -> Tensor:
    return margin.target(cos, seen_of(margin, cos, **options))


def losses_of(margin: Margin, x: Tensor, w: Tensor, labels: Tensor, **options) -> Tensor:
    if margin.has_bias:
        options["bias"] = torch.linspace(-1, 1, len(w), dtype=w.dtype)
    if margin.initial_learned(len(w)):
        options["learned"] = {"scale": torch.tensor(20.0, dtype=w.dtype), "bias": torch.tensor(-3.0, dtype=w.dtype)}
    return margin_softmax(x, w, labels, margin, **options)


def random_batch(
    seed: int, n: int = 6, classes: int = 6, dim: int = 4, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = 15 * torch.randn(n, dim, generator=generator, dtype=torch.float64)
    w = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return x.to(dtype), w.to(dtype), torch.randint(0, classes, (n,), generator=generator)
