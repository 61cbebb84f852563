"""`angulus data get`: fetch a known set, or say where it is to be had."""

from pathlib import Path
from typing import Annotated

from angulus.cli.options import Flag, Json, check_output, save_json


def get(
    name: str | None = None,
    /,
    *,
    out: Path = Path("sets"),
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Fetch a known set that may be had freely, or say where it is to be had.

    Interrupted, it goes on where it was with the same command. What arrived is compared with a published checksum.

    Parameters
    ----------
    name
        The set; without one, all are listed.
    out
        The folder to which a folder of the set's name is added.
    quiet
        Show warnings only.
    json
        Write what was fetched (files, checksums) to this file.
    """
    from angulus.data.known.catalogue import ELSEWHERE, SETS, known_set
    from angulus.data.known.download import fetch_set

    if name is None:
        for known in SETS.values():
            print(f"{known.name:15} {known.megabytes:>5,} MB  {known.what}\n{'':25} {known.terms}")
        print("\nnot to be had from here:")
        for text in ELSEWHERE.values():
            print(f"  {text}")
        return
    check_output(json)
    known = known_set(name)
    from angulus.cli.terminal import image_progress

    print(f"{known.what}\nterms: {known.terms}")
    with image_progress(quiet=quiet, doing="fetching", of="bytes") as progress:
        files = fetch_set(known, out, progress=progress)
    for file in files:
        state = "verified" if file.verified else "could not be verified, no checksum is known"
        place = file.path if file.unpacked is None else f"{file.path}, unpacked to {file.unpacked}"
        print(f"{place}: {state}, sha256 {file.sha256}")
    listed = [
        {
            "path": str(file.path),
            "sha256": file.sha256,
            "verified": file.verified,
            "unpacked": None if file.unpacked is None else str(file.unpacked),
        }
        for file in files
    ]
    save_json(json, {"set": known.name, "terms": known.terms, "files": listed})
