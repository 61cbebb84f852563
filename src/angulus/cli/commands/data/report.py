"""`angulus data report`: what is in a set of images or recordings, and what of it looks wrong?"""

import time
from pathlib import Path

from angulus.cli.options import CopyParts, Edits, EmbeddingUse, Said, Usual, check_output, check_outside
from angulus.cli.terminal import image_progress
from angulus.plain_numbers import counted


def report(
    data: Path,
    /,
    *,
    out: Path,
    model: Path | None = None,
    edits: Edits = Usual.edits,
    use: EmbeddingUse = Usual.embedding_use,
    division: CopyParts = Usual.copy_parts,
    said: Said = Usual.said,
) -> None:
    """Look at a set of images or recordings: counts, sizes, loudness, copies, labels that look wrong.

    The folder gets report.html (with photos or sounds of the set inside), report.json, and edits.csv: what is
    beyond doubt is dropped by it, the rest is kept with a reason for you to decide. Nothing in the set is changed.

    Parameters
    ----------
    data
        A folder of identities, a .rec, .tar, .parquet, .csv (manifest) or .packed, a folder of tar or parquet files,
        one of Kaldi's lists, or an .npz of stored features.
    out
        The folder for the report; with --part the file for what one part found.
    model
        The folder of a run or of a model, or foreign weights: to find copies, identities that are one person or
        several, and outlying examples by embedding. Without it, the examples alone are looked at.
    """
    from angulus.cli.inputs.divided.copies import part_of_copies
    from angulus.cli.inputs.divided.processes import sharing
    from angulus.cli.inputs.image_sets import embedded, folder_to_write, opened_set
    from angulus.cli.inputs.models_and_images import open_model
    from angulus.data import account_of
    from angulus.data.examples import noun_of
    from angulus.inspection import find, look_at, suggested_edits, write_data_report
    from angulus.inspection.copies import Seen
    from angulus.inspection.copy_parts import add_copies

    division.check()
    check_outside(out, data)
    if division.part is None:
        folder_to_write(out)
    else:
        check_output(out)
    started = time.perf_counter()
    opened = None if model is None else open_model(model, network=use.network)
    source = opened_set(data, edits, opened)
    noun = noun_of(source)
    with sharing(use.place()) as these:
        use, said = these.using(use), these.saying(said)
        with image_progress(quiet=said.quiet, doing="looking", of=f"{noun}s") as progress:
            contents = look_at(source, progress=progress)
        vectors = None if opened is None else embedded(opened, source, contents, use, said)[1]
        seen = Seen(source=source, contents=contents, vectors=vectors)
        if division.part is not None:
            print(part_of_copies(seen, None, division.part, out, these.device))
            return
        how = {"device": these.device, "group": these.group}
        near = add_copies(seen, None, division.add) if division.add else None
        with image_progress(quiet=said.quiet, doing="laying over each other", of="pairs") as progress:
            found = find(source, contents, vectors, **how, near=near, progress=progress)
    if not these.is_first:
        return
    suggested = suggested_edits(found)
    facts = {"data": str(data), "model": "none" if opened is None else str(opened.path)}
    listed = write_data_report(out, f"Data: {data.name}", found, suggested, facts)
    drops = sum(edit.action == "drop" for edit in suggested)
    held = f"{counted(len(source), noun)} of {counted(len(source.identities), 'identity')}"
    print(
        f"{held}, {len(contents.problems):,} unreadable; "
        f"{drops:,} to drop and {len(suggested) - drops:,} to decide in {listed}, "
        f"{time.perf_counter() - started:.1f} s: {out / 'report.html'}"
    )
    for drop in account_of(source).drops:
        print(drop.line(noun))
