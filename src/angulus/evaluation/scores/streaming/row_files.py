"""Unit vectors in the order of their labels, in a file instead of memory: a set that is mapped stays on the disk.

A pass wants unit vectors with one person's images beside each other, which is a second copy of the set. Where the set
is an array that is mapped from a file, the copy goes into a nameless file too, block by block, and is mapped: what a
process holds is then pages that the system may drop, however large the set is. The vectors have the same digits.
"""

import mmap
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.embeddings.directions import unit_rows
from angulus.errors import EvaluationError
from angulus.whole_files import reason_of

_AT_ONCE = 4096


class OrderedRows:
    """Unit vectors [n, d] in the order `order` of a set; indexed by the rows of the set, as an array of it would be."""

    def __init__(self, rows: NDArray[np.float32], order: NDArray[np.int64]) -> None:
        self.rows, self.order = rows, order
        self.places = np.empty(len(order), np.int64)
        self.places[order] = np.arange(len(order))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(self.rows[self.places[rows]])


def comparable(
    embeddings: EmbeddingSet, view: View, labels: NDArray[np.int64], folder: Path | None = None
) -> NDArray[np.float32] | OrderedRows:
    """The unit vectors of a set: in memory, or for a mapped one in a file in `folder` (left out: the system's own)."""
    if not is_mapped(embeddings.embeddings) or view != "plain":
        return embeddings.unit(view)
    order = np.argsort(labels, kind="stable")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # which lives on while it is mapped
            rows = np.memmap(file, dtype=np.float32, mode="w+", shape=embeddings.embeddings.shape)
    except OSError as error:
        raise EvaluationError(
            f"{embeddings.embeddings.nbytes:,} bytes of unit vectors could not be written: {reason_of(error)}; make"
            " room, or name another folder in TMPDIR"
        ) from error
    for start in range(0, len(order), _AT_ONCE):
        unit, norms = unit_rows(embeddings.embeddings[order[start : start + _AT_ONCE]])
        if not norms.all():
            embeddings.unit(view)  # which says in which row there is no direction
        rows[start : start + _AT_ONCE] = unit
    return OrderedRows(rows, order)


def is_mapped(array: NDArray) -> bool:
    """Whether the values of an array lie in a file."""
    found: object = array
    while isinstance(found, np.ndarray):
        if isinstance(found, np.memmap):
            return True
        found = found.base
    if isinstance(found, memoryview):
        found = found.obj
    return isinstance(found, mmap.mmap)  # the parts of a sharded set, one behind the other
