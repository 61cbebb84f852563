"""Sets that may be fetched, and the files of one that arrived."""

from typing import Any

from angulus.data.known.catalogue import ELSEWHERE, SETS
from angulus.data.known.download import Fetched


def print_known_sets() -> None:
    """The sets that may be had freely, with their terms, and where others are to be had."""
    for known in SETS.values():
        print(f"{known.name:15} {known.megabytes:>5,} MB  {known.what}\n{'':25} {known.terms}")
    print("\nnot to be had from here:")
    for text in ELSEWHERE.values():
        print(f"  {text}")


def fetched_line(file: Fetched) -> str:
    """Where a file lies, and whether it is the one that was published."""
    state = "verified" if file.verified else "could not be verified, no checksum is known"
    place = file.path if file.unpacked is None else f"{file.path}, unpacked to {file.unpacked}"
    return f"{place}: {state}, sha256 {file.sha256}"


def fetched_entry(file: Fetched) -> dict[str, Any]:
    """The same for the JSON file."""
    unpacked = None if file.unpacked is None else str(file.unpacked)
    return {"path": str(file.path), "sha256": file.sha256, "verified": file.verified, "unpacked": unpacked}
