"""`angulus data get`: fetch a known set, or say where it is to be had."""

from pathlib import Path

from angulus.cli.options import Figures, Said, Usual, check_output
from angulus.cli.terminal import image_progress


def get(
    name: str | None = None,
    /,
    *,
    out: Path = Path("sets"),
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Fetch a known set that may be had freely, or say where it is to be had.

    Interrupted, it goes on where it was with the same command. What arrived is compared with a published checksum.

    Parameters
    ----------
    name
        The set; without one, all are listed.
    out
        The folder to which a folder of the set's name is added.
    figures.json
        Write what was fetched (files, checksums) to this file.
    """
    from angulus.cli.printing.known_sets import fetched_entry, fetched_line, print_known_sets
    from angulus.data.known.catalogue import known_set
    from angulus.data.known.download import fetch_set

    if name is None:
        print_known_sets()
        return
    check_output(figures.json)
    known = known_set(name)
    print(f"{known.what}\nterms: {known.terms}")
    with image_progress(quiet=said.quiet, doing="fetching", of="bytes") as progress:
        files = fetch_set(known, out, progress=progress)
    for file in files:
        print(fetched_line(file))
    figures.save({"set": known.name, "terms": known.terms, "files": [fetched_entry(file) for file in files]})
