"""The margins paired with their oracles: every loss with the options that change its formula."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from reference import margin_losses as oracle
from reference.margin_losses import Rule
from torch import Tensor

from angulus.margins import (
    AdaCos,
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    Circle,
    CombinedMargin,
    CurricularFace,
    InverseDecay,
    L2Softmax,
    Learned,
    MagFace,
    Margin,
    MVSoftmax,
    NormFace,
    SphereFace,
    SphereFaceR,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A margin and what its oracle needs; scale None is the feature norm, step and state are given to both."""

    name: str
    margin: Margin
    rule: Rule
    scale: float | None = 64.0
    straight: bool = False
    free_weights: bool = False
    bias: bool = False
    factor: float = 1.0
    penalty: Callable[[Tensor], Tensor] | None = None
    step: int = 0
    state: dict[str, float] = field(default_factory=dict)
    # The target looks at all classes of the row, which a single cosine cannot show.
    needs_row: bool = False

    @property
    def learned(self) -> bool:
        return isinstance(self.margin.scale, Learned)

    def tensors(self) -> dict[str, Tensor] | None:
        return {name: torch.tensor(value) for name, value in self.state.items()} or None


def arc_cases() -> list[Case]:
    cases = [
        Case(
            name=f"arcface-{overflow}",
            margin=ArcFace(overflow=overflow),
            rule=partial(oracle.arcface, m=0.5, overflow=overflow),
        )
        for overflow in ("continuous", "none", "linear", "clip", "mirror", "easy")
    ]
    cases += [
        Case(
            name=f"arcface-straight-{overflow}",
            margin=ArcFace(scale=16.0, m=0.35, overflow=overflow, gradient="straight_through"),
            rule=partial(oracle.arcface, m=0.35, overflow=overflow),
            scale=16.0,
            straight=True,
        )
        for overflow in ("continuous", "none", "linear", "clip", "mirror", "easy")
    ]
    for m1, m2, m3 in ((1.0, 0.5, 0.0), (1.0, 0.3, 0.2), (0.9, 0.4, 0.15), (1.35, 0.0, 0.0), (1.0, 0.0, 0.35)):
        cases += [
            Case(
                name=f"combined-{m1}-{m2}-{m3}-{overflow}",
                margin=CombinedMargin(scale=32.0, m1=m1, m2=m2, m3=m3, overflow=overflow),
                rule=partial(oracle.combined, m1=m1, m2=m2, m3=m3, overflow=overflow),
                scale=32.0,
            )
            for overflow in ("continuous", "none", "clip", "mirror")
        ]
    cases.append(
        Case(
            name="combined-straight",
            margin=CombinedMargin(m1=1.2, m2=0.3, m3=0.1, gradient="straight_through"),
            rule=partial(oracle.combined, m1=1.2, m2=0.3, m3=0.1),
            straight=True,
        )
    )
    return cases


def plain_cases() -> list[Case]:
    return [
        Case(name="margin", margin=Margin(), rule=oracle.normface),
        Case(name="normface", margin=NormFace(scale=20.0), rule=oracle.normface, scale=20.0),
        Case(name="normface-learned", margin=NormFace(scale=Learned(12.0)), rule=oracle.normface, scale=12.0),
        Case(
            name="l2softmax",
            margin=L2Softmax(scale=16.0),
            rule=oracle.normface,
            scale=16.0,
            free_weights=True,
            bias=True,
        ),
        Case(
            name="l2softmax-learned",
            margin=L2Softmax(scale=Learned(10.0)),
            rule=oracle.normface,
            scale=10.0,
            free_weights=True,
            bias=True,
        ),
        Case(name="amsoftmax", margin=AMSoftmax(), rule=partial(oracle.amsoftmax, m=0.35), scale=30.0),
        Case(
            name="adacos-fixed",
            margin=AdaCos(mode="fixed"),
            rule=oracle.normface,
            scale=math.sqrt(2) * math.log(CLASSES - 1),
        ),
        Case(name="circle", margin=Circle(), rule=partial(oracle.circle, m=0.25), scale=256.0),
        Case(
            name="circle-retrieval",
            margin=Circle(scale=80.0, m=0.4),
            rule=partial(oracle.circle, m=0.4),
            scale=80.0,
        ),
    ]


