"""How does recognition hold out against a crowd: the MegaFace protocol, for any numbers of distractors.

Each ordered pair (probe, gallery mate) of two images of one person is a test: the gallery is that one mate plus the
first N distractors, and the probe finds its mate at rank k when fewer than k distractors score as high as the mate or
higher (ties count against the probe). A person with m images gives m (m - 1) tests. Verification: the genuine pairs
are all pairs of two images of one person, the impostor pairs every probe with every distractor; the threshold is the
smallest one whose FAR does not exceed the target. As published: FaceScrub as probes, up to a million distractors,
rank 1, FAR 1e-6 (Kemelmacher-Shlizerman et al., "The MegaFace Benchmark", CVPR 2016).

Prefixes of the distractors are used in the order given; the devkit's own sets are lists that one gives in its order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from angulus.errors import EvaluationError
from angulus.evaluation.rates.identification import allowed_count
from angulus.evaluation.rates.roc import OperatingPoint, descending
from angulus.evaluation.scores.search import Stream, block_sizes
from angulus.evaluation.scores.vectors import (
    VectorBlocks,
    checked_unit,
    exact_cosines,
    on_device,
    product_slack,
    unit_blocks,
)

MEGAFACE_SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_ROOM = 2**20
_PAIRS = 2**20


@dataclass(frozen=True, kw_only=True)
class DistractorPoint:
    """`hits` of `tests` (probe, mate) pairs found at this rank among so many distractors."""

    distractors: int
    rank: int
    hits: int
    tests: int

    @property
    def rate(self) -> float:
        """Identification rate, 0 to 1."""
        return self.hits / self.tests

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"distractors": self.distractors, "rank": self.rank, "rate": self.rate},
            **{"hits": self.hits, "tests": self.tests},
        }


@dataclass(frozen=True, kw_only=True)
class DistractorResult:
    """identification: every number of distractors and rank. verification: TAR at each FAR over all distractors used."""

    probes: int
    people: int
    identification: tuple[DistractorPoint, ...]
    verification: tuple[OperatingPoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"probes": self.probes, "people": self.people},
            "identification": [point.as_dict() for point in self.identification],
            "verification": [point.as_dict() for point in self.verification],
        }

    def table(self) -> str:
        """The figures as lines of text."""
        lines = [f"{self.probes:,} probes of {self.people:,} people", "distractors  rank       rate              hits"]
        lines += [
            f"{point.distractors:11,d}  {point.rank:4d}  {point.rate:9.2%}  {point.hits:,} of {point.tests:,}"
            for point in self.identification
        ]
        lines += [
            f"TAR at FAR <= {point.target:g}: {point.tar:.2%} ({point.true_accepts:,} of {point.genuine:,}, threshold"
            f" {point.threshold:.4f}, {point.false_accepts:,} of {point.impostors:,} impostors)"
            for point in self.verification
        ]
        return "\n".join(lines)


def megaface(
    probes: ArrayLike,
    labels: ArrayLike,
    distractors: VectorBlocks,
    *,
    sizes: Sequence[int] = MEGAFACE_SIZES,
    ranks: Sequence[int] = (1,),
    fars: Sequence[float] = (1e-6,),
    device: str | torch.device = "cpu",
) -> DistractorResult:
    """Identification at every size and rank, verification at every FAR with max(sizes) distractors.

    probes: unit vectors [p, d]; labels: whole numbers [p]; distractors: one array or an iterable of arrays [m, d],
    memory-mapped ones included. Raises EvaluationError when there are fewer distractors than max(sizes), or no person
    has two images.
    """
    unit = checked_unit("probes", probes)
    people = np.asarray(labels)
    wanted = sorted({int(size) for size in sizes})
    if not wanted or wanted[0] < 1 or not len(ranks) or min(ranks) < 1:
        raise EvaluationError(f"sizes and ranks must be at least 1, got {list(sizes)} and {list(ranks)}")
    queries = on_device(unit, device)
    left, right = _ordered_pairs(people, len(unit))
    mates = _pair_cosines(queries, left, right)
    tail = Tail(queries, keep=max((allowed_count(far, len(unit) * wanted[-1]) + 1 for far in fars), default=0))
    points = []
    stream = Stream(queries, top=max(ranks), observer=tail.add if fars else None)
    for size in _fill(stream, distractors, wanted, unit.shape[1]):
        nearest = stream.scores.cpu().numpy()
        for rank in sorted(set(ranks)):
            hits = int((mates > nearest[left, rank - 1]).sum())
            points.append(DistractorPoint(distractors=size, rank=rank, hits=hits, tests=len(mates)))
    genuine = mates[left < right]
    return DistractorResult(
        probes=len(unit),
        people=len(np.unique(people)),
        identification=tuple(points),
        verification=tuple(tail.point(far, genuine, len(unit) * wanted[-1]) for far in descending(fars)),
    )


class Tail:
    """The largest `keep` of all scores that pass by, exact; memory O(keep)."""

    def __init__(self, probes: Tensor, keep: int) -> None:
        self.probes, self.keep = probes, keep
        self.slack = product_slack(probes.shape[1])
        self.bound = -torch.inf
        self.values = probes.new_empty(0)

    def add(self, screened: Tensor, part: slice, block: Tensor) -> None:
        """Take in one block of float32 products; what could be among the largest is computed exactly."""
        bound = self.bound
        if screened.numel() > self.keep:
            own = float(screened.flatten().topk(self.keep).values[-1]) if bound == -torch.inf else bound
            bound = max(bound, own - self.slack)
        rows, columns = torch.nonzero(screened > bound - self.slack, as_tuple=True)
        if not len(rows):
            return
        exact = exact_cosines(self.probes, rows + part.start, block, columns)
        self.values = torch.cat([self.values, exact[exact > self.bound]])
        if len(self.values) > 2 * self.keep + _ROOM or self.bound == -torch.inf:
            self._shrink()

    def _shrink(self) -> None:
        if len(self.values) >= self.keep:
            self.values = self.values.topk(self.keep).values
            # The scores equal to the bound need no more copies: `keep` values at or above it are held already.
            self.bound = float(self.values[-1])

    def point(self, far: float, genuine: NDArray[np.float32], impostors: int) -> OperatingPoint:
        """TAR at the smallest threshold whose FAR does not exceed the target."""
        self._shrink()
        largest = np.sort(self.values.cpu().numpy())[::-1]
        allowed = allowed_count(far, impostors)
        threshold = float(largest[allowed])
        return OperatingPoint(
            target=float(far),
            threshold=threshold,
            false_accepts=int((largest > threshold).sum()),
            impostors=impostors,
            true_accepts=int((genuine > threshold).sum()),
            genuine=len(genuine),
            resolved=allowed >= 1,
        )


def _fill(stream: Stream, distractors: VectorBlocks, sizes: list[int], width: int) -> Iterator[int]:
    """Feed the stream, stopping at every size."""
    waiting = list(sizes)
    rows = block_sizes(stream.probes.device)[1]
    for _, block in unit_blocks("distractors", distractors, rows, width=width):
        while waiting and len(block):
            taken = block[: waiting[0] - stream.seen]
            stream.add(on_device(taken, stream.probes.device), stream.seen)
            block = block[len(taken) :]
            if stream.seen == waiting[0]:
                yield waiting.pop(0)
        if not waiting:
            return
    raise EvaluationError(
        f"distractors must hold at least {sizes[-1]:,} rows for the sizes asked for, got {stream.seen:,};"
        " give more, or smaller sizes"
    )


def _ordered_pairs(labels: NDArray[np.integer], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(probe, mate) of every two images of one person, in both directions."""
    if labels.shape != (count,):
        raise EvaluationError(f"labels must have one entry for each of the {count} probes, got {list(labels.shape)}")
    order = np.argsort(labels, kind="stable")
    _, counts = np.unique(labels, return_counts=True)
    if not (counts > 1).any():
        raise EvaluationError("the protocol needs people with two or more images, got none among the probes")
    groups = np.split(order, np.cumsum(counts)[:-1])
    pairs = [np.array(np.nonzero(~np.eye(len(group), dtype=bool))) for group in groups]
    rows = [group[index] for group, index in zip(groups, pairs, strict=True)]
    left, right = np.concatenate(rows, axis=1)
    return left, right


def _pair_cosines(queries: Tensor, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    rows = [torch.from_numpy(side).to(queries.device) for side in (left, right)]
    return exact_cosines(queries, rows[0], queries, rows[1]).cpu().numpy()
