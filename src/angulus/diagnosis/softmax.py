"""Rules about scale and margin: too large, too small, a margin that comes before the network can bear it.

They look at the share of a softmax and at its logits: binary losses, with a classifier for each class, are left out.
"""

import statistics

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.optimisation import progress_of
from angulus.diagnosis.records import Record

BEST_MASS = 0.8
CERTAIN = 0.3
"""By how much the share of the softmax may exceed the own cosine; in healthy runs 0.15 at most."""
STUCK = 0.15
ONE_SIDE = 0.8
FEW_ROWS = 3
"""A run of fewer stretches does not tell a margin that was there at once from one that grew."""


def scale_small(record: Record) -> Finding | None:
    """Even perfect embeddings would leave the softmax in doubt: the loss has a floor."""
    mass, floor = record.start.get("best_mass"), record.start.get("least_loss")
    if mass is None or mass > BEST_MASS:
        return None
    classes = record.start["classes"]
    return Finding(
        name="scale_small",
        title="The scale is too small",
        severity="harms",
        evidence=(
            f"with a scale of {record.start['scale']:g}, {classes} classes and this margin the loss cannot come below "
            f"{floor:.2f}: perfect embeddings get {mass:.0%} of the softmax{last_loss(record)}"
        ),
        advice=f"raise margin.scale to {needed_scale(classes):.0f} or more",
        keys=("margin.scale",),
    )


def needed_scale(classes: int) -> float:
    """A scale at which half of the way to a perfect embedding is enough for 95 % of the softmax."""
    import math

    return max(8.0, 2 * math.log(19 * max(classes - 1, 1)) / 1.6)


def last_loss(record: Record) -> str:
    return f", and it came to {record.stretches[-1]['loss']:.2f}" if record.stretches else ""


def is_bounded_softmax(record: Record) -> bool:
    """Whether the loss is a softmax of cosines. Runs of before there were others do not say so."""
    return not record.start.get("free") and record.start.get("reduction", "softmax") == "softmax"


def scale_large(record: Record) -> Finding | None:
    """The softmax is certain while embeddings are far from their class weights: little more is learned."""
    rows = record.stretches
    if not rows or not is_bounded_softmax(record) or rows[-1]["mass"] - rows[-1]["own"] < CERTAIN:
        return None
    last = rows[-1]
    return Finding(
        name="scale_large",
        title="The scale is too large",
        severity="harms",
        evidence=(
            f"with a scale of {last['scale']:g} the own class has {last['mass']:.0%} of the softmax at an own cosine "
            f"of only {last['own']:.2f}: what is left of the gradient does not turn embeddings to their class"
        ),
        advice="lower margin.scale, or leave it to the number of classes: margin.scale=auto",
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
