"""What a recipe that begins with the weights of `init` leaves open, filled with the reason for each choice.

Such a network is good already, so that the first danger is to make it worse: with class weights that begin at random
its first gradients are those of a wrong head, and batch norm takes over the statistics of a few photos. Hence the class
weights begin at the mean embeddings, move alone for a while and then faster than the network. The figures were set
beforehand and checked by `benchmarks/fine_tuning.py`, not searched for; docs/fine_tuning.md has its table.
"""

import math
from dataclasses import replace
from typing import Any

import torch

from angulus.errors import ConfigError
from angulus.plain_numbers import counted
from angulus.training.experiment import Experiment, FineTuning
from angulus.training.recipe.choices import Choice

BACKBONE_RATE = 0.1
HEAD_EPOCHS = 1
FEW_IMAGES = 10_000
"""Below so many training images batch norm keeps the statistics of the weights that `init` names."""
NEUTRAL = {"backbone_rate": 1.0, "head_epochs": 0}
"""What runs without `init` do, and did before the fields were there."""


def with_fine_tuning(experiment: Experiment, num_images: int, device: torch.device) -> tuple[Experiment, list[Choice]]:
    """The experiment with the fields filled that depend on weights to begin with, and what was chosen."""
    if experiment.init is None:
        return plain(experiment), []
    return chosen(experiment, num_images, device)


def plain(experiment: Experiment) -> Experiment:
    """The fields as they are where a network begins at random."""
    tuning, head, train = experiment.fine_tuning, experiment.head, experiment.train
    return replace(
        experiment,
        fine_tuning=FineTuning(backbone_rate=_or(tuning.backbone_rate, 1.0), head_epochs=_or(tuning.head_epochs, 0)),
        head=replace(head, from_data=_or(head.from_data, False)),
        train=replace(train, batch_norm=_or(train.batch_norm, "local")),
    )


def chosen(experiment: Experiment, num_images: int, device: torch.device) -> tuple[Experiment, list[Choice]]:
    """The fields for a network that begins with weights; what the recipe says is kept."""
    choices: list[Choice] = []
    tuning, head, train = experiment.fine_tuning, experiment.head, experiment.train

    def choose(key: str, value: Any, reason: str) -> Any:
        choices.append(Choice(key=key, value=value, reason=reason))
        return value

    if head.from_data is None and head.weights_from is None:
        reason = "class weights begin at mean embeddings, since the network knows where people lie"
        head = replace(head, from_data=choose("head.from_data", True, reason))
    if tuning.backbone_rate is None:
        reason = "the network is good and the head is new"
        tuning = replace(tuning, backbone_rate=choose("fine_tuning.backbone_rate", BACKBONE_RATE, reason))
    passes = train.epochs
    if passes is None:
        wanted, least = epochs_for_tuning(num_images, device), (tuning.head_epochs or 0) + 1
        passes = max(wanted, least, train.average_last)
    if (tuning.head_epochs or 0) > passes:
        raise ConfigError(
            f"fine_tuning.head_epochs must be at most train.epochs, {passes}, got {tuning.head_epochs}: the class "
            "weights would move alone for longer than the run lasts"
        )
    if tuning.head_epochs is None:
        reason = "a head that has not settled moves no network" if passes > HEAD_EPOCHS else "there is one pass alone"
        alone = min(HEAD_EPOCHS, passes - 1)
        tuning = replace(tuning, head_epochs=choose("fine_tuning.head_epochs", alone, reason))
    if train.batch_norm is None:
        is_few = num_images < FEW_IMAGES
        reason = f"{counted(num_images, experiment.noun)}, {'fewer' if is_few else 'no fewer'} than {FEW_IMAGES:,}"
        train = replace(train, batch_norm=choose("train.batch_norm", "frozen" if is_few else "local", reason))
    if train.epochs is None:
        train = replace(train, epochs=choose("train.epochs", passes, "most is learned already"))
    head = replace(head, from_data=_or(head.from_data, False))  # other weights are taken over
    return replace(experiment, fine_tuning=tuning, head=head, train=train), choices


def epochs_for_tuning(num_images: int, device: torch.device) -> int:
    """Passes over the data: about 2 thousand examples on a CPU, 400 thousand on a GPU, between 3 and 20 passes."""
    target = 400_000 if device.type == "cuda" else 2_000
    return min(20, max(3, math.ceil(target / max(num_images, 1))))


def _or(value: Any, other: Any) -> Any:
    return other if value is None else value
