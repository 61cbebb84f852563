"""`angulus convert`: a set of images in one layout in, the same in another out."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from angulus.cli.options import EditLists, Flag, Json, check_output, save_json

Layout = Literal["folder", "rec", "tar", "parquet", "packed", "manifest"]


def convert(
    source: Path,
    target: Path,
    /,
    *,
    to: Layout | None = None,
    source_layout: Annotated[Layout | None, Parameter(name="--from")] = None,
    edits: EditLists = (),
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Write a set of images in another layout, byte for byte, with labels, names and keys.

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
    edits
        Lists of changes (csv: drop, relabel, split, merge) to write the set with.
    quiet
        Show warnings only.
    json
        Write what was done (images, identities, bytes, seconds) to this file.
    """
    check_output(json)
    from angulus.cli.terminal import image_progress
    from angulus.data.conversion import convert as convert_source
    from angulus.data.edits import apply_edits, read_edits
    from angulus.data.formats import open_source

    images = open_source(source, kind=source_layout)
    if edits:
        images = apply_edits(images, [read_edits(path) for path in edits])
    with image_progress(quiet=quiet, doing="writing and verifying") as progress:
        done = convert_source(images, target, to=to, progress=progress)
    kept = f" ({done.taken_over:,} were there)" if done.taken_over else ""
    print(
        f"{done.images:,} images of {done.identities:,} identities{kept}, {done.bytes / 1e6:,.1f} MB, "
        f"{done.seconds:.1f} s: {target}"
    )
    save_json(json, {"source": str(source), **asdict(done), "target": str(target)})
