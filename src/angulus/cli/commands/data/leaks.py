"""`angulus data leaks`: which people and examples of a test set are in a training set?"""

import time
from pathlib import Path
from typing import Annotated, Literal

from angulus.cli.numbers import Positive, Rate
from angulus.cli.options import CopyParts, Edits, EmbeddingUse, Flag, Said, Several, Usual, check_output, check_outside
from angulus.cli.terminal import image_progress
from angulus.errors import EvaluationError


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
    false_pairs: Annotated[float, Positive] = 0.5,
    edits: Edits = Usual.edits,
    far: Annotated[list[float] | None, Several, Rate] = None,
    use: EmbeddingUse = Usual.embedding_use,
    division: CopyParts = Usual.copy_parts,
    said: Said = Usual.said,
) -> None:
    """Find people, images and recordings of a test set in a training set, and write what to remove.

    The folder gets leaks.html (with photos or sounds of both sets inside), leaks.json, and removal.csv, which
    data.identities.edits in a recipe, angulus convert --edits or angulus evaluate --edits apply. Under torchrun the
    processes share the search for copies.

    Parameters
    ----------
    train
        The training set, in any layout.
    test
        The test set, in any layout.
    out
        The folder for the results; with --part the file for what one part found.
    model
        The folder of a run or of a model, or foreign weights: to find people by embedding, and to state its
        verification on the test set with and without what leaked. Without it, names and copies alone are compared.
    pairs
        The test set's pair list, for the figures; without it, all pairs.
    remove_from
        Whose images or recordings removal.csv drops.
    hide_names
        Do not look at names: judge by copies and embeddings alone.
    false_pairs
        How many pairs of identities may be expected to be called one person by chance.
    edits.edits
        Lists of changes (csv: drop, relabel, split, merge) to apply to the training set first.
    far
        A false accept rate of the figures; may be given several times.
    """
    from angulus.cli.inputs.divided.copies import part_of_copies
    from angulus.cli.inputs.divided.processes import sharing
    from angulus.cli.inputs.image_sets import folder_to_write, opened_set, seen_sets
    from angulus.cli.inputs.leak_figures import with_and_without
    from angulus.cli.inputs.models_and_images import open_model
    from angulus.cli.printing.leak_account import leaks_line, print_metrics
    from angulus.evaluation import read_pairs
    from angulus.evaluation.protocols.verification import DEFAULT_FARS
    from angulus.inspection import find_leaks, removal, write_leaks
    from angulus.inspection.copy_parts import add_copies

    if pairs is not None and model is None:
        raise EvaluationError(
            f"the pairs {pairs} are compared with a model; name one with --model, or leave --pairs out"
        )
    named = None if pairs is None else read_pairs(pairs)
    division.check()
    check_outside(out, train, test)
    if division.part is None:
        folder_to_write(out)
    else:
        check_output(out)
    started = time.perf_counter()
    opened = None if model is None else open_model(model, network=use.network)
    with sharing(use.place()) as these:
        use, said = these.using(use), these.saying(said)
        seen, kept = seen_sets([opened_set(train, edits, opened), opened_set(test, model=opened)], opened, use, said)
        if division.part is not None:
            print(part_of_copies(seen[0], seen[1], division.part, out, these.device))
            return
        near = add_copies(seen[0], seen[1], division.add) if division.add else None
        with image_progress(quiet=said.quiet, doing="laying over each other", of="pairs") as progress:
            how = {"names": not hide_names, "false_pairs": false_pairs, "device": these.device, "group": these.group}
            leaked = find_leaks(seen[0], seen[1], **how, near=near, progress=progress)
    if not these.is_first:
        return
    fars = tuple(far) if far else DEFAULT_FARS
    metrics = {} if kept is None else with_and_without(kept, named, leaked, seen[1].contents, fars)
    facts = {"train": str(train), "test": str(test), "model": "none" if opened is None else str(opened.path)}
    listed = write_leaks(out, leaked, removal(leaked, side=remove_from), side=remove_from, facts=facts, metrics=metrics)
    print(leaks_line(leaked, train, test, out / "leaks.html", listed, time.perf_counter() - started))
    print_metrics(metrics, leaked.words.many)
