"""Whose labels an audit looks at: a set of images through a model, or what a run with sub-centers was trained on."""

from collections.abc import Collection
from pathlib import Path

from angulus.cli.inputs.models_and_images import fit_for, open_images, open_model
from angulus.cli.inputs.words.named_places import is_run
from angulus.cli.options import Fit
from angulus.data import Source, open_source
from angulus.errors import ConfigError
from angulus.models import EmbeddingModel, InputSpec
from angulus.purification import Centers
from angulus.purification.rounds import needs_subcenters
from angulus.purification.runs import open_run, training_images
from angulus.training.recipe.data_sources import whole_set

AuditedSet = tuple[EmbeddingModel, Source, Source, Centers | None]


def of_images(model: Path, data: Path, fit: Fit, network: str | None) -> AuditedSet:
    """A model and a set of images in any layout; no centers."""
    opened = open_model(model, network=network)
    spec = opened.model.input
    if not isinstance(spec, InputSpec):
        recordings = open_images(data, spec, fit=fit)
        return opened.model, recordings, recordings, None
    size = (spec.height, spec.width)
    plain = open_source(data)
    height, width = plain.read(0).shape[:2]
    source = open_source(data, size=size, fit=fit_for(str(data), (height, width), size, opened.fitting(fit)))
    return opened.model, source, source, None


def of_run(run: Path, allow: Collection[str] = ()) -> AuditedSet:
    """A run with sub-centers, its training images and its centers. Raises an AngulusError where it is another thing."""
    if not is_run(run):
        raise ConfigError(f"name a set beside the model {run}: angulus audit labels {run} DATA --out OUT")
    opened = open_run(run, allow=allow)
    if opened.centers.subcenters < 2:
        raise ConfigError(f"{needs_subcenters(f'the run {run}', 1)}; or name its data, which then makes centers")
    source = training_images(opened)
    return opened.model, source, whole_set(opened.experiment.data, opened.model.input), opened.centers
