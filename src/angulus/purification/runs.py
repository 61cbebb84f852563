"""A finished run as purification needs it: its recipe, its network and class centers of one moment, its images."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from angulus.config import load
from angulus.data import Source
from angulus.errors import CheckpointError, ConfigError
from angulus.json_files import read_json
from angulus.models import EmbeddingModel
from angulus.models.files import claimed
from angulus.models.weights import check_fit, fill
from angulus.purification.centers import Centers, centers_of_run
from angulus.training import Experiment, UnionData
from angulus.training.head_initialisation import find_checkpoint
from angulus.training.recipe.data_sources import found_sources
from angulus.training.storage.checkpoint import content_told, load_content

ASKED = "purification"


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """experiment: with nothing left open.  model and centers: of the newest checkpoint."""

    folder: Path
    experiment: Experiment
    model: EmbeddingModel
    centers: Centers


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder has come to its end."""
    return (folder / "result.json").is_file()


def open_run(folder: Path, *, allow: Collection[str] = ()) -> FinishedRun:
    """Network and centers of a run. Raises CheckpointError where it is not finished or its checkpoint is damaged.

    allow: classes "module:Class" that its recipe may name (see `angulus.config.load`).
    """
    if not is_finished(folder):
        raise CheckpointError(f"the run {folder} is not finished; go on with it first: angulus train --resume {folder}")
    experiment = load([folder], allow=allow)
    check_one_head(experiment)
    centers = centers_of_run(folder)
    place = find_checkpoint(folder, ASKED)
    content = load_content(place, torch.device("cpu"), mapped=True)
    if experiment.model is None:
        raise CheckpointError(f"{folder / 'recipe.json'} names no model, as the recipe of a run does")
    with content_told(place):
        state = content.tensors["backbone"]
        empty = claimed(experiment.model, len(state), str(place))
        if empty is not None:
            check_fit(empty, {name: tensor.shape for name, tensor in state.items()}, str(place))
        model = experiment.model.build()
        fill(model, state, str(place))
    return FinishedRun(folder=folder, experiment=experiment, model=model.eval(), centers=centers)


def training_images(run: FinishedRun) -> Source:
    """Every image of the identities that a run was trained on, undecoded.

    Those beyond identities.max_images too: where an image is dropped another takes its place, which must have been
    looked at as well.
    """
    data = run.experiment.data
    every = replace(data, identities=replace(data.identities, max_images=None))
    plain = replace(run.experiment.train, speeds=())  # a voice at another speed is cleaned with its own recording
    return found_sources(replace(run.experiment, data=every, train=plain), run.model.input).train


def subcenters_of(folder: Path) -> int:
    """Class weights per identity, as the recipe of a run says."""
    try:
        recipe = read_json(folder / "recipe.json")
        return int(recipe.get("head", {}).get("subcenters", 1))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / 'recipe.json'} cannot be read: {error}") from error


def with_edits(experiment: Experiment, lists: tuple[Path, ...]) -> Experiment:
    """The experiment with further lists of changes to its images."""
    identities = experiment.data.identities
    data = replace(experiment.data, identities=replace(identities, edits=(*identities.edits, *lists)))
    return replace(experiment, data=data)


def check_one_head(experiment: Experiment) -> None:
    """Raise ConfigError where every set of a union has a head of its own, in which people have no common classes."""
    if isinstance(experiment.data, UnionData) and experiment.data.is_separate:
        raise ConfigError(
            "purification needs one head for all sets, got data.join=separate; join them by names, or clean each alone"
        )
