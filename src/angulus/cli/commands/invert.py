"""`angulus invert`: a model and stored embeddings (or people it was trained on) in, pictures of faces out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from angulus.cli.inputs.inversion_inputs import Settings, head_of
from angulus.cli.options import Fit, Flag, Json, check_output, save_json
from angulus.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from angulus.inversion import Targets
    from angulus.models import EmbeddingModel

    Wanted = tuple[Targets, "list[NDArray[np.uint8]] | None"]

Many = Parameter(consume_multiple=True, negative=())


def invert(
    model: Path,
    /,
    *,
    out: Path,
    identities: Annotated[list[str] | None, Many] = None,
    first: int | None = None,
    embeddings: Path | None = None,
    keys: Annotated[list[str] | None, Many] = None,
    images: Path | None = None,
    settings: Settings | None = None,
    fit: Fit = "auto",
    network: str | None = None,
    device: str = "auto",
    save_every: int = 200,
    picture_every: int = 500,
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Make images of people from a model alone: those that it was trained on, or those of stored embeddings.

    Parameters
    ----------
    model
        The folder of a run or of a model, or foreign weights (.ckpt, .pt, .pth).
    out
        The folder to write; given again, the command goes on where it was.
    identities
        Closed set: people that the run was trained on, by name.
    first
        Closed set: the first so many classes of the run.
    embeddings
        Open set: a file of embeddings that this model made (.npz, .safetensors, .npy).
    keys
        Only these of the embeddings, or of the images.
    images
        Open set: a folder of images, which are embedded first and shown beside what comes out.
    fit
        How images of another size are brought to the model's, as for embed.
    network
        What foreign weights are of, or "module:Class" of your own network.
    device
        auto, cpu, cuda or cuda:N.
    save_every
        Iterations between two states to go on from.
    picture_every
        Iterations between two intermediate pictures.
    quiet
        Show warnings only.
    json
        Write the content of result.json to this file, too.
    """
    check_output(json)
    from angulus.cli.inputs.models_and_images import open_model
    from angulus.cli.options import device_named
    from angulus.cli.terminal import image_progress
    from angulus.inversion import invert as invert_model

    options = (settings or Settings()).options()
    place = device_named(device)
    opened = open_model(model, network=network)
    closed, sources = identities is not None or first is not None, (embeddings, images)
    if closed + sum(source is not None for source in sources) != 1:
        raise ConfigError(
            "say what to invert: people of a run (--identities NAME ... or --first 16), stored embeddings "
            "(--embeddings FILE), or images (--images FOLDER); exactly one of these"
        )
    if closed:
        targets, originals = classes_of(model, identities, first), None
    elif embeddings is not None:
        targets, originals = stored(embeddings, keys, opened.model), None
    else:
        assert images is not None
        fit = opened.fit if fit == "auto" and opened.fit else fit
        targets, originals = of_images(images, keys, opened.model, fit, place)
    with image_progress(quiet=quiet, doing="inverting") as progress:
        result = invert_model(
            *(opened.model, targets, out, options),
            device=place,
            originals=originals,
            save_every=save_every,
            picture_every=picture_every,
            facts={"model": model.name, "device": place},
            progress=progress,
        )
    cosine = result["cosine"]
    print(
        f"{result['images']:,} images of {result['people']:,} people, {result['seconds']:.0f} s: {out}\n"
        f"cosine to the target under the attacked model {cosine['mean']:.3f} "
        f"({cosine['least']:.3f} to {cosine['most']:.3f})\nlook at {out / 'montage.png'}"
    )
    save_json(json, result)


def classes_of(run: Path, identities: list[str] | None, first: int | None) -> "Targets":
    """Closed set: the named classes of a run's head, or the first so many."""
    from angulus.inversion import class_targets

    if identities is not None and first is not None:
        raise ConfigError("name people with --identities or take the --first of them, not both")
    if first is not None and first < 1:
        raise ConfigError(f"--first must be at least 1, got {first}")
    found = head_of(run)
    return class_targets(found.head, found.names, identities or found.names[:first], step=found.step)


def stored(path: Path, keys: list[str] | None, model: "EmbeddingModel") -> "Targets":
    """Open set: embeddings of a file."""
    from angulus.embeddings import EmbeddingSet
    from angulus.inversion import check_stamp, template_targets
    from angulus.inversion.attack.identity import check_targets

    found = EmbeddingSet.load(path)
    check_targets(found.dim, model.embedding_dim, str(path))
    check_stamp(found, model, str(path))
    return template_targets(found, keys)


def of_images(path: Path, keys: list[str] | None, model: "EmbeddingModel", fit: Fit, device: str) -> "Wanted":
    """Open set: images, which are embedded here; with their pixels."""
    from angulus.cli.inputs.models_and_images import open_images
    from angulus.extract import embed
    from angulus.inversion import template_targets

    source = open_images(path, model.input, fit=fit)
    found = embed(model, source, flip=False, device=device)
    targets = template_targets(found, keys)
    place = {key: row for row, key in enumerate(source.keys)}
    return targets, [source.read(place[key]) for key in targets.keys]
