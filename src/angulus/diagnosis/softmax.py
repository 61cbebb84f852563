"""Rules about scale and margin: too large, too small, a margin that comes before the network can bear it.

They look at the share of a softmax and at its logits: binary losses, with a classifier for each class, are left out.
"""

import math
import statistics

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.optimisation import progress_of
from angulus.diagnosis.records import FEW_PEOPLE, Record
from angulus.training.recipe.margin_rules import margin_scale

BEST_MASS = 0.8
LEAST_LEFT = 0.1
"""In cosine, between own class and others of perfect embeddings: where a margin leaves less, no usual scale helps."""
CERTAIN = 0.3
"""By how much the share of the softmax may exceed the own cosine; in healthy runs 0.15 at most."""
SURE = 0.5
"""Of the softmax on the own class: below it the softmax is in doubt, however low the own cosine is."""
STUCK = 0.15
ONE_SIDE = 0.8
FEW_ROWS = 3
"""A run of fewer stretches does not tell a margin that was there at once from one that grew."""


def scale_small(record: Record) -> Finding | None:
    """Even perfect embeddings would leave the softmax in doubt: the loss has a floor."""
    mass, floor = record.start.get("best_mass"), record.start.get("least_loss")
    if mass is None or mass > BEST_MASS:
        return None
    classes, scale = record.start["classes"], record.start["scale"]
    is_of_margin = scale >= needed_scale(classes)  # without a margin it would do
    return Finding(
        name="scale_small",
        title="The scale is too small for this margin" if is_of_margin else "The scale is too small",
        severity="harms",
        evidence=(
            f"with a scale of {scale:g}, {classes} classes and this margin the loss cannot come below "
            f"{floor:.2f}: perfect embeddings get {mass:.0%} of the softmax{last_loss(record)}"
        ),
        advice=larger_scale(classes, scale, left_by_margin(mass, classes, scale)),
        keys=("margin.m", "margin.scale") if is_of_margin else ("margin.scale",),
    )


def needed_scale(classes: int, left: float = 1.0) -> int:
    """A scale at which half of the way to a perfect embedding is enough for 95 % of the softmax.

    left: what the margin leaves of the cosine, where it is less than that half.
    """
    return max(8, math.ceil(math.log(19 * max(classes - 1, 1)) / min(0.8, left)))


def left_by_margin(mass: float, classes: int, scale: float) -> float:
    """By how much a perfect embedding's own class is above the others, in cosine, once the margin is taken."""
    return math.log(mass * max(classes - 1, 1) / (1 - mass)) / scale if mass > 0 else 0.0


def larger_scale(classes: int, scale: float, left: float) -> str:
    """What to do: never a scale that is not above the present one, and none where the margin leaves too little."""
    lower, plain = "lower the margin (margin.m)", needed_scale(classes)
    if left < LEAST_LEFT:
        return lower if scale >= plain else f"{lower}, and raise margin.scale to {plain} or more"
    raised = f"raise margin.scale to {needed_scale(classes, left)} or more"
    return f"{lower}, or {raised}" if scale >= plain else raised


def last_loss(record: Record) -> str:
    return f", and it came to {record.stretches[-1]['loss']:.2f}" if record.stretches else ""


def is_bounded_softmax(record: Record) -> bool:
    """Whether the loss is a softmax of cosines. Runs of before there were others do not say so."""
    return not record.start.get("free") and record.start.get("reduction", "softmax") == "softmax"


def scale_large(record: Record) -> Finding | None:
    """The softmax is certain while embeddings are far from their class weights: little more is learned.

    Between fewer than five classes it is certain at any scale as soon as they are told apart.
    """
    rows, classes = record.stretches, record.start.get("classes")
    if not rows or not is_bounded_softmax(record) or (classes is not None and classes < FEW_PEOPLE):
        return None
    last = rows[-1]
    if last["mass"] < SURE or last["mass"] - last["own"] < CERTAIN:
        return None
    is_above_auto = classes is not None and last["scale"] > margin_scale(classes)
    by_rule = ", or leave it to the number of classes: margin.scale=auto" if is_above_auto else ""
    return Finding(
        name="scale_large",
        title="The scale is too large",
        severity="harms",
        evidence=(
            f"with a scale of {last['scale']:g} the own class has {last['mass']:.0%} of the softmax at an own cosine "
            f"of only {last['own']:.2f}: what is left of the gradient does not turn embeddings to their class"
        ),
        advice=f"lower margin.scale{by_rule}",
        keys=("margin.scale",),
    )


def margin_early(record: Record) -> Finding | None:
    """The margin was there before the network knew anybody: own cosines stay near 0, or all embeddings on one side."""
    rows, progress = record.stretches, progress_of(record)
    if len(rows) < FEW_ROWS or progress is None or not is_bounded_softmax(record):
        return None
    late = rows[-max(1, len(rows) // 3) :]
    own = statistics.fmean(row["own"] for row in late)
    pushed = rows[0]["margin"]
    side = max((row["probed"]["direction"] for row in late if row.get("probed")), default=0.0)
    is_stuck = own < STUCK or side > ONE_SIDE
    if not is_stuck or pushed < 2.0 or progress > 0.5:
        return None
    where = f", and all embeddings lie on one side (their mean has a length of {side:.2f})" if side > ONE_SIDE else ""
    return Finding(
        name="margin_early",
        title="The margin is too large too early",
        severity="stops",
        evidence=(
            f"own cosines came to {own:.2f}{where}, while the margin took {pushed:.1f} from the own logit from the "
            "first epoch on"
        ),
        advice=("lower it, or let it rise from 0: margin.m={name: linear, start: 0, end: 0.3, until: 0.5, unit: run}"),
        keys=("margin.m", "margin.scale"),
    )
