"""What a layout is: how it is told from a path, how it is read, and how it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from angulus.data.examples import Source
from angulus.data.formats.output import Writer
from angulus.data.formats.record_source import Records


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One layout on disk. A new one is a record of this kind in its own file, and a line in `catalogue`.

    open: the records at a path; None for image folders, which are a source of their own.
    writer: a writer into a folder under a name; its last argument is the folder in which the set will lie in the end.
    suffix: the suffix of its files, or of its folder; None where it has none.
    is_at: whether a folder without a telling suffix holds this layout.
    """

    open: Callable[[Path], Records] | None
    writer: Callable[[Path, str, Source, Path], Writer]
    suffix: str | None = None
    is_at: Callable[[Path], bool] = lambda folder: False


def holds_files(suffix: str) -> Callable[[Path], bool]:
    """Whether a folder holds files of a suffix, as sets of several parts do."""
    return lambda folder: next(folder.glob(f"*{suffix}"), None) is not None
