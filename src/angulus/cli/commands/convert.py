"""`angulus convert`: a set of images in one layout in, the same in another out."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from angulus.cli.options import Edits, Figures, Said, Usual, check_output, check_outside
from angulus.cli.terminal import image_progress
from angulus.plain_numbers import counted

Layout = Literal["folder", "rec", "tar", "parquet", "packed", "manifest"]


def convert(
    source: Path,
    target: Path,
    /,
    *,
    to: Layout | None = None,
    source_layout: Annotated[Layout | None, Parameter(name="--from")] = None,
    pairs: Path | None = None,
    edits: Edits = Usual.edits,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Write a set of images or recordings in another layout, byte for byte, with labels, names and keys.

    Interrupted, it goes on where it was with the same command. The target appears when every image in it has been
    compared with the source.

    Parameters
    ----------
    source
        A folder of identities, a .rec, .tar, .parquet, .csv (manifest) or .packed, or a folder of tar or parquet files.
    target
        Where to write; must not exist.
    to
        The layout to write, where the suffix of the target does not say it.
    source_layout
        The layout of the source, where it cannot be told from what lies there.
    pairs
        For a target NAME.bin, insightface's verification set: the pairs (LFW's pairs.txt, csv, trials) to write.
    figures.json
        Write what was done (images, identities, bytes, seconds) to this file.
    """
    check_output(figures.json)
    from angulus.data.examples import noun_of
    from angulus.data.formats.catalogue import format_for, open_source
    from angulus.data.formats.conversion import convert as convert_source

    if target.suffix != ".bin" and (to or format_for(target)) != "manifest":
        check_outside(target, source)
    images = edits.applied(open_source(source, kind=source_layout))
    if target.suffix == ".bin" or pairs is not None:
        from angulus.cli.inputs.encoded_pairs import encoded_pairs

        listed = encoded_pairs(images, target, pairs)
        listed.write(target)
        megabytes = target.stat().st_size / 1e6
        print(f"{len(listed.same):,} pairs of {listed.distinct:,} images, {megabytes:,.1f} MB: {target}")
        figures.save({"pairs": len(listed.same), "images": listed.distinct, "target": str(target)})
        return
    with image_progress(quiet=said.quiet, doing="writing and verifying") as progress:
        done = convert_source(images, target, to=to, progress=progress)
    kept = f" ({done.taken_over:,} were there)" if done.taken_over else ""
    what = f"{counted(done.images, noun_of(images))} of {counted(done.identities, 'identity')}{kept}"
    print(f"{what}, {done.bytes / 1e6:,.1f} MB, {done.seconds:.1f} s: {target}")
    figures.save({"source": str(source), **asdict(done), "target": str(target)})
