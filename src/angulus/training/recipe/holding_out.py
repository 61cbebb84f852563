"""Who is held out of a run: a part of the people, each fold of them in turn, or nobody; and whether that can be."""

import shlex
from dataclasses import replace
from pathlib import Path

from angulus.data import Source, Subset, counts_of, split_identities
from angulus.data.examples import account_of, noun_of
from angulus.data.views.split import wished
from angulus.errors import ConfigError, DataError
from angulus.plain_numbers import counted, several
from angulus.training.datasets import FolderData, Identities, NoisyData, UnionData
from angulus.training.experiment import Experiment, HoldOut

FEW = 10
"""Fewer people than these are verified in folds: a fifth of them would be one person."""
FEW_TO_LEARN_FROM = 200
"""Fewer people than these are told that trained weights are better: a judgement (benchmarks/few_people.py)."""
FEWEST = 4
"""Fewer people than these make no two folds of two."""


def hold_out_of(experiment: Experiment, whole: Source) -> HoldOut:
    """Who is verified, never "auto". whole: the people of the recipe, after its rules and before any split.

    Raises DataError where there are too few people for what is asked, and ConfigError for a set that has no folds.
    """
    asked, data, people = experiment.evaluation.hold_out, experiment.data, len(whole.identities)
    check_people(whole)
    if asked in ("folds", "nobody") and (isinstance(data, NoisyData) or is_separate(data)):
        raise ConfigError(
            f"evaluation.hold_out must be part or auto for a noisy set and for separate heads, got {asked}"
        )
    if asked == "folds" and people < FEWEST:
        raise DataError(
            f"evaluation.hold_out=folds needs {FEWEST} people, two in each of two folds, and there are {people}; set "
            "evaluation.hold_out=nobody to train on all of them, without a figure on people who were not seen"
        )
    if asked != "auto":
        return asked
    if people >= FEW or has_own_parts(data.identities) or isinstance(data, NoisyData) or is_separate(data):
        return "part"
    if people >= FEWEST:
        return "folds"
    if experiment.init is None:
        raise DataError(too_few(experiment, whole))
    return "nobody"


def check_folds(hold_out: HoldOut, processes: int) -> None:
    """Raise ConfigError where folds are to be trained by several processes."""
    if hold_out == "folds" and processes > 1:
        raise ConfigError(
            f"people are few and verified in folds (evaluation.hold_out), which are trained in one process, got "
            f"{processes}; start one process, or set evaluation.hold_out=nobody"
        )


def check_people(whole: Source) -> None:
    """Raise DataError where there are no two people."""
    many = several(noun_of(whole))
    if len(whole.identities) < 2:
        raise DataError(
            f"there is one person with two {many} or more ({whole.identities[0]}, {len(whole)} {many}), and to tell "
            f"people apart takes two at least: add a folder of {many} for each further person{left_out(whole)}"
        )


def left_out(whole: Source) -> str:
    """Who is not among these people and why, as an addition to a message."""
    reasons = [drop.line(noun_of(whole)) for drop in account_of(whole).drops if drop.identities]
    return f" (left out: {'; '.join(reasons)})" if reasons else ""


def too_few(experiment: Experiment, whole: Source) -> str:
    """Why so few people are not trained on from random weights, and what to do."""
    people = len(whole.identities)
    place = f"data.path={shlex.quote(str(experiment.data.path))} " if isinstance(experiment.data, FolderData) else ""
    return (
        f"{people} people are too few to train a network from nothing: it would not learn what makes people differ. "
        f"Start from trained weights: angulus train {place}init=FILE; or go on regardless: evaluation.hold_out=nobody"
        f"{left_out(whole)}"
    )


def advice(experiment: Experiment, people: int) -> tuple[str, ...]:
    """What to say before a run that learns from nothing from fewer people than that is worth."""
    if experiment.init is not None or people >= FEW_TO_LEARN_FROM or not isinstance(experiment.data, FolderData):
        return ()
    return (
        f"{people} people are few to learn from nothing; trained weights are likely far better:",
        f"angulus train data.path={shlex.quote(str(experiment.data.path))} init=FILE",
    )


def has_own_parts(rules: Identities) -> bool:
    """Whether the recipe says itself which parts there are."""
    plain = Identities()
    return any(getattr(rules, name) != getattr(plain, name) for name in ("parts", "train_on", "evaluate_on"))


def is_separate(data: object) -> bool:
    return isinstance(data, UnionData) and data.is_separate


def fold_parts(whole: Source, experiment: Experiment) -> tuple[Subset, ...]:
    """The people in folds of at least two.

    Raises DataError where one has nothing to verify.
    """
    shares = fold_shares(experiment, len(whole.identities))
    rules = experiment.data.identities
    parts = split_identities(whole, shares, seed=rules.split_seed, shares="exact", fewest=2)
    for name, part in parts.items():
        check_comparable(part, f"{name} of {people_counted(whole)}", rules)
    return tuple(parts.values())


def fold_shares(experiment: Experiment, people: int) -> dict[str, float]:
    """The folds as parts of a recipe, by name, with equal shares."""
    count = min(experiment.evaluation.folds, people // 2)
    return {f"fold{number}": 1 / count for number in range(1, count + 1)}


def fold_runs(experiment: Experiment, people: int, folder: Path) -> list[Experiment]:
    """The run of each fold: trained without it and verified on it, by the recipe of the whole run, in `folder`/folds.

    experiment: with nothing left open.  people: that are trained on in the whole run.
    """
    shares, plain = fold_shares(experiment, people), experiment.data.identities
    runs: list[Experiment] = []
    for name in shares:
        others = tuple(other for other in shares if other != name)
        rules = replace(plain, parts=shares, shares="exact", train_on=others, evaluate_on=name)
        data = replace(experiment.data, identities=rules)
        evaluation = replace(experiment.evaluation, hold_out="part", also={})
        runs.append(replace(experiment, data=data, evaluation=evaluation, out=folder / "folds" / name))
    return runs


def told(hold_out: HoldOut, folds: int) -> tuple[str, ...]:
    """What a reader must know where the figures are not those of the saved model on people who were held out."""
    if hold_out == "folds":
        return (
            f"the figures are from {folds} models trained without the people they are verified on (in folds/); the "
            "saved model has seen everybody",
        )
    if hold_out == "nobody":
        return ("nobody was held out: no figure says how good the model is on people it has not seen",)
    return ()


def check_comparable(source: Source, name: str, rules: Identities | None = None) -> None:
    """Raise DataError now, not after hours of training, where there is nothing to verify. rules: that split the set."""
    if is_comparable(source):
        return
    counts = counts_of(source)
    advice = f"give it more people or {several(noun_of(source))}"
    if rules is not None:
        advice = (
            f"with data.identities.parts {wished(rules.parts)} and split_seed {rules.split_seed}, give it a larger "
            "share or another seed, add people, or (but for noisy sets and separate heads) set evaluation.hold_out to "
            "folds or nobody"
        )
    raise DataError(
        f"{name} has {people_counted(source)}, at most {counts.max()} of one; to verify takes two people, one of them "
        f"with two {several(noun_of(source))}: {advice}"
    )


def is_comparable(source: Source) -> bool:
    """Whether there are two identities, and one with two images."""
    counts = counts_of(source)
    return len(counts) >= 2 and int(counts.max()) >= 2


def people_counted(source: Source) -> str:
    """For example: 8 identities with 32 images."""
    return f"{counted(len(source.identities), 'identity')} with {counted(len(source), noun_of(source))}"
