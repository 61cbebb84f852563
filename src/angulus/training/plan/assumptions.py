"""What a plan begins with: machine, network and data as they are, or as the user pretends that they were."""

from dataclasses import dataclass, replace

import torch

from angulus.errors import ConfigError, DataError
from angulus.models import EmbeddingModel
from angulus.training.experiment import Experiment
from angulus.training.plan.footprint import data_bytes
from angulus.training.plan.machine import Machine, bytes_of, machine_of
from angulus.training.recipe.data_sources import Sources, found_sources, keeps_decoded
from angulus.training.recipe.defaults import choose_device, with_model
from angulus.training.recipe.first_weights import with_fits


@dataclass(frozen=True, kw_only=True)
class Pretended:
    """What is assumed instead of looked up. memory: as in "80GB"."""

    classes: int | None = None
    images: int | None = None
    memory: str | None = None
    processes: int | None = None

    def __post_init__(self) -> None:
        for name in ("classes", "images", "processes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"--{name} must be at least 1, got {value}")


def where(name: str, pretended: Pretended, processes: int) -> tuple[torch.device, Machine]:
    """Where things are tried out, and the memory that is planned for."""
    wanted = "cuda" if name.startswith("cuda") else "cpu"
    if pretended.memory is not None:
        size = bytes_of(pretended.memory)
        kind = "cuda" if name == "auto" and torch.cuda.is_available() else wanted
        sharing = processes if kind == "cpu" else 1
        machine = Machine(device=kind, name=f"{kind}, pretended", total=size, free=size // sharing, here=False)
        return torch.device("cpu"), machine
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name} is not here; say how much memory it has, as in --memory 80GB")
    device = choose_device(name)
    return device, machine_of(device, sharing=processes)


def chosen_model(experiment: Experiment, device: torch.device, pretended: Pretended) -> Experiment:
    try:
        experiment = with_model(experiment, device)
    except DataError:
        if pretended.classes is None:
            raise
        raise ConfigError(
            "without the data at hand the network cannot be chosen; name one, as model=iresnet50"
        ) from None
    try:
        return with_fits(experiment)
    except DataError:
        if pretended.classes is None:
            raise
        return experiment


def found(experiment: Experiment, model: EmbeddingModel, pretended: Pretended) -> Sources | None:
    """The data, None where it is not needed or is not there and need not be."""
    if pretended.classes is not None and pretended.images is not None:
        return None
    try:
        return found_sources(experiment, model.input)
    except DataError as error:
        if pretended.classes is None:
            raise DataError(f"{error}; or plan without the data, as in --classes 100000") from error
        return None


def with_images(pretended: Pretended, sources: Sources | None) -> tuple[Pretended, bool]:
    """Other people than there are have as many images each as those who are; whether that was assumed."""
    if pretended.classes is None or pretended.images is not None or sources is None:
        return pretended, False
    each = len(sources.train) / len(sources.train.identities)
    return replace(pretended, images=max(1, round(each * pretended.classes))), True


def decoded(experiment: Experiment, model: EmbeddingModel, sources: Sources | None, pretended: Pretended) -> int:
    """Bytes of images that stay in memory."""
    if pretended.images is not None:
        size = pretended.images * torch.Size(model.input.shape).numel()
        return size if keeps_decoded(size, experiment) else 0
    return 0 if sources is None else data_bytes(sources, experiment, model.input.shape)
