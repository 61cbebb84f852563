"""A folder of very many objects, such as one sub-folder of images for each person: listed once, fetched one by one."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from angulus.storage.addresses import address_of, mirror, placed
from angulus.storage.cache import fetched, forget, known_of
from angulus.storage.read_ahead import ReadAhead
from angulus.storage.stores import Found, below

_FRESH = 60.0  # seconds for which a listing is taken again
_LAST: dict[str, tuple[float, "Listing"]] = {}


class Listing:
    """What lay below an address when it was listed, by path from there."""

    def __init__(self, address: str, files: dict[str, Found]) -> None:
        self.address, self.files = address, files
        self._ahead = ReadAhead[str, Path](lambda name: fetched(files[name]))

    def __reduce__(self) -> tuple[Any, ...]:
        return Listing, (self.address, self.files)  # every process fetches for itself

    def fetched(self, name: str) -> Path:
        """The place of an object, in which it lies whole. Raises StorageError, ChangedError."""
        return self._ahead.get(name)

    def will_need(self, names: Sequence[str]) -> None:
        """Have objects fetched, several at once, while others are worked on."""
        for name in names:
            if not self._ahead.begin(name):
                return


def listing_of(path: str | Path) -> Listing | None:
    """What the store has below the address of a path; None for other paths, and where it has nothing.

    Copies on this machine of objects that were replaced since are removed. Raises StorageError.
    """
    address = address_of(path)
    if address is None:
        return None
    last = _LAST.get(address)
    if last is not None and time.monotonic() - last[0] < _FRESH:
        return last[1]
    files = dict(below(address))
    if not files:
        return None
    _drop_others(address, files)
    found = Listing(address, files)
    _LAST.clear()  # one of millions is enough
    _LAST[address] = (time.monotonic(), found)
    return found


def _drop_others(address: str, files: dict[str, Found]) -> None:
    root = known_of(placed(address))
    for known in [one for one in root.rglob("*") if one.is_file()] if root.is_dir() else []:
        name = known.relative_to(root).as_posix()
        if name not in files:
            forget(mirror() / known.relative_to(known_of(mirror())))
