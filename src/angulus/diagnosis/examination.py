"""All rules in the order in which their findings should be acted on: causes before what they cause."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from angulus.diagnosis.findings import Diagnosis, Finding
from angulus.diagnosis.generalisation import overfitting
from angulus.diagnosis.images import augmentation, few_images, few_people, long_tail, preprocessing
from angulus.diagnosis.labels import class_mixed, labels_noisy, labels_random, people_known, person_split
from angulus.diagnosis.optimisation import batch_norm, data_bound, rate_high, rate_low
from angulus.diagnosis.records import Record, read_record
from angulus.diagnosis.softmax import margin_early, scale_large, scale_small
from angulus.diagnosis.wording import worded_finding

Rule = Callable[[Record], Finding | None]
NOT_AS_WRITTEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
"""What a rule meets in lines that a run did not write, or that were changed."""
RULES: tuple[Rule, ...] = (
    people_known,
    preprocessing,
    labels_random,
    scale_small,
    batch_norm,
    rate_high,
    margin_early,
    rate_low,
    few_people,
    scale_large,
    augmentation,
    long_tail,
    labels_noisy,
    class_mixed,
    person_split,
    few_images,
    overfitting,
    data_bound,
)
EXPLAINS: dict[str, tuple[str, ...]] = {
    "preprocessing": ("rate_high", "margin_early", "labels_noisy", "class_mixed", "person_split", "overfitting"),
    "labels_random": (
        "margin_early",
        "rate_high",
        "rate_low",
        "labels_noisy",
        "class_mixed",
        "person_split",
        "overfitting",
    ),
    "scale_small": ("labels_noisy", "class_mixed", "person_split", "rate_low", "rate_high"),
    "margin_early": ("labels_noisy", "class_mixed", "person_split", "rate_high", "rate_low", "long_tail"),
    "rate_high": (
        "margin_early",
        "labels_noisy",
        "class_mixed",
        "person_split",
        "overfitting",
        "long_tail",
        "people_known",
    ),
    "rate_low": ("labels_noisy", "class_mixed", "person_split", "long_tail"),
    "batch_norm": ("margin_early", "labels_noisy", "class_mixed", "person_split", "overfitting"),
    "labels_noisy": ("class_mixed", "overfitting"),
    "long_tail": ("labels_noisy",),
    "few_images": ("scale_large", "labels_noisy", "overfitting", "class_mixed", "person_split"),
}
"""What follows from a finding and is not told beside it."""


def examine(record: Record) -> Diagnosis:
    """All that the rules find in a record, the first to act on first."""
    found: list[Finding] = []
    unread: list[str] = []
    stages = record.by_stage()
    for rule in RULES:
        try:
            finding = first_finding(rule, stages)
        except NOT_AS_WRITTEN:
            unread.append(rule.__name__)
        else:
            found += [] if finding is None else [worded_finding(finding, record)]
    explained: set[str] = set()
    kept: list[Finding] = []
    for finding in found:
        if finding.name not in explained:
            kept.append(finding)
            explained |= set(EXPLAINS.get(finding.name, ()))
    damaged = f"lines of the record are not as a run writes them, and {', '.join(unread)} could not be looked for"
    return Diagnosis(findings=tuple(kept), notes=(*record.notes, *([damaged] if unread else [])))


def first_finding(rule: Rule, stages: Sequence[tuple[str, Record]]) -> Finding | None:
    """What a rule finds in the first stage of a run in which it finds something."""
    for name, record in stages:
        finding = rule(record)
        if finding is not None and record is not stages[0][1]:
            return replace(finding, evidence=f"in the stage {name}: {finding.evidence}")
        if finding is not None:
            return finding
    return None


def diagnose(folder: Path) -> Diagnosis:
    """What is wrong with the run in a folder, finished or not. Raises CheckpointError where there is no run."""
    return examine(read_record(Path(folder)))
