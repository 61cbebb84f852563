"""`angulus embed`: a model and a folder of images in, a file of embeddings out."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from angulus.cli.numbers import CountOrNone
from angulus.cli.options import Edits, EmbeddingUse, Figures, Flag, Said, Usual, check_output
from angulus.cli.terminal import image_progress


def embed(
    model: Path,
    images: Path,
    /,
    *,
    out: Path,
    flip: Annotated[bool, Parameter(negative="--no-flip")] = True,
    skip_unreadable: Annotated[bool, Flag] = False,
    stamp: Annotated[bool, Flag] = False,
    runtime: Literal["torch", "onnxruntime", "openvino", "auto"] = "torch",
    workers: Annotated[int | None, CountOrNone] = None,
    edits: Edits = Usual.edits,
    use: EmbeddingUse = Usual.embedding_use,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Turn a set of images into embeddings.

    Parameters
    ----------
    model
        The folder of a run or of a model, foreign weights (.ckpt, .pt, .pth), or a bundle, whose own file computes.
    images
        A folder with one sub-folder for each person, a flat folder of images, or a .rec, .tar, .parquet, .packed or
        .csv (manifest).
    out
        The file to write, .npz.
    flip
        Embed the mirrored images as well.
    skip_unreadable
        Leave out damaged images and list them.
    stamp
        Store the fingerprint of the model's weights as a column, so that `angulus invert` can tell whose they are.
    runtime
        What computes on a CPU. onnxruntime and openvino must be installed, and are used only if they give torch's
        embeddings of the first images; auto takes the fastest that does.
    workers
        Processes that decode images; as many as keep the network busy, where nothing is said.
    figures.json
        Write what was done (number of images, seconds, by what and why) to this file.
    """
    check_output(figures.json, out)
    from angulus.cli.inputs.models_and_images import LooseExamples, open_embedder, open_images
    from angulus.cli.inputs.words.known_people import marked
    from angulus.data.examples import noun_of
    from angulus.extract import embed as embed_images
    from angulus.inference.passes import Passes

    opened = open_embedder(model, network=use.network)
    opened.check_runtime(runtime)
    started = time.perf_counter()
    with image_progress(quiet=said.quiet) as progress:
        spec, fit = opened.model.input, opened.fitting(use.fit)
        source = open_images(images, spec, fit=fit, skip_unreadable=skip_unreadable, edits=edits)
        how: list[Passes] = []
        embeddings = embed_images(
            opened.model,
            source,
            batch_size=use.batch_size,
            flip=flip,
            device=use.place(),
            workers=workers,
            runtime=runtime,
            layout="auto",
            progress=progress,
            chosen=how.append,
        )
    if isinstance(source, LooseExamples):
        embeddings = replace(embeddings, labels=None, identities=None)
    embeddings = marked(embeddings, model)
    if stamp:
        embeddings = opened.stamped(embeddings)
    embeddings.save(out)
    seconds = time.perf_counter() - started
    people = len(embeddings.identities or ())
    of_people = f" of {people:,} people" if people else ""
    print(f"{len(embeddings):,} {noun_of(source)}s{of_people}, {embeddings.dim} dimensions, {seconds:.1f} s: {out}")
    done = {"images": len(embeddings), "identities": people, "dimensions": embeddings.dim, "seconds": seconds}
    by = how[0].as_dict() if how else {"runtime": "torch"}  # recordings have one way only
    figures.save({"model": str(opened.path), "source": str(images), "out": str(out), "flip": flip, **done, "by": by})
