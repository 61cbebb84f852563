"""Which images are one picture twice, and which recordings one? The same file, the same values, or a changed copy.

    same bytes    equal files
    same pixels   other files that decode to equal pixels; same samples, same frames: to an equal recording
    copy          found by a hash (at most 40 of 256 bits differ, `hashing`; mirror images too) or by the embedding
                  (cosine of at least 0.9), and then laid over each other: an agreement of at least 0.985, or of
                  0.95 (recordings: 0.9) where at most 24 bits differ
    alike         found in the same way, with less agreement: mostly photos taken seconds apart, or stronger cuts
    not looked at beyond the most pairs that are laid over each other, or an image could not be read for it

Recordings are hashed and laid over each other as spectrograms (`looks.spectrograms`).
Of two photos of different people, 1 pair in a million differs in 40 bits or fewer on LFW, and most of these are copies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from angulus.data.examples import Source, bytes_of
from angulus.errors import DataError
from angulus.evaluation.scores.streaming.shares import Share
from angulus.inspection.contents import Contents, Progress
from angulus.inspection.hashing import BITS, distances
from angulus.inspection.nearest import NearPairs, cosine_of, near_pairs

Kind = Literal["same bytes", "same pixels", "same samples", "same frames", "copy", "alike", "not looked at"]
SAME: tuple[Kind, ...] = ("same bytes", "same pixels", "same samples", "same frames")
"""Equal in every value."""

MOST_BITS = 40
LEAST_COSINE = 0.9
MOST_LOOKED_AT = 2_000


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Two examples that are one, as rows of their sets. bits: that differ, of 256 (of several hashes, the fewest);
    cosine: of the embeddings; agreement: once laid over each other; NaN where not known."""

    left: int
    right: int
    kind: Kind
    bits: int
    cosine: float = float("nan")
    agreement: float = float("nan")

    @property
    def certain(self) -> bool:
        """Beyond doubt one picture."""
        return self.kind in (*SAME, "copy")


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A set that was looked at: its source, contents, and unit embeddings [n, d] where a model was at hand."""

    source: Source
    contents: Contents
    vectors: NDArray[np.float32] | None = None


def find_copies(
    one: Seen,
    other: Seen | None = None,
    *,
    most_bits: int = MOST_BITS,
    least_cosine: float = LEAST_COSINE,
    most: int = MOST_LOOKED_AT,
    device: str = "cpu",
    group: "dist.ProcessGroup | None" = None,
    near: Sequence[NearPairs] | None = None,
    progress: Progress | None = None,
) -> list[Copy]:
    """Pairs of examples of one set (each once), or of two sets, that are one; the surest first.

    Of many equal ones each is paired with the first alone. most: how many pairs are laid over each other.
    group: processes that share the comparison of all pairs; all must call this alike, and all get the list.  near: what
    `copy_parts` found of these sets, instead of comparing them.
    """
    second = one if other is None else other
    equal = _equal(one.contents, None if other is None else other.contents)
    found = [_described(left, right, kind, one, second) for left, right, kind in equal]
    known = {(copy.left, copy.right) for copy in found}
    twice = {copy.right for copy in found} if other is None else set()
    candidates = _candidates(one, other, near or nearest_of(one, other, most_bits, least_cosine, device, group=group))
    wanted = [pair for pair in candidates if pair not in known and not twice.intersection(pair)]
    look = _looker(one, second)
    for place, (left, right) in enumerate(wanted):
        described = _described(left, right, "not looked at", one, second)
        found.append(look(described) if place < most else described)
        if progress is not None and place < most:
            progress(place + 1, min(most, len(wanted)))
    order = (*SAME, "copy", "alike", "not looked at")
    return sorted(found, key=lambda copy: (order.index(copy.kind), -np.nan_to_num(copy.agreement), copy.bits))


def _equal(one: Contents, other: Contents | None) -> list[tuple[int, int, Kind]]:
    pairs: dict[tuple[int, int], Kind] = {}
    kinds: tuple[tuple[Kind, str], ...] = (("same bytes", "bytes_digest"), (one.look.same, "values_digest"))
    for kind, column in kinds:
        left = _with_digest(one, column)
        if other is None:
            for first, *rest in left.values():
                for row in rest:
                    pairs.setdefault((first, row), kind)
            continue
        for digest, rows in _with_digest(other, column).items():
            for first in left.get(digest, [])[:1]:
                for row in rows:
                    pairs.setdefault((first, row), kind)
            for further in left.get(digest, [])[1:]:
                pairs.setdefault((further, rows[0]), kind)
    return [(*pair, kind) for pair, kind in pairs.items()]


def _with_digest(contents: Contents, column: str) -> dict[int, list[int]]:
    """The readable rows of each digest."""
    rows = np.flatnonzero(contents.readable)
    digests = contents.rows[column][rows]
    order = np.argsort(digests, kind="stable")
    starts = np.flatnonzero(np.diff(digests[order], prepend=digests[order][:1] + np.uint64(1)))
    groups = np.split(rows[order], starts[1:]) if len(rows) else []
    return {int(contents.rows[column][group[0]]): group.tolist() for group in groups}


def nearest_of(
    one: Seen,
    other: Seen | None = None,
    most_bits: int = MOST_BITS,
    least_cosine: float = LEAST_COSINE,
    device: str = "cpu",
    *,
    share: Share = (0, 1),
    group: "dist.ProcessGroup | None" = None,
) -> list[NearPairs]:
    """Pairs that each hash and the embedding finds, as positions among the rows of `compared`; one part's, or all."""
    found = []
    for rows, others in compared(one, other):
        bound = least_cosine if rows.dtype == np.float32 else cosine_of(most_bits, BITS)
        found.append(near_pairs(rows, others, threshold=bound, device=device, share=share, group=group))
    return found


