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
from angulus.margins.binary import SphereFace2
from angulus.margins.catalogue import MARGINS, SCHEDULES, MarginName, margin_of
from angulus.margins.circle import Circle
from angulus.margins.euclidean import L2Softmax, Softmax, scale_lower_bound
from angulus.margins.mining import AMMSoftmax, CurricularFace, MVSoftmax
from angulus.margins.multiplicative import SphereFace, SphereFaceR, psi
from angulus.margins.ranking import InterTopK
from angulus.margins.schedules import Chosen, Exponential, InverseDecay, Linear, Schedule, Steps

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
    "InterTopK",
    "InverseDecay",
    "L2Softmax",
    "Learned",
    "Linear",
    "MVSoftmax",
    "MagFace",
    "Margin",
    "MarginName",
    "NormFace",
    "PerClass",
    "PerSample",
    "Schedule",
    "Seen",
    "Softmax",
    "SphereFace",
    "SphereFace2",
    "SphereFaceR",
    "Steps",
    "Value",
    "adacos_scale",
    "margin_of",
    "normface_floor",
    "psi",
    "resolve",
    "scale_lower_bound",
]
