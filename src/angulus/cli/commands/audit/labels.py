"""`angulus audit labels`: which labels of a set are wrong, as a page that a person can read and act on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from angulus.cli.options import Fit, Flag, Json, check_output, save_json

if TYPE_CHECKING:
    from angulus.data import Source
    from angulus.models import EmbeddingModel
    from angulus.purification import Centers


def labels(
    model: Path,
    data: Path | None = None,
    /,
    *,
    out: Path,
    rule: Literal["subcenter", "strict", "nearest", "combined"] = "combined",
    angle: str = "auto",
    groups: int = 3,
    shown: int = 200,
    fit: Fit = "auto",
    network: str | None = None,
    device: str = "auto",
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Find wrong labels, names with two people and people with two names; write a page and a list to edit.

    Parameters
    ----------
    model
        The folder of a run or of a model, or foreign weights (.ckpt, .pt, .pth).
    data
        A set of images by identity, in any layout. Without it the model must be a run with sub-centers, whose
        training set is audited by the centers of its head.
    out
        The folder for index.html, edits.csv and audit.json.
    rule
        combined: all evidence together; subcenter, strict, nearest: as for angulus purify.
    angle
        Degrees beyond which an image goes, or "auto", which is fitted to the set; the page can move it.
    groups
        People that are looked for under one name.
    shown
        Suspicious images on the page, with their photos.
    fit
        How images of another size are brought to the model's, as for angulus embed.
    network
        What foreign weights are of, or "module:Class" of your own network.
    device
        auto, cpu, cuda or cuda:N.
    quiet
        Show warnings only.
    json
        Write the figures to this file.
    """
    check_output(json)
    from angulus.cli.commands.purify import degrees
    from angulus.cli.options import device_named
    from angulus.cli.terminal import image_progress
    from angulus.purification import LabelAudit, audit_labels

    options = LabelAudit(rule=rule, angle=degrees(angle) or "auto", groups=groups, shown=shown)
    with image_progress(quiet=quiet) as progress:
        opened, source, whole, centers = of_run(model) if data is None else of_images(model, data, fit, network)
        done = audit_labels(
            opened,
            source,
            out,
            options,
            centers=centers,
            whole=whole,
            device=device_named(device),
            progress=progress,
        )
    print(done.figures["sentence"])
    print(f"{out / 'index.html'}\n{out / 'edits.csv'}")
    save_json(json, {"out": str(out), **done.figures})


def of_images(
    model: Path, data: Path, fit: Fit, network: str | None
) -> "tuple[EmbeddingModel, Source, Source, Centers | None]":
    """A model and a set of images in any layout; no centers."""
    from angulus.cli.inputs.models_and_images import fit_for, open_model
    from angulus.data import open_source

    opened = open_model(model, network=network)
    spec = opened.model.input
    size = (spec.height, spec.width)
    plain = open_source(data)
    height, width = plain.read(0).shape[:2]
    known = opened.fit if fit == "auto" and opened.fit else fit
    source = open_source(data, size=size, fit=fit_for(str(data), (height, width), size, known))
    return opened.model, source, source, None


def of_run(run: Path) -> "tuple[EmbeddingModel, Source, Source, Centers | None]":
    """A run with sub-centers, its training images and its centers. Raises an AngulusError where it is another thing."""
    from angulus.cli.inputs.models_and_images import is_run
    from angulus.errors import ConfigError
    from angulus.purification.rounds import needs_subcenters
    from angulus.purification.runs import open_run, training_images
    from angulus.training.recipe.data_sources import whole_set

    if not is_run(run):
        raise ConfigError(f"name a set of images beside the model {run}: angulus audit labels {run} DATA --out OUT")
    opened = open_run(run)
    if opened.centers.subcenters < 2:
        raise ConfigError(f"{needs_subcenters(f'the run {run}', 1)}; or name its data, whose images then make centers")
    source = training_images(opened)
    return opened.model, source, whole_set(opened.experiment.data, opened.model.input), opened.centers
