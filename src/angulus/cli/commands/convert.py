"""`angulus convert`: a set of images in one layout in, the same in another out."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from angulus.cli.options import EditLists, Flag, Json, check_output, save_json

if TYPE_CHECKING:
    from angulus.data import Source

Layout = Literal["folder", "rec", "tar", "parquet", "packed", "manifest"]


def convert(
    source: Path,
    target: Path,
    /,
    *,
    to: Layout | None = None,
    source_layout: Annotated[Layout | None, Parameter(name="--from")] = None,
    pairs: Path | None = None,
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
    pairs
        For a target NAME.bin, insightface's verification set: the pairs (LFW's pairs.txt, csv, trials) to write.
    edits
        Lists of changes (csv: drop, relabel, split, merge) to write the set with.
    quiet
        Show warnings only.
    json
        Write what was done (images, identities, bytes, seconds) to this file.
    """
    check_output(json)
    from angulus.cli.terminal import image_progress
    from angulus.data.formats.catalogue import open_source
    from angulus.data.formats.conversion import convert as convert_source
    from angulus.data.views.edited import apply_edits
    from angulus.data.views.edits import read_edits

    images = open_source(source, kind=source_layout)
    if edits:
        images = apply_edits(images, [read_edits(path) for path in edits])
    if target.suffix == ".bin" or pairs is not None:
        write_pairs(images, target, pairs, json)
        return
    with image_progress(quiet=quiet, doing="writing and verifying") as progress:
        done = convert_source(images, target, to=to, progress=progress)
    kept = f" ({done.taken_over:,} were there)" if done.taken_over else ""
    print(
        f"{done.images:,} images of {done.identities:,} identities{kept}, {done.bytes / 1e6:,.1f} MB, "
        f"{done.seconds:.1f} s: {target}"
    )
    save_json(json, {"source": str(source), **asdict(done), "target": str(target)})


def write_pairs(images: "Source", target: Path, pairs: Path | None, json: Path | None) -> None:
    """The images of a pair list and its answers as a `.bin`, folds one after the other."""
    import numpy as np

    from angulus.cli.inputs.verification_inputs import rows_of_pairs
    from angulus.data import bytes_of
    from angulus.errors import DataError
    from angulus.evaluation import read_pairs
    from angulus.evaluation.files.verification_bins import consecutive_folds, write_bin

    if pairs is None or target.suffix != ".bin":
        raise DataError(f"--pairs and a target NAME.bin belong together, got --pairs {pairs} and {target}")
    if target.exists():
        raise DataError(f"{target} exists already; remove it, or name another target")
    rows, listed = rows_of_pairs(read_pairs(pairs), images.keys)
    order = np.arange(len(listed)) if listed.fold is None else np.argsort(listed.fold, kind="stable")
    if listed.fold is not None:
        folds = listed.fold[order]
        cut = consecutive_folds(len(folds), int(folds.max()) + 1)
        if not np.array_equal(cut, folds):
            raise DataError(
                f"a .bin is cut into folds of one size, and those of {pairs} have "
                f"{', '.join(str(count) for count in np.bincount(folds))} pairs; use folds of one size"
            )
    sides = rows[np.stack([listed.left, listed.right], axis=1)[order].reshape(-1)]
    encoded = [bytes_of(images, int(row)) for row in sides]
    if None in encoded:
        raise DataError(f"{images.keys[int(sides[encoded.index(None)])]} is no encoded image, which a .bin needs")
    write_bin(target, [image for image in encoded if image is not None], listed.same[order])
    print(f"{len(order):,} pairs of {len(rows):,} images, {target.stat().st_size / 1e6:,.1f} MB: {target}")
    save_json(json, {"pairs": len(order), "images": len(rows), "target": str(target)})
