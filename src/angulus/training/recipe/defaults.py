"""What a recipe leaves open, filled from the data and the device, with the reason for each choice.

The rules are heuristics from small and medium sets; every one can be overridden in the recipe.
"""

import math
from dataclasses import replace

import torch

from angulus.data.loading.augmentation import Augment
from angulus.errors import ConfigError
from angulus.margins import ArcFace, Linear
from angulus.models import InputSpec, IResNet18, ModelConfig, TinyNet
from angulus.training.datasets import Data, Identities, Member, NoisyData, OmniglotData, UnionData
from angulus.training.experiment import SGD, Experiment
from angulus.training.recipe.data_sources import image_shape
from angulus.training.recipe.first_weights import network_in
from angulus.training.recipe.identity_rules import FEWEST


def choose_device(name: str) -> torch.device:
    """ "auto" is the first CUDA device where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name} was asked for, but no CUDA device is here; set device=cpu or device=auto")
    return device


def choose_model(device: torch.device, image: tuple[int, int]) -> ModelConfig:
    """A network that the device can train in reasonable time, for images of this shape (height, width).

    TinyNet with sides of 64 on a CPU, IResNet-18 with 112 on a GPU; the shorter side follows the images.
    """
    longest = 112 if device.type == "cuda" else 64
    height, width = (max(16, round(longest * side / max(image))) for side in image)
    spec = InputSpec(height=height, width=width)
    return IResNet18(input=spec) if device.type == "cuda" else TinyNet(input=spec)


def margin_scale(num_classes: int) -> float:
    """A scale for ArcFace and AM-Softmax: 3.4 log(C), between 16 and 64, rounded.

    24 for a thousand classes, where 64 over-sharpens; 64 is the published choice for a hundred thousand and more.
    """
    return float(min(64, max(16, round(3.4 * math.log(max(num_classes, 2))))))


def epochs_for(num_images: int, device: torch.device) -> int:
    """Passes over the data: about 150 thousand examples on a CPU, 4 million on a GPU, between 6 and 40 passes."""
    target = 4_000_000 if device.type == "cuda" else 150_000
    return min(40, max(6, math.ceil(target / max(num_images, 1))))


def with_model(experiment: Experiment, device: torch.device) -> Experiment:
    """The experiment with its model chosen, which must happen before the data is opened at the model's size.

    Where `init` names weights, it is their network.
    """
    if experiment.model is not None:
        return experiment
    if experiment.init is not None:
        return replace(experiment, model=network_in(experiment.init))
    return replace(experiment, model=choose_model(device, image_shape(experiment.data)))


def filled(experiment: Experiment, num_images: int, num_classes: int, device: torch.device) -> Experiment:
    """The experiment with nothing left open."""
    train, optim = experiment.train, experiment.optim
    if train.epochs is None:
        train = replace(train, epochs=epochs_for(num_images, device))
    if optim.lr is None:
        rate = min(0.1, 0.1 * train.batch_size / 256) if isinstance(optim, SGD) else 1e-3
        optim = replace(optim, lr=rate)
    margin = experiment.margin
    if margin is None:
        margin = ArcFace(
            scale=margin_scale(num_classes), m=Linear(start=0.0, end=0.3, begin=0.0, until=0.5, unit="run")
        )
    return replace(experiment, data=with_fewest(experiment.data), train=train, optim=optim, margin=margin)


def with_fewest(data: Data) -> Data:
    """The data with min_images filled in: 2, and 1 for a set in a union, whose own rule comes after it."""
    if isinstance(data, NoisyData):
        return replace(data, identities=rules_with(data.identities, FEWEST))
    if not isinstance(data, UnionData):
        return member_with(data, FEWEST)
    sets = {name: member_with(member, 1) for name, member in data.sets.items()}
    return replace(data, sets=sets, identities=rules_with(data.identities, FEWEST))


def member_with(data: Member, fewest: int) -> Member:
    return replace(data, identities=rules_with(data.identities, fewest))


def rules_with(rules: Identities, fewest: int) -> Identities:
    return rules if rules.min_images is not None else replace(rules, min_images=fewest)


def plain_augment(experiment: Experiment) -> Augment:
    """The augmentation of the recipe, without mirror images where they are other identities (characters)."""
    data = experiment.data.base if isinstance(experiment.data, NoisyData) else experiment.data
    sets = data.sets.values() if isinstance(data, UnionData) else (data,)
    has_characters = any(isinstance(one, OmniglotData) for one in sets)
    return replace(experiment.augment, flip=0.0) if has_characters else experiment.augment