def sphere_cases() -> list[Case]:
    cases = [
        Case(
            name=f"sphereface-{m}-{gradient}",
            margin=SphereFace(m=m, annealing=None, gradient=gradient),
            rule=partial(oracle.sphereface, m=m),
            scale=None,
            straight=gradient == "straight_through",
        )
        for m in (1, 2, 3, 4, 1.5, 1.7)
        for gradient in ("exact", "straight_through")
    ]
    cases += [
        Case(
            name=f"sphereface-annealed-{step}",
            margin=SphereFace(),
            rule=partial(oracle.sphereface, m=4, annealing=value),
            scale=None,
            step=step,
        )
        for step, value in ((0, 1000 / 1.12), (99, 1000 / 13.0), (5000, 5.0))
    ]
    cases.append(
        Case(
            name="sphereface-l-softmax-schedule",
            margin=SphereFace(m=3, annealing=InverseDecay(base=1000, gamma=2.5e-5, power=35, minimum=0)),
            rule=partial(oracle.sphereface, m=3, annealing=1000 * (1 + 2.5e-5 * 5001) ** -35),
            scale=None,
            step=5000,
        )
    )
    return cases


def sphere_r_cases() -> list[Case]:
    cases = []
    for version in ("v0", "v1", "v2"):
        for gradient in ("straight_through", "exact"):
            rule = partial(oracle.sphereface_r, version=version, m=1.4)
            straight = gradient == "straight_through"
            for norm in ("hfn", "sfn", "nfn"):
                cases.append(
                    Case(
                        name=f"sphereface-r-{version}-{norm}-{gradient}",
                        margin=SphereFaceR(version=version, norm=norm, gradient=gradient),
                        rule=rule,
                        scale=60.0 if norm == "hfn" else None,
                        straight=straight,
                        factor=1.0 if norm == "nfn" else 50.0 / 60.0,
                        penalty=sfn_penalty if norm == "sfn" else None,
                    )
                )
    return cases


def sfn_penalty(norm: Tensor) -> Tensor:
    return 0.01 * (norm - 60.0).abs()


def amm_cases() -> list[Case]:
    cases = []
    for side in ("negative", "positive", "both"):
        for hard in ("margin", "target"):
            cases.append(
                Case(
                    name=f"amm-constant-{side}-{hard}",
                    margin=AMMSoftmax(t=0.15, side=side, hard=hard),
                    rule=partial(oracle.amm, m=0.5, t=0.15, side=side, hard=hard),
                    needs_row=side != "negative",
                )
            )
    for side in ("negative", "both"):
        for hard in ("margin", "target"):
            cases.append(
                Case(
                    name=f"amm-violation-{side}-{hard}",
                    margin=AMMSoftmax(rule="violation", slope=0.4, side=side, hard=hard),
                    rule=partial(oracle.amm, m=0.5, t=0.0, rule="violation", slope=0.4, side=side, hard=hard),
                    needs_row=side != "negative",
                )
            )
    cases += [
        Case(
            name="amm-ema",
            margin=AMMSoftmax(rule="ema", multiplier=0.5),
            rule=partial(oracle.amm, m=0.5, t=0.125),
            state={"t": 0.25},
        ),
        Case(
            name="amm-straight",
            margin=AMMSoftmax(gradient="straight_through"),
            rule=partial(oracle.amm, m=0.5, t=0.1),
            straight=True,
        ),
        Case(
            name="amm-linear",
            margin=AMMSoftmax(overflow="linear"),
            rule=partial(oracle.amm, m=0.5, t=0.1, overflow="linear"),
        ),
    ]
    return cases


