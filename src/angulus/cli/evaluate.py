"""`angulus evaluate`: how well do embeddings, or a model on a folder of images, tell people apart?"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from angulus.cli.options import Fit, Flag, Json, check_output, save_json

if TYPE_CHECKING:
    from angulus.embeddings import EmbeddingSet
    from angulus.evaluation import Pairs


def evaluate(
    what: Path,
    images: Path | None = None,
    /,
    *,
    pairs: Path | None = None,
    protocol: Literal["plain", "mean-centred", "insightface"] = "plain",
    views: Literal["plain", "sum", "concat"] | None = None,
    far: Annotated[list[float] | None, Parameter(negative=())] = None,
    fit: Fit = "auto",
    network: str | None = None,
    batch_size: int = 128,
    device: str = "auto",
    name: str | None = None,
    report: Path | None = None,
    json: Json = None,
    quiet: Annotated[bool, Flag] = False,
) -> None:
    """Verify embeddings, or a model on a folder of images: accuracy, TAR at FAR, EER, AUC.

    Parameters
    ----------
    what
        A file of embeddings (.npz), or a model: the folder of a run or of a model, or foreign weights (.ckpt, .pt).
    images
        For a model: a folder with one sub-folder of images for each person.
    pairs
        Which images to compare: LFW's pairs.txt or a CSV a,b,same[,fold]. Without it, all pairs of the labelled set.
    protocol
        How pairs become an accuracy over folds; docs/protocols.md describes the three.
    views
        For the plain protocol, which embedding of an image counts: its own, or with its mirror image.
    far
        A false accept rate at which to report the true accept rate; may be given several times.
    fit
        How images of another size are brought to the model's. auto: as the model's run did, or else cut off what is
        too wide or too high, or scale where the shape is the same.
    network
        What foreign weights are of, or "module:Class" of your own network.
    batch_size
        Images per pass.
    device
        auto, cpu, cuda or cuda:N.
    name
        What to call this evaluation in the report.
    report
        Write an HTML page with the curves to this file.
    json
        Write the figures to this file.
    quiet
        Show warnings only.
    """
    check_output(json, report)
    from angulus.errors import EvaluationError
    from angulus.evaluation import DEFAULT_FARS, verify

    started = time.perf_counter()
    facts: dict[str, Any] = {"embeddings" if what.suffix == ".npz" else "model": str(what)}
    if what.suffix == ".npz":
        if images is not None:
            raise EvaluationError(f"{what} holds embeddings already, so no images are needed; leave {images} out")
        embeddings, listed = stored(what, pairs)
    else:
        if images is None:
            raise EvaluationError(f"to evaluate the model {what}, name a folder of images after it")
        embeddings, listed, used = embedded(what, images, pairs, fit, network, batch_size, device, quiet)
        facts |= {"model": used, "images": str(images)}
    facts |= {"pairs": "all" if pairs is None else str(pairs)}
    title = name or (f"{what.stem} on {(pairs or images or what).stem}" if pairs or images else what.stem)
    fars = tuple(sorted(set(far), reverse=True)) if far else DEFAULT_FARS
    result = verify(embeddings, listed, protocol=protocol, view=views, fars=fars, name=title)
    seconds = time.perf_counter() - started
    print(result.table())
    if report is not None:
        from angulus.evaluation.report import write_report

        write_report(
            report, f"Verification: {title}", [result], facts={key: str(value) for key, value in facts.items()}
        )
        print(f"report  {report}")
    save_json(json, {**facts, "seconds": round(seconds, 2), **result.as_dict()})


def stored(path: Path, pairs: Path | None) -> "tuple[EmbeddingSet, Pairs | None]":
    """Embeddings from a file, and which of them are compared."""
    from angulus.embeddings import EmbeddingSet
    from angulus.evaluation import match, read_pairs

    embeddings = EmbeddingSet.load(path)
    return embeddings, None if pairs is None else match(read_pairs(pairs), embeddings)


def embedded(
    model: Path,
    images: Path,
    pairs: Path | None,
    fit: Fit,
    network: str | None,
    batch_size: int,
    device: str,
    quiet: bool,
) -> "tuple[EmbeddingSet, Pairs | None, str]":
    """Embeddings of the images that are compared, which of them are, and where the model was found."""
    from angulus.cli.embed import device_named
    from angulus.cli.opening import open_images, open_model
    from angulus.cli.terminal import image_progress
    from angulus.data import select
    from angulus.evaluation import read_pairs
    from angulus.extract import embed

    named = None if pairs is None else read_pairs(pairs)
    opened = open_model(model, network=network)
    fit = opened.fit if fit == "auto" and opened.fit else fit
    with image_progress(quiet=quiet) as progress:
        source = open_images(images, opened.model.input, fit=fit)
        listed = None
        if named is not None:
            rows, listed = rows_of_pairs(named, source.keys)
            source = select(source, rows)
        found = embed(
            opened.model, source, batch_size=batch_size, flip=True, device=device_named(device), progress=progress
        )
    return found, listed, str(opened.path)


def rows_of_pairs(named: Any, keys: Any) -> "tuple[Any, Pairs]":
    """Which images [m] a pair list uses, and the pairs as positions among these."""
    import numpy as np

    from angulus.embeddings import EmbeddingSet
    from angulus.evaluation import Pairs, match

    blank = EmbeddingSet(embeddings=np.zeros((len(keys), 1), dtype=np.float32), keys=tuple(keys))
    pairs = match(named, blank)
    rows = np.union1d(pairs.left, pairs.right)
    left, right = np.searchsorted(rows, pairs.left), np.searchsorted(rows, pairs.right)
    return rows, Pairs(left=left, right=right, same=pairs.same, fold=pairs.fold)
