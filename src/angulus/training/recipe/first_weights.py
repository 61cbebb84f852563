"""Where a backbone begins: what `init` names, and what a recipe that is silent takes from it.

`init` is a file of weights, a model that Angulus saved (a folder or either of its files), or the folder of a run,
of which the model at the end is taken. Where the recipe names no network, the file's own is built: its layers, the
size of its input, its colour order, mean and standard deviation.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from angulus.data.examples import Fit, Size, fit_that_suits
from angulus.errors import ConfigError, DataError, ModelError
from angulus.json_files import read_json
from angulus.models import (
    MODELS,
    EmbeddingModel,
    InputSpec,
    ModelConfig,
    config_from_dict,
    config_to_dict,
    import_weights,
    load_model,
    read_description,
    recognise,
)
from angulus.models.imports import read_foreign
from angulus.models.weights import fill
from angulus.storage import arrived
from angulus.training.datasets import Data, FolderData, Member, NoisyData, StoredData, UnionData
from angulus.training.experiment import Experiment
from angulus.training.recipe.data_sources import image_shape

log = logging.getLogger(__name__)

# What a set's own preparation says beside the size of its input.
_PREPARING = (
    "colour",
    "mean",
    "std",
    "content",
    "rate",
    "bands",
    "window",
    "preemphasis",
    "normalise",
    "offset",
    "scale",
)
_FITS = ("crop", "resize", "error")  # what a run may say for others; "proportional" is what suits anyway


def model_in(path: Path) -> Path:
    """The file of weights or the saved model that `init` names. Raises ConfigError where there is none."""
    path = arrived(path)
    if not path.exists():
        raise ConfigError(f"init: there is no model {path}: name a file of weights, or the folder of a model or a run")
    if not path.is_dir():
        return path
    for place in (path, path / "model", path / "best"):
        if (place / "model.json").is_file():
            return place
    if (path / "recipe.json").is_file():
        raise ConfigError(f"init: the run {path} has no model yet; finish it with: angulus train --resume {path}")
    raise ConfigError(f"init: {path} is a folder without a model (model.json) and without a run (recipe.json)")


def is_saved_model(path: Path) -> bool:
    """Whether a path is a model that Angulus saved (a folder or one of its two files), not foreign weights."""
    return path.is_dir() or path.name in ("model.json", "model.safetensors")


def network_in(init: Path) -> ModelConfig:
    """The network in a file of weights, a saved model or a run, with its input. Raises ConfigError."""
    place = model_in(init)
    try:
        if not is_saved_model(place):
            return recognise(read_foreign(place), str(place))
        described = read_description(place)["model"]
        if ":" in str(described.get("name")):
            raise ModelError(
                f"{place} is a network of your own, {described['name']}; name it in the recipe with its settings, as "
                f"model={described['name']}"
            )
        return config_from_dict(described, where=str(place))
    except ModelError as error:
        raise ConfigError(f"init: {error}") from error


def first_network(config: ModelConfig, init: Path) -> EmbeddingModel:
    """The network of a config with the weights of `init`. Raises ConfigError where they are not of this network."""
    place = model_in(init)
    try:
        model = _saved(config, place) if is_saved_model(place) else import_weights(place, config)
    except ModelError as error:
        raise ConfigError(f"init: {error}{_remedy(config, init)}") from error
    _tell_input(config, place)
    return model


def _saved(config: ModelConfig, place: Path) -> EmbeddingModel:
    own = config_to_dict(config)["name"]
    configs = MODELS if own in MODELS else {**MODELS, own: type(config)}
    model = load_model(place, configs=configs)
    if model.input != config.input or model.embedding_dim != config.embedding_dim:
        raise ModelError(f"{place} holds {_in_words(model)}, but the recipe's model says {_in_words(config)}")
    if config_from_dict(read_description(place)["model"], configs, where=str(place)) == config:
        return model
    other = config.build()  # the recipe differs in what no weight shows, as dropout, or does not fit
    fill(other, model.state_dict(), str(place))
    return other.eval()


def _in_words(network: ModelConfig | EmbeddingModel) -> str:
    spec = network.input
    scaled = f" with mean {spec.mean}, std {spec.std}" if isinstance(spec, InputSpec) else ""
    return f"a network for {spec.describe()}{scaled} and {network.embedding_dim} dimensions"


def _remedy(config: ModelConfig, init: Path) -> str:
    """What to do where a recipe names a network, and `init` holds another that would have been taken from it."""
    try:
        network = network_in(init)
    except ConfigError:
        return ""
    found = config_to_dict(network)
    changed = [
        f"{name} {found[name]}"
        for name in ("name", "depth", "embedding_dim")
        if name in found and found[name] != config_to_dict(config).get(name)
    ]
    said = ", ".join([*changed, f"input {network.input.describe().removesuffix(' images')}"])
    return f"; leave model out to take the network from the file ({said})"


def _tell_input(config: ModelConfig, place: Path) -> None:
    """Warn where a recipe prepares images otherwise than the file's family does."""
    if is_saved_model(place):
        return
    try:
        known = network_in(place).input
    except ConfigError:
        return  # a network that only the recipe knows
    names = [name for name in _PREPARING if getattr(known, name, None) != getattr(config.input, name, None)]
    if names:
        said = ", ".join(f"{name} {getattr(config.input, name)} instead of {getattr(known, name)}" for name in names)
        log.warning("model.input is not what %s was trained with, as far as is known: %s", place, said)


