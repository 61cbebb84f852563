"""Rules about the steps: rates too high and too low, batch norm over a few images, waiting for data."""

import statistics

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.records import Record, Row

HIGH_STEP = 0.25
"""A step that moves the weights of the network by so much of their length; healthy runs stay below half of it.

Half is enough where the loss ends above that of a random network: long steps have made the weights long.
"""
LOW_STEP = 1e-3
LEARNED = 0.5
"""Of the way from the first loss to the least: a run that came so far has learned."""
FEW_IMAGES = 6
WAITING = 0.3


def rate_high(record: Record) -> Finding | None:
    """The loss is not finite, or does not come below its beginning while the steps are long."""
    rate, peak = record.setting("optim.lr"), peak_step(record)
    advice = "lower optim.lr to a tenth"
    if record.setting("train.clip_norm") is None:
        advice += ", and set train.clip_norm=5"
    title = "The learning rate is too high"
    keys = ("optim.lr", "train.clip_norm", "learning_rate.warmup_epochs")
    if record.failure is not None:
        evidence = f"training stopped at a loss or gradient that is not finite, with a rate of {rate:g}"
        return Finding(name="rate_high", title=title, severity="stops", evidence=evidence, advice=advice, keys=keys)
    progress = progress_of(record)
    if progress is None or peak is None or progress > 0.25 or peak < (HIGH_STEP if progress > 0 else HIGH_STEP / 2):
        return None
    evidence = (
        f"a step moved the network by up to {peak:.1%} of its weights, and the loss came {progress:.0%} of the way "
        f"from {record.start['first_loss']:.2f} (a random network) to the least that is possible"
    )
    return Finding(name="rate_high", title=title, severity="stops", evidence=evidence, advice=advice, keys=keys)


def rate_low(record: Record) -> Finding | None:
    """The loss hardly moved, and the steps are so short that it could not."""
    progress, peak = progress_of(record), peak_step(record)
    if progress is None or peak is None or progress > LEARNED or peak > LOW_STEP:
        return None
    is_slowed = record.setting("fine_tuning.backbone_rate", 1.0) < 1
    tuning = ", or fine_tuning.backbone_rate (0.1 is usual)" if is_slowed else ""
    return Finding(
        name="rate_low",
        title="The learning rate is too low",
        severity="stops",
        evidence=(
            f"the longest step moved the network by {peak:.1e} of its weights, so that "
            f"{record.start['steps']:,} of them change little; the loss came {progress:.0%} of the way"
        ),
        advice=f"raise optim.lr ten- to a hundredfold (0.1 for sgd and 0.001 for adamw are usual){tuning}",
        keys=("optim.lr", *(["fine_tuning.backbone_rate"] if is_slowed else []), "train.epochs"),
    )


def batch_norm(record: Record) -> Finding | None:
    """The statistics of batch norm come from a few images."""
    images = record.start.get("pass")
    if not record.start.get("batch_norm") or record.setting("train.batch_norm") == "frozen":
        return None
    if images is None or images >= FEW_IMAGES:
        return None
    are_apart = record.start.get("processes", 1) > 1 and record.setting("train.batch_norm") != "synchronised"
    each, together = (" in each process", "synchronised or ") if are_apart else ("", "")
    return Finding(
        name="batch_norm",
        title="Batch norm sees too few images at once",
        severity="harms",
        evidence=f"its mean and variance come from {images} images a pass{each}{training_gap(record)}",
        advice="raise train.batch_size to 32 or more, lower train.accumulate, or take "
        f"train.batch_norm={together}frozen",
        keys=("train.batch_size", "train.accumulate", "train.batch_norm"),
    )


def training_gap(record: Record) -> str:
    """How far own cosines in evaluation lie from those in training, in words."""
    judged, stretches = record.of("judged"), record.stretches
    if not judged or not stretches or judged[-1].get("trained/own") is None or record.start.get("free"):
        return ""
    return (
        f"; the own cosine is {stretches[-1]['own']:.2f} in training and {judged[-1]['trained/own']:.2f} for images of "
        "the same people in use"
    )


def data_bound(record: Record) -> Finding | None:
    """The network had nothing to compute for a large share of the time."""
    shares = [row["waiting_for_data"] for row in record.logged if row.get("waiting_for_data") is not None]
    if len(shares) < 2 or shares[-1] < WAITING:
        return None
    return Finding(
        name="data_bound",
        title="Training waits for its data",
        severity="costs",
        evidence=f"for {shares[-1]:.0%} of the time there was nothing to compute, because images came late",
        advice="raise train.workers, keep images in memory (train.cache=memory), or convert them (angulus convert --to "
        "packed) at the size of the network's input",
        keys=("train.workers", "train.cache"),
    )


# What the rules above and others ask


def progress_of(record: Record) -> float | None:
    """How far the loss came from a random network's to the least possible, in the last fifth of the run; 1 is all.

    None before a third of the run is done, or where the losses have no bounds.
    """
    first, least, steps = (record.start.get(name) for name in ("first_loss", "least_loss", "steps"))
    rows = [row for row in record.stretches if row["examples"]]
    if (
        first is None
        or least is None
        or steps is None
        or not rows
        or rows[-1]["step"] < steps / 3
        or first - least < 1e-6
    ):
        return None
    last = [row["loss"] for row in rows if row["step"] > 0.8 * rows[-1]["step"]]
    return (first - statistics.fmean(last)) / (first - least)


def step_length(record: Record, row: Row) -> float | None:
    """By how much of its length a step moved the weights of the backbone: of a stretch, at its highest rate.

    None where the backbone rested. The rate of a stretch is that of the head.
    """
    slopes, weights = row.get("slopes"), row.get("weights")
    if not slopes or not weights or not weights["backbone"]:
        return None
    rate, slope = row["rate"], slopes["backbone"]
    if record.setting("optim.name") == "adamw" or row["step"] <= rested_until(record):
        return None
    rate = rate * record.setting("fine_tuning.backbone_rate", 1.0)
    clip = record.setting("train.clip_norm")
    slope = slope if clip is None else min(slope, clip)
    return rate * slope / (1 - record.setting("optim.momentum", 0.0)) / weights["backbone"]


def rested_until(record: Record) -> float:
    """The step up to which the head learned alone."""
    epochs, alone = record.setting("train.epochs"), record.setting("fine_tuning.head_epochs", 0)
    steps = record.start.get("steps")
    return alone * steps / epochs if alone and epochs and steps else 0.0


def peak_step(record: Record) -> float | None:
    lengths = [length for row in record.stretches if (length := step_length(record, row)) is not None]
    return max(lengths, default=None)
