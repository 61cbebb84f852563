"""What is searched where in a set of re-identification, and under which rule?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from angulus.data.formats.reid import market1501, msmt17


@dataclass(frozen=True, kw_only=True)
class Search:
    """The parts of a set that hold queries and gallery, and the name of its published rule."""

    queries: Path
    gallery: Path
    rule: Literal["market-1501", "msmt17"]


def search_in(path: Path) -> Search | None:
    """The search that the whole of a known set asks for; None for anything else, a part of it included."""
    if path.is_dir() and msmt17.is_msmt17(path):
        return Search(queries=path / msmt17.QUERY, gallery=path / msmt17.GALLERY, rule="msmt17")
    if (path / market1501.QUERY).is_dir() and (path / market1501.GALLERY).is_dir():
        return Search(queries=path / market1501.QUERY, gallery=path / market1501.GALLERY, rule="market-1501")
    return None
