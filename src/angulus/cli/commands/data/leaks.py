"""`angulus data leaks`: which people and images of a test set are in a training set?"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from angulus.cli.options import EditLists, Fit, Flag

if TYPE_CHECKING:
    from angulus.embeddings import EmbeddingSet
    from angulus.evaluation import VerificationResult
    from angulus.inspection import Contents, Leaks


def leaks(
    train: Path,
    test: Path,
    /,
    *,
    out: Path,
    model: Path | None = None,
    pairs: Path | None = None,
    remove_from: Literal["train", "test"] = "train",
    hide_names: Annotated[bool, Flag] = False,
    false_pairs: float = 0.5,
    edits: EditLists = (),
    far: Annotated[list[float] | None, Parameter(negative=())] = None,
    fit: Fit = "auto",
    network: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    quiet: Annotated[bool, Flag] = False,
) -> None:
    """Find people and images of a test set in a training set, and write what to remove.

    The folder gets leaks.html (with photos of both sets inside), leaks.json, and removal.csv, which
    data.identities.edits in a recipe, angulus convert --edits or angulus evaluate --edits apply.

    Parameters
    ----------
    train
        The training set, in any layout.
    test
        The test set, in any layout.
    out
        The folder for the results.
    model
        The folder of a run or of a model, or foreign weights: to find people by embedding, and to state its
        verification on the test set with and without what leaked. Without it, names and pictures alone are compared.
    pairs
        The test set's pair list, for the figures; without it, all pairs.
    remove_from
        Whose images removal.csv drops.
    hide_names
        Do not look at names: judge by pictures and embeddings alone.
    false_pairs
        How many pairs of identities may be expected to be called one person by chance.
    edits
        Lists of changes (csv) to apply to the training set first.
    far
        A false accept rate of the figures; may be given several times.
    fit
        How images of another size are brought to the model's.
    network
        What foreign weights are of, or "module:Class" of your own network.
    batch_size
        Images per pass: 32 on a CPU, 128 on CUDA, where nothing is said.
    device
        auto, cpu, cuda or cuda:N.
    quiet
        Show warnings only.
    """
    from angulus.cli.inputs.image_sets import embedded, folder_to_write, opened_set
    from angulus.cli.inputs.models_and_images import open_model
    from angulus.cli.options import device_named
    from angulus.cli.terminal import image_progress
    from angulus.errors import EvaluationError
    from angulus.evaluation import read_pairs
    from angulus.evaluation.protocols.verification import DEFAULT_FARS
    from angulus.inspection import Seen, find_leaks, removal, scan, typical_spectrum, write_leaks

    if pairs is not None and model is None:
        raise EvaluationError(
            f"the pairs {pairs} are compared with a model; name one with --model, or leave --pairs out"
        )
    named = None if pairs is None else read_pairs(pairs)
    folder_to_write(out)
    started = time.perf_counter()
    opened = None if model is None else open_model(model, network=network)
    sources = [opened_set(train, edits), opened_set(test)]
    typical = typical_spectrum(*sources)
    seen, kept = [], []
    for source in sources:
        with image_progress(quiet=quiet, doing="looking") as progress:
            contents = scan(source, typical, progress=progress)
        vectors = None
        if opened is not None:
            found, vectors = embedded(
                opened, source, contents, fit=fit, batch_size=batch_size, device=device, quiet=quiet
            )
            kept = [found]
        seen.append(Seen(source=source, contents=contents, vectors=vectors))
    with image_progress(quiet=quiet, doing="laying over each other", of="pairs") as progress:
        leaked = find_leaks(
            seen[0],
            seen[1],
            names=not hide_names,
            false_pairs=false_pairs,
            device=device_named(device),
            progress=progress,
        )
    fars = tuple(far) if far else DEFAULT_FARS
    metrics = with_and_without(kept[0], named, leaked, seen[1].contents, fars) if kept else {}
    listed = removal(leaked, side=remove_from)
    facts = {"train": str(train), "test": str(test), "model": "none" if opened is None else str(opened.path)}
    write_leaks(out, leaked, listed, side=remove_from, facts=facts, metrics=metrics)
    copies = len({copy.right for copy in leaked.copies if copy.certain})
    print(
        f"{len({each.test for each in leaked.leaked}):,} people and {copies:,} images of {test} are in {train}, "
        f"{time.perf_counter() - started:.1f} s: {out / 'leaks.html'}, removal list {out / 'removal.csv'}"
    )
    for name, result in metrics.items():
        points = ", ".join(f"TAR {point.tar:.2%} at FAR {point.target:g}" for point in result.points if point.resolved)
        accuracy = "" if result.accuracy is None else f"accuracy {result.accuracy.mean:.2%}, "
        print(f"{name}: {result.images:,} images, {accuracy}EER {result.eer.rate:.3%}, {points}")


def with_and_without(
    embeddings: "EmbeddingSet",
    named: object,
    leaked: "Leaks",
    contents: "Contents",
    fars: tuple[float, ...],
) -> "dict[str, VerificationResult]":
    """The verification of the readable test images whole, and without the people and images that leaked.

    What cannot be verified (a small set may have no pair left) is left out.
    """
    import logging

    import numpy as np

    from angulus.errors import EvaluationError
    from angulus.evaluation import Pairs, match, verify
    from angulus.evaluation.scores.pairs import NamedPairs

    clean = leaked.clean_test_rows()[contents.readable]
    results = {}
    for name, rows in (("whole", np.ones(len(clean), dtype=bool)), ("without what leaked", clean)):
        try:
            if isinstance(named, NamedPairs):
                every = match(named, embeddings)
                inside = rows[every.left] & rows[every.right]
                fold = None if every.fold is None else every.fold[inside]
                listed = Pairs(left=every.left[inside], right=every.right[inside], same=every.same[inside], fold=fold)
                results[name] = verify(embeddings, listed, fars=fars, name=name, intervals=None)
            else:
                results[name] = verify(embeddings.select(rows), fars=fars, name=name, intervals=None)
        except EvaluationError as error:
            logging.getLogger(__name__).warning("no figures for the test set %s: %s", name, error)
    return results
