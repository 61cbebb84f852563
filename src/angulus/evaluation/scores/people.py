"""Who is compared in a pair list? Intervals need the people; a list names images, and says who is one person."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.evaluation.scores.pairs import Pairs


def people_of_pairs(embeddings: EmbeddingSet, pairs: Pairs) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """The people on both sides of each pair, int64 [p] each; None where they are not known.

    Tried in turn: the labels of the set, the folder that holds an image by its key ("Ada/Ada_0001.jpg"), the first
    folder ("id10270/video/00001.wav"), the file's name without its number ("Ada_0001.jpg"). What contradicts the list,
    two people in a genuine pair or one in an impostor pair, is passed over.
    """
    for people in _candidates(embeddings):
        left, right = people[pairs.left], people[pairs.right]
        if len(np.unique(np.concatenate([left, right]))) > 1 and ((left == right) == pairs.same).all():
            return left, right
    return None


def _candidates(embeddings: EmbeddingSet) -> Iterator[NDArray[np.int64]]:
    if embeddings.labels is not None:
        yield embeddings.labels
    if embeddings.keys is None:
        return
    paths = [PurePosixPath(key.replace("\\", "/")) for key in embeddings.keys]
    yield _numbered([str(path.parent) for path in paths])
    yield _numbered([path.parts[0] if path.parts else "" for path in paths])
    yield _numbered([path.stem.rpartition("_")[0] for path in paths])


def _numbered(names: list[str]) -> NDArray[np.int64]:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