def fit_of_run(path: Path) -> Fit | None:
    """How the images that a run was trained on were brought to size; None where that is not known."""
    try:
        data = read_json(path / "recipe.json")["data"]
        fit = data.get("base", data).get("fit")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # whoever needs the recipe says what is wrong with it
    return fit if fit in ("proportional", "resize", "crop", "error") else None


def with_fits(experiment: Experiment) -> Experiment:
    """The experiment with every data.fit chosen: as suits the images and the network where weights came from `init`.

    Raises DataError where images have another shape than the network takes.
    """
    if experiment.init is None or experiment.model is None:
        return _all_fits(experiment, lambda data: "proportional")
    spec = experiment.model.input
    if not isinstance(spec, InputSpec):
        return _all_fits(experiment, lambda data: "proportional")
    size = (spec.height, spec.width)
    run = experiment.init.parent if experiment.init.name in ("model", "best") else experiment.init
    before = fit_of_run(run)
    return _all_fits(experiment, lambda data: before if before in _FITS else _suiting(data, size))


def _all_fits(experiment: Experiment, choose: Any) -> Experiment:
    evaluation = experiment.evaluation
    also = {name: _with_fit(data, choose) for name, data in evaluation.also.items()}
    return replace(
        experiment,
        data=_with_fit(experiment.data, choose),
        evaluation=replace(evaluation, also=also) if also else evaluation,
    )


def _with_fit(data: Data, choose: Any) -> Any:
    if isinstance(data, NoisyData):
        outside = None if data.outside is None else _with_fit(data.outside, choose)
        return replace(data, base=_with_fit(data.base, choose), outside=outside)
    if isinstance(data, UnionData):
        return replace(data, sets={name: _with_fit(member, choose) for name, member in data.sets.items()})
    if not isinstance(data, FolderData | StoredData) or data.fit is not None:
        return data
    return replace(data, fit=choose(data))


def _suiting(data: Member, size: Size) -> Fit:
    shape = image_shape(data)
    fit = fit_that_suits(shape, size)
    if fit is None:
        raise DataError(
            f"the first image of {getattr(data, 'path', 'the data')} is {shape[0]}x{shape[1]} (height x width) and the "
            f"network of init takes {size[0]}x{size[1]}, another shape; crop the photos alike with angulus align, or "
            "say how to bring them there with data.fit=resize or data.fit=crop"
        )
    return fit
