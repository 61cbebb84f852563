"""Scale, margin and ramp of a loss from the number of classes, where a recipe leaves them open.

Scale of cosines, s: a softmax over C classes reaches the probability p at s log(p (C - 2) / (1 - p)) at the least
(Ranjan et al. 2017, eq. 8), and a scale far above it ends the training when the classes are just told apart.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from angulus.margins import (
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    Chosen,
    CombinedMargin,
    CurricularFace,
    ElasticFace,
    InterTopK,
    L2Softmax,
    Linear,
    MagFace,
    Margin,
    MVSoftmax,
    NormFace,
    SphereFace,
    scale_lower_bound,
)
from angulus.training.recipe.choices import Choice

# Fields that a recipe may leave open: a loss that is named without them gets those that fit its data.
OPEN: dict[type[Margin], tuple[str, ...]] = {
    NormFace: ("scale",),
    L2Softmax: ("scale",),
    SphereFace: ("m", "annealing"),
    AMSoftmax: ("scale", "m"),
    ArcFace: ("scale", "m"),
    AMMSoftmax: ("scale", "m", "t"),
    MVSoftmax: ("scale", "m"),
    CurricularFace: ("scale", "m"),
    AdaFace: ("scale", "m"),
    ElasticFace: ("scale", "m"),
    MagFace: ("scale",),
    CombinedMargin: ("scale",),
    InterTopK: ("scale", "m", "m_prime"),
}
PROBABILITY = 0.95  # of the own class, for the bound of L2-softmax
END = 0.4  # of the ramp
ENDS: Mapping[type[Margin], float] = {AMSoftmax: 0.35, MVSoftmax: 0.35, InterTopK: 0.2}
RAMP = 0.5  # share of the run in which a margin grows
GENTLE_END, GENTLE_RAMP = 0.2, 0.8
# Scales that were published, by the number of classes: between two of them the logarithm decides.
PUBLISHED = ((10_575, 32.0), (85_742, 64.0))


def open_margin(kind: type[Margin]) -> dict[str, Chosen]:
    """The fields of a loss that are chosen when a run starts unless they are given."""
    return {name: Chosen() for name in OPEN.get(kind, ())}


def margin_scale(num_classes: int) -> float:
    """A scale for losses of cosines: 3.4 log C, at least 10, up to 32 at CASIA's ten thousand classes; from there to
    64 at MS1MV2's 85 thousand, and 64 beyond."""
    (few, low), (many, high) = PUBLISHED
    logarithm = math.log(max(num_classes, 2))
    if num_classes <= few:
        return float(min(low, max(10, round(3.4 * logarithm))))
    share = (logarithm - math.log(few)) / (math.log(many) - math.log(few))
    return float(min(high, round(low + share * (high - low))))


def with_margin(margin: Margin | None, num_classes: int, *, is_gentle: bool = False) -> tuple[Margin, list[Choice]]:
    """The loss with nothing left open, and what was chosen.

    is_gentle: few people are trained on, with many images each; a margin stays small then, and grows for longer.
    """
    choices = []
    if margin is None:
        margin = ArcFace(scale=Chosen(), m=Chosen())
        choices.append(Choice(key="margin.name", value="arcface", reason="best or nearly so on every set tried"))
    changed: dict[str, Any] = {}
    for name, value in vars(margin).items():
        if isinstance(value, Chosen):
            changed[name], reason = found(margin, name, num_classes, is_gentle=is_gentle)
            choices.append(Choice(key=f"margin.{name}", value=changed[name], reason=reason))
    return (replace(margin, **changed) if changed else margin), choices


def found(margin: Margin, name: str, num_classes: int, *, is_gentle: bool) -> tuple[float | Linear, str]:
    """The value of a field of a loss, and why."""
    if name == "scale" and isinstance(margin, L2Softmax):
        bound = max(2.0, scale_lower_bound(max(num_classes, 3), PROBABILITY))
        return round(bound, 1), f"the paper's bound for {num_classes} classes and a probability of {PROBABILITY}"
    if name == "scale":
        return margin_scale(num_classes), f"{num_classes} classes; with a larger scale the loss ends too early"
    if name == "annealing":
        reason = "half of the margin comes in over the first half of the run; all of it is too much for weak networks"
        return Linear(start=10.0, end=1.0, until=RAMP, unit="run"), reason
    if name == "m_prime":
        return Linear(start=0.0, end=0.06, until=RAMP, unit="run"), "the paper's, growing beside the margin"
    if name == "t":
        return 0.05, "the paper's emphasis is too strong for small sets"
    if isinstance(margin, SphereFace):
        return 1.5, "learns on sets of any size; the paper's 4 needs long runs"
    end = next((end for kind, end in ENDS.items() if isinstance(margin, kind)), END)
    if is_gentle:
        reason = "small, and grows over four fifths: few people with many images each are soon told apart"
        return Linear(start=0.0, end=min(end, GENTLE_END), until=GENTLE_RAMP, unit="run"), reason
    return Linear(start=0.0, end=end, until=RAMP, unit="run"), "grows over the first half, while classes are found"
