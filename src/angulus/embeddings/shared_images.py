"""Which images do two sets of embeddings share? A search would find such an image at once, as itself.

Where both sets have keys, an image of one is an image of the other when key and person are equal and the embeddings
point the same way (two folders may both have an Ada/0001.jpg). Without keys, when person and embedding are equal and no
other image of either set has this embedding.
"""

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings.sets import EmbeddingSet
from angulus.errors import EvaluationError

NOBODY = -1
_ALIKE = 0.999
_BLOCK = 4096


def shared_rows(
    queries: EmbeddingSet,
    gallery: EmbeddingSet,
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The row in the gallery of each query's own image [q], NOBODY where it is not there.

    Raises EvaluationError where a key that both sets have stands for several images of one of them.
    """
    if queries.keys is not None and gallery.keys is not None:
        rows = _rows_of_keys(queries.keys, gallery.keys)
        found = np.flatnonzero(rows >= 0)
        found = found[query_labels[found] == gallery_labels[rows[found]]]
        alike = [_alike(queries, gallery, part, rows[part]) for part in _parts(found)]
        kept = np.full(len(queries), NOBODY, dtype=np.int64)
        shared = found[np.concatenate(alike)] if alike else found
        kept[shared] = rows[shared]
        _check_once(queries, shared)
        _check_once(gallery, rows[shared])
        return kept
    return _rows_of_vectors(queries, gallery, query_labels, gallery_labels)


def check_apart(shared: NDArray[np.int64], probes: EmbeddingSet, what: str) -> None:
    """Raise EvaluationError naming the first probe that is in the gallery too."""
    rows = np.flatnonzero(shared >= 0)
    if len(rows):
        raise EvaluationError(
            f"{len(rows)} of the {len(probes)} {what} are in the gallery too, first {probes.describe(int(rows[0]))};"
            " each would find itself at rank 1: leave the gallery out to search a set in itself, or remove these images"
        )


def _rows_of_keys(keys: tuple[str, ...], others: tuple[str, ...]) -> NDArray[np.int64]:
    places = {key: row for row, key in enumerate(others)}
    return np.array([places.get(key, NOBODY) for key in keys], dtype=np.int64)


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _alike(
    queries: EmbeddingSet, gallery: EmbeddingSet, rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    if queries.dim != gallery.dim:
        return np.zeros(len(rows), dtype=bool)
    one, other = (each.astype(np.float64) for each in (queries.embeddings[rows], gallery.embeddings[others]))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("nd,nd->n", one, other) >= _ALIKE * lengths


def _check_once(found: EmbeddingSet, rows: NDArray[np.int64]) -> None:
    if not len(rows):
        return
    assert found.keys is not None
    counts: dict[str, int] = {}
    for key in found.keys:
        counts[key] = counts.get(key, 0) + 1
    twice = next((found.keys[row] for row in rows.tolist() if counts[found.keys[row]] > 1), None)
    if twice is not None:
        raise EvaluationError(
            f"the key {twice!r} stands for {counts[twice]} rows of one set and for one of the other, so that"
            " nobody can say which is itself; give every one a key of its own"
        )


def _rows_of_vectors(
    queries: EmbeddingSet,
    gallery: EmbeddingSet,
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
) -> NDArray[np.int64]:
    kept = np.full(len(queries), NOBODY, dtype=np.int64)
    if queries.dim != gallery.dim:
        return kept
    # first by two numbers of each row, which few rows have in common; then by all
    one, other = _marks(queries.embeddings), _marks(gallery.embeddings)
    rows, others = np.flatnonzero(np.isin(one, other)), np.flatnonzero(np.isin(other, one))
    whole = [queries.embeddings[row].tobytes() for row in rows], [gallery.embeddings[row].tobytes() for row in others]
    places: dict[bytes, int] = {}
    for row, content in zip(others.tolist(), whole[1], strict=True):
        places[content] = NOBODY if content in places else row
    seen: dict[bytes, int] = {}
    for content in whole[0]:
        seen[content] = seen.get(content, 0) + 1
    for row, content in zip(rows.tolist(), whole[0], strict=True):
        place = places.get(content, NOBODY)
        if place >= 0 and seen[content] == 1 and query_labels[row] == gallery_labels[place]:
            kept[row] = place
    return kept


def _marks(vectors: NDArray[np.float32]) -> NDArray[np.uint64]:
    ends = np.ascontiguousarray(vectors[:, [0, -1]], dtype=np.float32)
    return ends.view(np.uint64)[:, 0]
