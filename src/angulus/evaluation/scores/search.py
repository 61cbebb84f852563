"""Who in the gallery looks most like each probe, and how far behind is the right one: 1:N search, streamed.

Probes [p, d] meet the gallery [g, d] and distractors in blocks; a p x g matrix never exists. Memory is one block of
products plus O(p k). An entry is a *mate* of a probe when both have the same label; distractors are mates of nobody.

    mate score    the highest score among the probe's mates: of several gallery rows of one person the best counts
    above, tied   gallery entries of other people whose score is greater than, or equal to, the mate score
    rank          1 + above + tied: pessimistic, a tie with the mate counts against the probe (optimistic: 1 + above)
    non-mate      the highest score among entries of other people: what an open-set threshold is made of

The rank counts entries, not people: two photographs of one stranger above the mate cost two ranks. It is a count, so
that no list is sorted. Blocks are screened in float32; every score that is reported or compared with a mate is
recomputed in float64 and rounded once, so that results do not depend on block sizes or on the device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from angulus.embeddings.columns import array_of
from angulus.errors import EvaluationError
from angulus.evaluation.scores.mates import Mates
from angulus.evaluation.scores.vectors import (
    VectorBlocks,
    checked_unit,
    exact_cosines,
    on_device,
    product_slack,
    unit_blocks,
)

BLOCKS = {"cpu": (512, 4096), "cuda": (4096, 65_536)}  # probes and gallery rows of one product
_SPARE = 8
_BYTES = 16  # of a product's entry, with what is compared of it


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """What a search found for each of p probes.

    rows, scores: int64 and float32 [p, k], the best k entries, best first; -1 and -inf where there are fewer. Row
    numbers go on from the gallery into the distractors. mate_rows, mate_scores: the best mate, -1 and -inf without
    one. above, tied: int64 [p], non-mate entries above and equal to the mate score (0 without a mate).
    nonmate_rows, nonmate_scores: the best non-mate. gallery, distractors: how many entries were searched.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    mate_rows: NDArray[np.int64]
    mate_scores: NDArray[np.float32]
    above: NDArray[np.int64]
    tied: NDArray[np.int64]
    nonmate_rows: NDArray[np.int64]
    nonmate_scores: NDArray[np.float32]
    gallery: int
    distractors: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mated(self) -> NDArray[np.bool_]:
        """Which probes have a mate in the gallery."""
        return self.mate_rows >= 0

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Rank of the mate [p], ties against the probe; 0 without a mate."""
        return np.where(self.mated, 1 + self.above + self.tied, 0)

    @property
    def optimistic_ranks(self) -> NDArray[np.int64]:
        """Rank of the mate [p] where ties are forgiven; 0 without a mate."""
        return np.where(self.mated, 1 + self.above, 0)


def search_gallery(
    probes: ArrayLike,
    gallery: ArrayLike,
    *,
    probe_labels: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    distractors: VectorBlocks = (),
    top: int = 1,
    device: str | torch.device = "cpu",
) -> SearchResult:
    """Search every probe in the gallery and the distractors.

    probes [p, d], gallery [g, d]: unit vectors. Labels: whole numbers [p] and [g], both or neither; equal means mate.
    distractors: one array [m, d] or an iterable of such, memory-mapped ones included. Raises EvaluationError for rows
    that are not unit vectors (NaN included), named by their number.
    """
    if top < 1:
        raise EvaluationError(f"top must be at least 1, got {top}")
    unit = checked_unit("probes", probes)
    gallery = array_of(gallery)
    labels = _checked_labels(probe_labels, len(unit), gallery_labels, len(gallery))
    mates = Mates(labels[0], top)
    queries = on_device(unit, device)
    size = block_sizes(queries.device)[1]
    for start, block in unit_blocks("gallery", gallery, size, width=unit.shape[1]):
        mates.add(queries, on_device(block, device), labels[1][start : start + size], start)
    stream = Stream(queries, top=top, mate_scores=mates.scores[:, 0] if labels[2] else None)
    for start, block in unit_blocks("gallery", gallery, size, width=unit.shape[1]):
        stream.add(on_device(block, device), start, mates.pairs(labels[1][start : start + size]))
    for start, block in unit_blocks("distractors", distractors, size, width=unit.shape[1], first_row=len(gallery)):
        stream.add(on_device(block, device), start)
    return _result(mates, stream, len(gallery))


class Stream:
    """The best k non-mates of each probe, and the count of those above and tied with its mate, block by block.

    observer: called with each block's screened scores, the probes they belong to and the block.
    """

    def __init__(
        self,
        probes: Tensor,
        *,
        top: int,
        mate_scores: NDArray[np.float32] | None = None,
        observer: Callable[[Tensor, slice, Tensor], None] | None = None,
    ) -> None:
        self.probes, self.top, self.seen, self.observer = probes, top, 0, observer
        self.slack = product_slack(probes.shape[1])
        kind = {"device": probes.device}
        self.scores = torch.full((len(probes), top), -torch.inf, **kind)
        self.rows = torch.full((len(probes), top), -1, dtype=torch.int64, **kind)
        self.above = torch.zeros(len(probes), dtype=torch.int64, **kind)
        self.tied = torch.zeros(len(probes), dtype=torch.int64, **kind)
        self.mate_scores = None
        if mate_scores is not None:  # nothing lies above +inf: probes without a mate count nothing
            given = torch.from_numpy(mate_scores.copy()).to(probes.device)
            self.mate_scores = torch.where(given == -torch.inf, torch.inf, given)

    def add(
        self, block: Tensor, first_row: int, hidden: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    ) -> None:
        """Take in entries [m, d]. hidden: (probe, column) of mates, sorted by probe, which this block leaves out."""
        step = block_sizes(block.device)[0]
        for start in range(0, len(self.probes), step):
            part = slice(start, min(start + step, len(self.probes)))
            screened = self.probes[part] @ block.T
            if hidden is not None:
                low, high = np.searchsorted(hidden[0], (part.start, part.stop))
                screened[hidden[0][low:high] - start, hidden[1][low:high]] = -torch.inf
            self._take(screened, part, block, first_row)
            if self.observer is not None:
                self.observer(screened, part, block)
        self.seen += len(block)

    def _take(self, screened: Tensor, part: slice, block: Tensor, first_row: int) -> None:
        best = screened.amax(1)
        found = torch.nonzero(best > self.scores[part, -1] - self.slack)[:, 0]
        if len(found):
            self._keep(screened, found, part.start, block, first_row)
        if self.mate_scores is not None:
            mate = self.mate_scores[part]
            found = torch.nonzero(best >= mate - self.slack)[:, 0]
            if len(found):
                self._count(screened[found], found + part.start, mate[found, None], block)

    def _keep(self, screened: Tensor, found: Tensor, start: int, block: Tensor, first_row: int) -> None:
        """Merge the best of this block into the running lists; in lists of equal scores lower rows come first."""
        probes = found + start
        values, columns = screened[found].topk(min(self.top + _SPARE, len(block)))
        columns, order = columns.sort(1)
        worth = values.gather(1, order) > self.scores[probes, -1:] - self.slack
        exact = torch.full_like(values, -torch.inf)
        exact[worth] = exact_cosines(self.probes, probes[:, None].expand_as(columns)[worth], block, columns[worth])
        rows = torch.where(worth, columns + first_row, -1)
        scores = torch.cat([self.scores[probes], exact], 1)
        scores, order = torch.sort(scores, dim=1, descending=True, stable=True)
        self.scores[probes] = scores[:, : self.top]
        self.rows[probes] = torch.cat([self.rows[probes], rows], 1).gather(1, order)[:, : self.top]

    def _count(self, screened: Tensor, probes: Tensor, mate: Tensor, block: Tensor) -> None:
        """Entries clearly above the mate are counted as screened; those within the slack are computed exactly."""
        clear = (screened > mate + self.slack).sum(1)
        self.above[probes] += clear
        if int((screened >= mate - self.slack).sum() - clear.sum()) == 0:
            return
        near, columns = torch.nonzero((screened >= mate - self.slack) & (screened <= mate + self.slack), as_tuple=True)
        exact = exact_cosines(self.probes, probes[near], block, columns)
        for counts, hit in ((self.above, exact > mate[near, 0]), (self.tied, exact == mate[near, 0])):
            counts.index_add_(0, probes[near], hit.to(torch.int64))


def block_sizes(device: torch.device) -> tuple[int, int]:
    """How many probes and gallery rows one product takes; raises EvaluationError for a device without float64."""
    if device.type not in BLOCKS:
        raise EvaluationError(f"a search runs on {' or '.join(BLOCKS)}, got the device {str(device)!r}")
    probes, rows = BLOCKS[device.type]
    if device.type == "cuda":
        rows = rows_that_fit(probes, rows, torch.cuda.mem_get_info(device)[0])
    return probes, rows


def rows_that_fit(probes: int, rows: int, free: int) -> int:
    """`rows`, or as many fewer as a product with its comparisons needs to fit into the free bytes."""
    while rows > BLOCKS["cpu"][1] and probes * rows * _BYTES > free:
        rows //= 2
    return rows


def _checked_labels(
    probe_labels: ArrayLike | None, probes: int, gallery_labels: ArrayLike | None, gallery: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    if (probe_labels is None) != (gallery_labels is None):
        raise EvaluationError("probe_labels and gallery_labels must both be given or both be left out, got one of them")
    if probe_labels is None or gallery_labels is None:
        return np.zeros(probes, dtype=np.int64), np.full(gallery, -1, dtype=np.int64), False
    for name, labels, count in (("probe", probe_labels, probes), ("gallery", gallery_labels, gallery)):
        values = array_of(labels)
        if values.shape != (count,) or not (np.issubdtype(values.dtype, np.integer) or values.size == 0):
            raise EvaluationError(
                f"{name}_labels must be whole numbers, one for each of {count} rows, got {values.dtype}"
                f" {list(values.shape)}"
            )
        if count and int(values.min()) < 0:
            row = int(np.argmin(values))
            raise EvaluationError(
                f"{name}_labels must be at least 0, got {values[row]} in row {row}; leave such rows out"
            )
    return array_of(probe_labels).astype(np.int64), array_of(gallery_labels).astype(np.int64), True


def _result(mates: Mates, stream: Stream, gallery: int) -> SearchResult:
    nonmate_scores, nonmate_rows = stream.scores.cpu().numpy(), stream.rows.cpu().numpy()
    scores = np.concatenate([mates.scores, nonmate_scores], axis=1)
    rows = np.concatenate([mates.rows, nonmate_rows], axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, : stream.top]
    return SearchResult(
        rows=np.take_along_axis(rows, order, axis=1),
        scores=np.take_along_axis(scores, order, axis=1),
        mate_rows=mates.rows[:, 0],
        mate_scores=mates.scores[:, 0],
        above=stream.above.cpu().numpy(),
        tied=stream.tied.cpu().numpy(),
        nonmate_rows=nonmate_rows[:, 0],
        nonmate_scores=nonmate_scores[:, 0],
        gallery=gallery,
        distractors=stream.seen - gallery,
    )
