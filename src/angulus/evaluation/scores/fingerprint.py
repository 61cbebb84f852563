"""Do two results speak of the same comparisons? A SHA-256 of what was compared with what, whoever embedded it.

Listed pairs: the names of both images, the truth and the fold of each pair, in the order of the list. All pairs: who is
in which image, by name; the order of the images and the numbers that stand for people do not matter. Names are the
keys without folder and ending where that is unambiguous, else without ending; a set without keys has its row numbers.
Names of files need not be UTF-8.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.evaluation.scores.pairs import Pairs


def fingerprint_of(embeddings: EmbeddingSet, pairs: Pairs | None) -> str:
    """The fingerprint of a pair list over a set, or of all pairs of a labelled set: 64 hexadecimal digits."""
    return _of_all(embeddings) if pairs is None else _of_list(embeddings, pairs)


def _of_list(embeddings: EmbeddingSet, pairs: Pairs) -> str:
    rows = np.union1d(pairs.left, pairs.right)
    names = dict(zip(rows.tolist(), _names(embeddings.keys, rows), strict=True))
    fold = np.full(len(pairs), -1) if pairs.fold is None else pairs.fold
    columns = zip(pairs.left.tolist(), pairs.right.tolist(), pairs.same.tolist(), fold.tolist(), strict=True)
    return _digest("listed pairs", (f"{names[a]}\t{names[b]}\t{same:d}\t{part}" for a, b, same, part in columns))


def _of_all(embeddings: EmbeddingSet) -> str:
    assert embeddings.labels is not None
    names = _names(embeddings.keys, np.arange(len(embeddings)))
    order = np.argsort(np.array(names), kind="stable") if embeddings.keys is not None else np.arange(len(names))
    labels = embeddings.labels[order]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    numbers = np.argsort(np.argsort(first))[inverse]  # people numbered as they first appear
    return _digest("all pairs", (f"{names[row]}\t{number}" for row, number in zip(order, numbers, strict=True)))


def _names(keys: Sequence[str] | None, rows: NDArray[np.int64]) -> list[str]:
    if keys is None:
        return [str(row) for row in rows.tolist()]
    paths = [PurePosixPath(keys[row].replace("\\", "/")) for row in rows.tolist()]
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path.with_suffix("")) for path in paths]


def _digest(kind: str, lines: Iterable[str]) -> str:
    found = hashlib.sha256(kind.encode())
    for line in lines:
        found.update(f"\n{line}".encode("utf-8", "surrogatepass"))
    return found.hexdigest()
