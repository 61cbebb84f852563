"""`angulus embed`: a model and a folder of images in, a file of embeddings out."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from angulus.cli.options import EditLists, Fit, Flag, Json, check_output, device_named, save_json


def embed(
    model: Path,
    images: Path,
    /,
    *,
    out: Path,
    flip: Annotated[bool, Parameter(negative="--no-flip")] = True,
    fit: Fit = "auto",
    network: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    skip_unreadable: Annotated[bool, Flag] = False,
    edits: EditLists = (),
    stamp: Annotated[bool, Flag] = False,
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Turn a set of images into embeddings.

    Parameters
    ----------
    model
        The folder of a run or of a model, or foreign weights (.ckpt, .pt, .pth).
    images
        A folder with one sub-folder for each person, a flat folder of images, or a .rec, .tar, .parquet, .packed or
        .csv (manifest).
    out
        The file to write, .npz.
    flip
        Embed the mirrored images as well.
    fit
        How images of another size are brought to the model's. auto: as the model's run did, or else cut off what is
        too wide or too high, or scale where the shape is the same.
    network
        What foreign weights are of, or "module:Class" of your own network.
    batch_size
        Images per pass: 32 on a CPU, 128 on CUDA, where nothing is said.
    device
        auto, cpu, cuda or cuda:N.
    skip_unreadable
        Leave out damaged images and list them.
    edits
        Lists of changes (csv: drop, relabel, split, merge) to apply to the set.
    stamp
        Store the fingerprint of the model's weights as a column, so that `angulus invert` can tell whose they are.
    quiet
        Show warnings only.
    json
        Write what was done (number of images, seconds) to this file.
    """
    check_output(json, out)
    from angulus.cli.inputs.models_and_images import LooseImages, open_images, open_model
    from angulus.cli.terminal import image_progress
    from angulus.extract import embed as embed_images

    opened = open_model(model, network=network)
    started = time.perf_counter()
    with image_progress(quiet=quiet) as progress:
        fit = opened.fit if fit == "auto" and opened.fit else fit
        source = open_images(images, opened.model.input, fit=fit, skip_unreadable=skip_unreadable, edits=edits)
        embeddings = embed_images(
            opened.model,
            source,
            batch_size=batch_size,
            flip=flip,
            device=device_named(device),
            progress=progress,
        )
    if isinstance(source, LooseImages):
        embeddings = replace(embeddings, labels=None, identities=None)
    if stamp:
        from angulus.inversion import fingerprint_of_model

        embeddings = embeddings.with_columns({"model": [fingerprint_of_model(opened.model)] * len(embeddings)})
    embeddings.save(out)
    seconds = time.perf_counter() - started
    people = len(embeddings.identities or ())
    of_people = f" of {people:,} people" if people else ""
    print(f"{len(embeddings):,} images{of_people}, {embeddings.dim} dimensions, {seconds:.1f} s: {out}")
    done = {"images": len(embeddings), "identities": people, "dimensions": embeddings.dim, "seconds": seconds}
    save_json(json, {"model": str(opened.path), "source": str(images), "out": str(out), "flip": flip, **done})
