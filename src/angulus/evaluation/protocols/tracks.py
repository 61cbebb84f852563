"""Video against video: one vector for a track of frames, and YouTube Faces' ten folds of 500 pairs of videos.

A track's vector is the mean of its frames' embeddings (raw, or each divided by its norm first); accuracy over the folds
is `folded_accuracy`, as for LFW (Wolf, Hassner, Maoz, "Face Recognition in Unconstrained Videos with Matched Background
Similarity", CVPR 2011). `splits.txt`: a header, then lines "split number, first name, second name, is same" such as
"1, Ada_Lovelace/0, Alan_Turing/3, 0"; splits are numbered from 1, a name is person/video, same is 1 or 0. Lines that
have more columns between the names and the last one are read too: the last column is taken.
"""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.files.pair_lists import NamedPairs
from angulus.evaluation.files.text_lists import opened
from angulus.evaluation.scores.pairs import Pairs


def read_track_pairs(path: str | Path) -> NamedPairs:
    """Read `splits.txt`; raises EvaluationError with the line number."""
    left, right, same, fold = [], [], [], []
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            fields = [field.strip() for field in line.split(",")]
            if not any(fields) or (number == 1 and not fields[0].isdigit()):
                continue
            if len(fields) < 4 or not all(fields[:3]) or not fields[0].isdigit() or fields[-1] not in ("0", "1"):
                raise EvaluationError(
                    f"{path}: line {number} must be 'split number, first name, second name, is same', got"
                    f" {line.strip()[:80]!r}"
                )
            left.append(fields[1])
            right.append(fields[2])
            same.append(fields[-1] == "1")
            fold.append(int(fields[0]))
    if not left:
        raise EvaluationError(f"{path} lists no pairs of tracks")
    numbers = np.unique(fold, return_inverse=True)[1]
    return NamedPairs(left=tuple(left), right=tuple(right), same=np.array(same), fold=numbers.astype(np.int64))


def pool_tracks(
    embeddings: EmbeddingSet, tracks: NDArray[np.str_] | list[str] | None = None, *, keep_norms: bool = True
) -> EmbeddingSet:
    """One embedding a track, keyed by its name: the mean of its frames, plain and mirrored each on its own.

    tracks: the track of each frame [n]; left out, the key without its last part ("Ada/0/0.17.jpg" is a frame of
    "Ada/0"). keep_norms=False divides each frame by its norm first. Labels are kept, and must agree within a track.
    """
    names = np.array(_tracks_of_keys(embeddings) if tracks is None else tracks, dtype=np.str_)
    if names.shape != (len(embeddings),):
        raise EvaluationError(f"tracks must have one entry for each of the {len(embeddings)} frames, got {len(names)}")
    order = np.argsort(names, kind="stable")
    keys, starts = np.unique(names[order], return_index=True)
    labels = embeddings.labels
    if labels is not None:
        sorted_labels = labels[order]
        mixed = np.flatnonzero(np.maximum.reduceat(sorted_labels, starts) != np.minimum.reduceat(sorted_labels, starts))
        if len(mixed):
            raise EvaluationError(
                f"frames of one track must have one label, got several in track {str(keys[mixed[0]])!r}"
            )
        labels = sorted_labels[starts]
    plain, flipped = (
        None if part is None else _means(embeddings, part, order, starts, keep_norms)
        for part in (embeddings.embeddings, embeddings.flipped)
    )
    assert plain is not None
    return EmbeddingSet(
        embeddings=plain,
        labels=labels,
        keys=tuple(keys.tolist()),
        identities=embeddings.identities,
        flipped=flipped,
    )


def match_tracks(pairs: NamedPairs, tracks: EmbeddingSet) -> Pairs:
    """Turn names of tracks into rows of a set from `pool_tracks`; names must be equal, folders included."""
    rows = {key: row for row, key in enumerate(tracks.keys or ())}
    unknown = [name for name in pairs.names() if name not in rows]
    if unknown:
        raise EvaluationError(
            f"{len(unknown)} of the {len(pairs.names())} tracks that the pairs name have no frames, first"
            f" {unknown[0]!r}; the first track there is {next(iter(rows), '')!r}"
        )
    left, right = (np.array([rows[name] for name in side]) for side in (pairs.left, pairs.right))
    return Pairs(left=left, right=right, same=pairs.same, fold=pairs.fold)


def _means(
    embeddings: EmbeddingSet,
    frames: NDArray[np.float32],
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    keep_norms: bool,
) -> NDArray[np.float32]:
    means = np.empty((len(starts), frames.shape[1]), dtype=np.float32)
    ends = np.append(starts[1:], len(order))
    for track, (start, end) in enumerate(zip(starts, ends, strict=True)):
        part = frames[order[start:end]].astype(np.float64)
        if not keep_norms:
            norms = np.linalg.norm(part, axis=1, keepdims=True)
            if not norms.all():
                row = int(order[start + int(np.argmin(norms))])
                raise EvaluationError(f"a frame must have a direction, got all zeros in {embeddings.describe(row)}")
            part /= norms
        means[track] = part.mean(axis=0)
    return means


def _tracks_of_keys(embeddings: EmbeddingSet) -> list[str]:
    if embeddings.keys is None:
        raise EvaluationError("tracks need the names of the frames, and these embeddings have no keys; give tracks")
    parents = [str(PurePosixPath(key.replace("\\", "/")).parent) for key in embeddings.keys]
    if "." in parents:
        raise EvaluationError(
            f"a frame's key must be track/frame, got {embeddings.keys[parents.index('.')]!r}; give tracks"
        )
    return parents
