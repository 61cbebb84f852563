"""Margins: pure functions of cosines, one frozen dataclass for each loss of the family.

Choose one, give it to `angulus.heads.MarginHead`. All formulas stand together in docs/margins.md.
"""

from angulus.margins.adaptive import AdaCos, AdaFace, ElasticFace, MagFace, adacos_scale
from angulus.margins.additive import AMSoftmax, ArcFace, CombinedMargin, CosFace
from angulus.margins.base import (
    Formula,
    Learned,
    Margin,
    NormFace,
    PerClass,
    PerSample,
    Seen,
    Value,
    normface_floor,
    resolve,
)
from angulus.margins.circle import Circle
from angulus.margins.euclidean import L2Softmax, Softmax, scale_lower_bound
from angulus.margins.mining import AMMSoftmax, CurricularFace, MVSoftmax
from angulus.margins.multiplicative import SphereFace, SphereFaceR, psi
from angulus.margins.schedules import Chosen, Exponential, InverseDecay, Linear, Schedule, Steps

# The names that recipes use.
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
}

SCHEDULES: dict[str, type[Schedule]] = {
    "linear": Linear,
    "exponential": Exponential,
    "inverse_decay": InverseDecay,
    "steps": Steps,
}

__all__ = [
    "MARGINS",
    "SCHEDULES",
    "AMMSoftmax",
    "AMSoftmax",
    "AdaCos",
    "AdaFace",
    "ArcFace",
    "Chosen",
    "Circle",
    "CombinedMargin",
    "CosFace",
    "CurricularFace",
    "ElasticFace",
    "Exponential",
    "Formula",
    "InverseDecay",
    "L2Softmax",
    "Learned",
    "Linear",
    "MVSoftmax",
    "MagFace",
    "Margin",
    "NormFace",
    "PerClass",
    "PerSample",
    "Schedule",
    "Seen",
    "Softmax",
    "SphereFace",
    "SphereFaceR",
    "Steps",
    "Value",
    "adacos_scale",
    "normface_floor",
    "psi",
    "resolve",
    "scale_lower_bound",
]
