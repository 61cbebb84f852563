"""Layouts that are read from a disk alone, refused at an address of a store before they are taken for image folders."""

from collections.abc import Iterable
from pathlib import Path

from angulus.errors import DataError
from angulus.storage import address_of

NAMES = {"kaldi": "a folder of Kaldi's lists", "market1501": "Market-1501", "msmt17": "MSMT17"}
_TOLD_BY = {
    "kaldi": {"wav.scp"},
    "market1501": {"query", "bounding_box_test"},
    "msmt17": {"list_query.txt", "list_gallery.txt"},
}


def check_place(path: Path, kind: str) -> None:
    """Raise DataError for the place of an address with such a layout."""
    address = address_of(path)
    if address is not None and kind in NAMES:
        raise DataError(f"{address} is {NAMES[kind]}, read from a disk alone: copy it to a disk, and convert it")


def check_listed(path: Path, listed: Iterable[str]) -> None:
    """The same by the names of all objects below an address."""
    tops = {name.partition("/")[0] for name in listed}
    for kind, names in _TOLD_BY.items():
        if names <= tops:
            check_place(path, kind)