def compared(one: Seen, other: Seen | None) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
    """What is compared with what: hashes uint8 [n, 32], of which a mirrored one may stand on one side, and vectors."""
    first, second = one.contents.rows, (one if other is None else other).contents.rows
    rows, others = _telling(one, other)
    found: list[tuple[NDArray[Any], NDArray[Any] | None]] = []
    for left, right in one.contents.look.hashes:
        once = other is None and left == right
        found.append((first[left][rows], None if once else second[right][others]))
    vectors = one.vectors, (one if other is None else other).vectors
    if vectors[0] is not None and vectors[1] is not None:
        found.append((vectors[0][rows], None if other is None else vectors[1][others]))
    return found


def _telling(one: Seen, other: Seen | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose hashes tell something, of both sides."""
    rows = np.flatnonzero(one.contents.look.telling(one.contents.rows))
    return rows, rows if other is None else np.flatnonzero(one.contents.look.telling(other.contents.rows))


def _candidates(one: Seen, other: Seen | None, near: Sequence[NearPairs]) -> list[tuple[int, int]]:
    """Pairs of rows, those of the hash first, the most alike first."""
    ordered: dict[tuple[int, int], None] = {}
    for pairs in near:
        ordered.update(dict.fromkeys(_places(pairs, *_telling(one, other), within=other is None)))
    return list(ordered)


def _places(
    pairs: NearPairs, rows: NDArray[np.int64], others: NDArray[np.int64], *, within: bool
) -> list[tuple[int, int]]:
    places = zip(rows[pairs.left].tolist(), others[pairs.right].tolist(), strict=True)
    # a mirrored search of one set finds each pair twice, and pictures that are their own mirror image
    return [(min(pair), max(pair)) for pair in places if pair[0] != pair[1]] if within else list(places)


def _described(left: int, right: int, kind: Kind, one: Seen, other: Seen) -> Copy:
    columns = one.contents.look.hashes
    pairs = [(one.contents.rows[own][[left]], other.contents.rows[theirs][[right]]) for own, theirs in columns]
    bits = min(int(distances(own, theirs)[0]) for own, theirs in pairs)
    cosine = float("nan")
    if one.vectors is not None and other.vectors is not None:
        cosine = float(one.vectors[left] @ other.vectors[right])
    return Copy(left=left, right=right, kind=kind, bits=bits, cosine=cosine)


def _looker(one: Seen, other: Seen) -> Callable[[Copy], Copy]:
    look = one.contents.look

    def read(seen: Seen, row: int) -> NDArray[Any]:
        return look.decode(seen.source, row, bytes_of(seen.source, row))

    def judged(copy: Copy) -> Copy:
        try:
            found = look.agreement(read(one, copy.left), read(other, copy.right))
        except DataError:  # it was readable when it was scanned
            return copy
        proved = found >= look.bounds.copy or (copy.bits <= look.bounds.few_bits and found >= look.bounds.by_hash)
        return replace(copy, kind="copy" if proved else "alike", agreement=found)

    return judged
