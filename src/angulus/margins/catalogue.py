"""The names that recipes and calls use for margins and schedules, and the margin that a name stands for."""

import difflib
from typing import Literal

from angulus.margins.adaptive import AdaCos, AdaFace, ElasticFace, MagFace
from angulus.margins.additive import AMSoftmax, ArcFace, CombinedMargin, CosFace
from angulus.margins.base import Margin, NormFace
from angulus.margins.binary import SphereFace2
from angulus.margins.circle import Circle
from angulus.margins.euclidean import L2Softmax, Softmax
from angulus.margins.mining import AMMSoftmax, CurricularFace, MVSoftmax
from angulus.margins.multiplicative import SphereFace, SphereFaceR
from angulus.margins.ranking import InterTopK
from angulus.margins.schedules import Exponential, InverseDecay, Linear, Schedule, Steps

MARGINS: dict[str, type[Margin]] = {
    "softmax": Softmax,
    "normface": NormFace,
    "l2softmax": L2Softmax,
    "sphereface": SphereFace,
    "spherefacer": SphereFaceR,
    "amsoftmax": AMSoftmax,
    "cosface": CosFace,
    "arcface": ArcFace,
    "combined": CombinedMargin,
    "ammsoftmax": AMMSoftmax,
    "mvsoftmax": MVSoftmax,
    "curricularface": CurricularFace,
    "adaface": AdaFace,
    "magface": MagFace,
    "elasticface": ElasticFace,
    "adacos": AdaCos,
    "circle": Circle,
    "inter_topk": InterTopK,
    "sphereface2": SphereFace2,
}

MarginName = Literal[
    "softmax",
    "normface",
    "l2softmax",
    "sphereface",
    "spherefacer",
    "amsoftmax",
    "cosface",
    "arcface",
    "combined",
    "ammsoftmax",
    "mvsoftmax",
    "curricularface",
    "adaface",
    "magface",
    "elasticface",
    "adacos",
    "circle",
    "inter_topk",
    "sphereface2",
]

SCHEDULES: dict[str, type[Schedule]] = {
    "linear": Linear,
    "exponential": Exponential,
    "inverse_decay": InverseDecay,
    "steps": Steps,
}


def margin_of(value: Margin | MarginName) -> Margin:
    """The margin itself, or the one that a name stands for, with its defaults.

    Raises ValueError for an unknown name, TypeError for anything else; both say what is wanted.
    """
    if isinstance(value, Margin):
        return value
    if isinstance(value, str):
        if value in MARGINS:
            return MARGINS[value]()
        near = difflib.get_close_matches(value.lower(), MARGINS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(MARGINS)}"
        raise ValueError(f"margin must be a margin or the name of one, got {value!r}; {hint}")
    if isinstance(value, type) and issubclass(value, Margin):
        raise TypeError(f"margin must be a margin, got the class {value.__name__}; write {value.__name__}()")
    raise TypeError(
        f"margin must be a margin such as ArcFace(m=0.5) or the name of one such as 'arcface', "
        f"got {type(value).__name__} {value!r}"
    )
