"""`angulus embed`: a model and a folder of images in, a file of embeddings out; or a share of the work of many."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from angulus.cli.numbers import Count, CountOrNone
from angulus.cli.options import Edits, EmbeddingUse, Figures, Flag, Said, Usual, check_output, check_outside
from angulus.cli.terminal import image_progress
from angulus.errors import AngulusError
from angulus.plain_numbers import counted

if TYPE_CHECKING:
    from angulus.data import Source
    from angulus.shards import Worker


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How the work is shared among processes and machines.

    Parameters
    ----------
    shard
        i/n: this is worker i of n, counted from 0, and --out is a folder that all of them write in. auto: as torchrun,
        Slurm or Kubernetes says; auto/n where the launcher does not say how many there are. What is finished is left as
        it is.
    block
        Examples of one file of embeddings at most, with --shard; 4,096 where nothing is said.
    merge
        A folder that --shard wrote, to be made one file. No model and no images are named then.
    """

    shard: str | None = None
    block: Annotated[int | None, Count] = None
    merge: Path | None = None


_ALONE = Sharing()


def embed(
    model: Path | None = None,
    images: Path | None = None,
    /,
    *,
    out: Path,
    flip: Annotated[bool, Parameter(negative="--no-flip")] = True,
    skip_unreadable: Annotated[bool, Flag] = False,
    stamp: Annotated[bool, Flag] = False,
    runtime: Literal["torch", "onnxruntime", "openvino", "auto"] = "torch",
    workers: Annotated[int | None, CountOrNone] = None,
    sharing: Sharing = _ALONE,
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
        The file to write, .npz; with --shard a folder.
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
    check_output(figures.json)
    if sharing.merge is not None:
        figures.save(_merged(sharing, out, model))
        return
    if model is None or images is None:
        raise AngulusError("embed needs a model and a set of images: angulus embed MODEL IMAGES --out embeddings.npz")
    stored = _Stored(flip=flip, skip_unreadable=skip_unreadable, stamp=stamp, runtime=runtime, workers=workers)
    if sharing.shard is not None:
        figures.save(_share(model, images, out, sharing, stored, edits, use, said))
        return
    if sharing.block is not None:
        raise AngulusError("--block divides the work of --shard; leave it out, or name a worker such as --shard 0/1")
    check_output(out)
    from angulus.cli.inputs.models_and_images import LooseExamples, open_embedder, open_images
    from angulus.cli.inputs.words.known_people import marked
    from angulus.data.examples import noun_of
    from angulus.embeddings.files import check_suffix
    from angulus.extract import embed as embed_images
    from angulus.inference.passes import Passes, say

    check_suffix(out)
    opened = open_embedder(model, network=use.network)
    opened.check_runtime(runtime)
    started = time.perf_counter()
    with image_progress(quiet=said.quiet) as progress:
        spec, fit = opened.model.input, opened.fitting(use.fit)
        source = open_images(images, spec, fit=fit, skip_unreadable=skip_unreadable, edits=edits)
        how: list[Passes] = []

        def chosen(passes: Passes) -> None:
            how.append(passes)
            say(passes)

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
            chosen=chosen,
        )
    if isinstance(source, LooseExamples):
        embeddings = replace(embeddings, labels=None, identities=None)
    embeddings = marked(embeddings, model)
    if stamp:
        embeddings = opened.stamped(embeddings)
    embeddings.save(out)
    seconds = time.perf_counter() - started
    people = len(embeddings.identities or ())
    of_people = f" of {counted(people, 'person')}" if people else ""
    print(
        f"{counted(len(embeddings), noun_of(source))}{of_people}, {embeddings.dim} dimensions, {seconds:.1f} s: {out}"
    )
    done = {"images": len(embeddings), "identities": people, "dimensions": embeddings.dim, "seconds": seconds}
    by = how[0].as_dict() if how else {"runtime": "torch"}  # recordings have one way only
    figures.save({"model": str(opened.path), "source": str(images), "out": str(out), "flip": flip, **done, "by": by})


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What `embed` was told."""

    flip: bool
    skip_unreadable: bool
    stamp: bool
    runtime: Literal["torch", "onnxruntime", "openvino", "auto"]
    workers: int | None


def _merged(sharing: Sharing, out: Path, model: Path | None) -> dict[str, Any]:
    """Make one file of the folder of all workers."""
    from angulus.embeddings.shards import merge_shards

    assert sharing.merge is not None
    if sharing.shard is not None or sharing.block is not None:
        raise AngulusError("--merge comes after the work of all workers; leave --shard and --block out")
    if model is not None:
        raise AngulusError(f"--merge {sharing.merge} needs no model and no images; leave {model} out")
    check_output(out)
    check_outside(out, sharing.merge)
    rows, dim = merge_shards(sharing.merge, out)
    print(f"{rows:,} embeddings, {dim} dimensions: {out}")
    return {"folder": str(sharing.merge), "out": str(out), "images": rows, "dimensions": dim}


def _share(
    model: Path,
    images: Path,
    out: Path,
    sharing: Sharing,
    stored: _Stored,
    edits: Edits,
    use: EmbeddingUse,
    said: Said,
) -> dict[str, Any]:
    """Embed the shards of one worker."""
    from angulus.cli.inputs.models_and_images import LooseExamples, open_embedder, open_images
    from angulus.data.examples import noun_of
    from angulus.devices.processors import threads_of_torch
    from angulus.shards import embed_shards, worker_named

    assert sharing.shard is not None
    worker = worker_named(sharing.shard)
    check_outside(out, images)
    if out.suffix == ".npz" or out.is_file():
        raise AngulusError(f"--shard writes to a folder, got {out}; the file comes after it, with --merge")
    if not said.quiet:
        print(worker.describe())
    with threads_of_torch(1):  # a bundle computes on as many as there are when it is opened, in whatever order
        opened = open_embedder(model, network=use.network)
    opened.check_runtime(stored.runtime)
    if stored.stamp:
        opened.check_stampable()
    started = time.perf_counter()
    with image_progress(quiet=said.quiet) as progress:
        # damaged examples are looked for in each shard
        source = open_images(images, opened.model.input, fit=opened.fitting(use.fit), edits=edits)
        done = embed_shards(
            opened.model,
            source,
            out,
            worker=worker,
            block=sharing.block,
            batch_size=use.batch_size,
            flip=stored.flip,
            device=_place(use, worker),
            workers=stored.workers,
            runtime=stored.runtime,
            skip_unreadable=stored.skip_unreadable,
            labelled=not isinstance(source, LooseExamples),
            stamp=stored.stamp,
            columns=_marks(source, model),
            digest=opened.digest(),
            progress=progress,
        )
    seconds = time.perf_counter() - started
    bad = f", {done.unreadable:,} unreadable" if done.unreadable else ""
    held = counted(done.examples, noun_of(source))
    print(
        f"{counted(done.made, 'shard')} made ({held}{bad}, {seconds:.1f} s), {done.skipped:,} "
        f"were there, {done.lacking:,} of {len(done.manifest.shards):,} are still lacking: {out}"
    )
    if not done.lacking:
        print(f"one file of all: angulus embed --merge {out} --out {out.name}.npz")
    numbers = {name: getattr(done, name) for name in ("made", "skipped", "examples", "unreadable", "lacking")}
    whole = {"shards": len(done.manifest.shards), "digest": done.manifest.digest()}
    return {"model": str(model), "source": str(images), "out": str(out), **numbers, **whole, "seconds": seconds}


def _place(use: EmbeddingUse, worker: "Worker") -> str:
    """The device; of several GPUs, where none was named, each worker of a machine takes its own."""
    place = use.place()
    if use.device != "auto" or not place.startswith("cuda"):
        return place
    import torch

    return f"cuda:{worker.device_of(torch.cuda.device_count())}"


def _marks(source: "Source", model: Path) -> dict[str, Any]:
    """The column that says who was trained on, where the run knows some of these people."""
    from angulus.cli.inputs.models_and_images import LooseExamples
    from angulus.cli.inputs.words.known_people import COLUMN, trained_rows

    if isinstance(source, LooseExamples):
        return {}
    rows = trained_rows(model, source.identities, source.labels)
    return {} if rows is None else {COLUMN: rows}