def mining_cases() -> list[Case]:
    cases = [
        Case(
            name=f"mv-{base}-{emphasis}-easy-{easy}",
            margin=MVSoftmax(base=base, emphasis=emphasis, easy=easy),
            rule=partial(oracle.mv_softmax, base=base, m=0.35, t=0.2, emphasis=emphasis, easy=easy),
            scale=32.0,
        )
        for base in ("am", "arc")
        for emphasis in ("adaptive", "fixed")
        for easy in (False, True)
    ]
    cases.append(
        Case(
            name="mv-straight",
            margin=MVSoftmax(base="arc", m=0.5, gradient="straight_through"),
            rule=partial(oracle.mv_softmax, base="arc", m=0.5, t=0.2),
            scale=32.0,
            straight=True,
        )
    )
    cases += [
        Case(
            name=f"curricular-{t}-{overflow}",
            margin=CurricularFace(overflow=overflow),
            rule=partial(oracle.curricularface, m=0.5, t=t, overflow=overflow),
            state={"t": t},
        )
        for t, overflow in ((0.0, "linear"), (0.25, "linear"), (0.75, "continuous"))
    ]
    return cases


def adaptive_cases() -> list[Case]:
    bounds = {"lower_norm": 10.0, "upper_norm": 110.0}
    tight = {"lower_norm": 1.0, "upper_norm": 51.0}
    return [
        Case(
            name="adaface",
            margin=AdaFace(),
            rule=partial(oracle.adaface, m=0.4, h=0.333, mean=20.0, std=100.0),
            state={"mean": 20.0, "std": 100.0},
        ),
        Case(
            name="adaface-sharp",
            margin=AdaFace(m=0.3, h=1.0),
            rule=partial(oracle.adaface, m=0.3, h=1.0, mean=8.0, std=4.0),
            state={"mean": 8.0, "std": 4.0},
        ),
        Case(
            name="magface",
            margin=MagFace(),
            rule=partial(oracle.magface, **bounds, lower_m=0.45, upper_m=0.8),
            penalty=partial(oracle.magface_penalty, **bounds, norm_weight=35.0),
        ),
        Case(
            name="magface-tight",
            margin=MagFace(scale=20.0, **tight, lower_m=0.1, upper_m=0.4, norm_weight=20.0),
            rule=partial(oracle.magface, **tight, lower_m=0.1, upper_m=0.4),
            scale=20.0,
            penalty=partial(oracle.magface_penalty, **tight, norm_weight=20.0),
        ),
    ]


CLASSES = 5
CASES = [
    *plain_cases(),
    *arc_cases(),
    *sphere_cases(),
    *sphere_r_cases(),
    *amm_cases(),
    *mining_cases(),
    *adaptive_cases(),
]
CASE_NAMES = [case.name for case in CASES]

# Every additive margin, cosine or angular, that a case above uses: rows must stay off all their switches.
USED_MARGINS = (0.0, 0.1, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.65, 0.8)
USED_MULTIPLIERS = (1.2, 1.35, 1.4, 1.5, 1.7, 2.0, 3.0, 4.0)


def clear_of_switches(cos: Tensor, labels: Tensor, gap: float = 5e-4) -> bool:
    """Whether no cosine of [n, c] lies within `gap` of a point where some loss changes its formula."""
    own = cos.gather(1, labels[:, None])
    angle = own.acos()
    other = torch.ones_like(cos, dtype=torch.bool).scatter(1, labels[:, None], False)
    distances = [own.abs(), 1 - cos.abs()]
    for m in USED_MARGINS:
        for border in (torch.cos(angle + m), own - m):
            distances.append((cos - border).abs()[other])
        distances.append((angle + m - math.pi).abs())
    for m1 in USED_MULTIPLIERS:
        knot = torch.remainder(m1 * angle, math.pi)
        distances.append(torch.minimum(knot, math.pi - knot))
    distances += [(m1 * angle + m2 - math.pi).abs() for m1, m2 in ((0.9, 0.4), (1.2, 0.3))]
    return all(bool((d > gap).all()) for d in distances)
