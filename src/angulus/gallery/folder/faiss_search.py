"""Candidates from an index of faiss over the templates, built in memory when a gallery is opened.

    Flat          every row, exactly                     IVF1024,SQ8   cells of k-means, a byte for each number
    HNSW32        a graph of neighbours, the fastest     or any other name that faiss.index_factory knows

Whoever uses it scores the candidates exactly, so that approximate answers miss people and never misjudge one. Rows that
were changed or removed are passed over; when a quarter of them are, the index is built again from the stored people.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.folder.row_matrix import Change, Layout

_EACH_CELL = 39  # vectors that faiss wants for each cell of k-means
_TRAINED_ON = 100_000
_STALE = 0.25


class FaissIndex:
    """A `RowIndex`.

    kind: as faiss.index_factory names it.  effort: of HNSW the candidates kept on the way (efSearch; None: 128), of IVF
    the cells visited (nprobe; None: a sixteenth, and at least 8).
    Raises GalleryError where the package or the kind is missing.
    """

    def __init__(self, kind: str = "HNSW32", effort: int | None = None) -> None:
        try:
            import faiss
        except ImportError:
            raise GalleryError(
                "searching with faiss needs the package faiss-cpu, which is not installed: pip install 'angulus[faiss]'"
            ) from None
        self._faiss: Any = faiss
        self.kind, self.effort = kind, effort
        self._lock = threading.Lock()
        self._clear()
        self._made(8)  # an unknown kind is told at once

    def _clear(self) -> None:
        self._layout: Layout | None = None
        self._shows: Change | None = None
        self._index: Any = None
        self._is_final = False
        self._row_of = np.empty(0, dtype=np.int64)  # by number in the index, -1 for what is no more
        self._number_of = np.empty(0, dtype=np.int64)  # by row, -1 for nobody
        self._pending: list[NDArray[np.float32]] = []

    @contextmanager
    def exclusive(self) -> Generator[None, None, None]:
        yield

    def shows(self, layout: Layout) -> Change | None:
        stale = np.count_nonzero(self._row_of < 0)
        if layout != self._layout or stale > max(1000, _STALE * len(self._row_of)):
            return None
        return self._shows

    def reset(self, layout: Layout) -> None:
        with self._lock:
            self._clear()
            self._layout = layout
            self._index = self._made(layout.dim, "Flat")

    def reserve(self, count: int) -> None:
        """Make room for so many rows."""
        more = np.full(max(0, count - len(self._number_of)), -1, dtype=np.int64)
        self._number_of = np.concatenate([self._number_of, more])

    def update(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        with self._lock:
            self._pass_over(rows)
            self._number_of[rows] = len(self._row_of) + np.arange(len(rows))
            self._row_of = np.concatenate([self._row_of, rows])
            self._index.add(np.ascontiguousarray(vectors)) if not self._grows() else self._pending.append(vectors)

    def forget(self, rows: NDArray[np.int64]) -> None:
        with self._lock:
            rows = rows[rows < len(self._number_of)]
            self._pass_over(rows)
            self._number_of[rows] = -1

    def _pass_over(self, rows: NDArray[np.int64]) -> None:
        old = self._number_of[rows]
        self._row_of[old[old >= 0]] = -1

    def settle(self, change: Change) -> None:
        """Build the index of the kind that was asked for, once there are enough vectors for it."""
        with self._lock:
            if self._grows() and len(self._row_of):
                self._build()
            self._shows = change

    def _grows(self) -> bool:
        """Whether the kind asked for is still to be built."""
        return not self._is_final

    def _build(self) -> None:
        held = self._index.reconstruct_n(0, self._index.ntotal) if self._index.ntotal else None
        vectors = np.concatenate([*([] if held is None else [held]), *self._pending])
        self._pending = []
        index = self._made(vectors.shape[1])
        cells = getattr(index, "nlist", 1)
        if not index.is_trained and len(vectors) < max(_EACH_CELL * cells, 256):
            index = self._made(vectors.shape[1], "Flat")
        else:
            self._is_final = True
            if not index.is_trained:
                step = -(-len(vectors) // max(_TRAINED_ON, _EACH_CELL * cells))
                index.train(np.ascontiguousarray(vectors[::step]))
        index.add(np.ascontiguousarray(vectors))
        self._index = index

    def _made(self, dim: int, kind: str | None = None) -> Any:
        kind = kind or self.kind
        try:
            index = self._faiss.index_factory(dim, kind, self._faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise GalleryError(f"faiss knows no index {kind!r:.80}; name another, such as HNSW32") from error
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = self.effort or 128
            index.hnsw.efConstruction = 128
        if hasattr(index, "nprobe"):
            index.nprobe = min(index.nlist, self.effort or max(8, -(-index.nlist // 16)))
        return index

    def candidates(self, queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        with self._lock:
            stale = int(np.count_nonzero(self._row_of < 0))
            wanted = min(count + min(stale, count), self._index.ntotal)
            if not wanted:
                return np.full((len(queries), 1), -1, dtype=np.int64)
            _, numbers = self._index.search(np.ascontiguousarray(queries), wanted)
            return np.where(numbers < 0, -1, self._row_of[numbers])

    def memory(self) -> int:
        """Bytes of the vectors in the index, and of the links of a graph."""
        if self._index is None:
            return 0
        each = self._index.code_size if hasattr(self._index, "code_size") else 4 * self._index.d
        links = 4 * self._index.hnsw.neighbors.size() if hasattr(self._index, "hnsw") else 0
        return self._index.ntotal * each + links

    def close(self) -> None:
        with self._lock:
            self._clear()
