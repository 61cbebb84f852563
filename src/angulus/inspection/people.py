"""Are two identities one person? The centres of their images are compared, relative to how each looks like others.

    c_A = mean of the unit embeddings of A, brought to length 1
    s   = c_A . c_B            the mean cross similarity of the images of A and B, free of how much each set is spread
    z   = ((s - m_A) / d_A + (s - m_B) / d_B) / 2

m_A and d_A are mean and standard deviation of the highest 100 cosines of A with a cohort of other identities (adaptive
s-norm, Matejka et al. 2017), without A itself and without the very highest, who may be the same person. z says the same
of an identity of one blurred image and of one of 500 images, which s does not.

Calibration needs no list of who is who beyond the set: pairs of differently named identities are taken for impostors,
and identities of two or more images, cut into two halves, for genuine pairs. FAR is the share of impostor pairs with
z >= t. Where the wanted FAR is smaller than what 100 of them make (or 1e-5, where the first wrong names of a set are
met), log FAR is drawn on as a straight line from its last factor of ten (from 0.5 on, in small sets): tails of z fall
faster, so that the true FAR is smaller.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.errors import EvaluationError

TOP = 100
LEAST_IDENTITIES = 12
MOST_COHORT = 5_000
MOST_SAMPLED = 20_000
_BLOCK = 2048
_LOWEST, _STEP, _STEPS = -20.0, 0.01, 12_000
_RESOLVED, _CLEAN = 100, 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class Centres:
    """Unit centres float32 [c, d], images of each int64 [c], and mean and deviation of the best cohort cosines [c]."""

    vectors: NDArray[np.float32]
    counts: NDArray[np.int64]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, chosen: NDArray[np.int64]) -> "Centres":
        """Some of them."""
        return Centres(
            vectors=self.vectors[chosen], counts=self.counts[chosen], mean=self.mean[chosen], std=self.std[chosen]
        )

    def scores(self, other: "Centres") -> NDArray[np.float32]:
        """z of each pair, row by row."""
        cosines = np.einsum("nd,nd->n", self.vectors, other.vectors)
        return ((cosines - self.mean) / self.std + (cosines - other.mean) / other.std) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How z falls out for two people and for one.

    counts: impostor pairs in steps of z.  genuine: z of two halves of an identity [g].  smaller: images of the smaller
    half [g].
    """

    counts: NDArray[np.int64]
    genuine: NDArray[np.float32]
    smaller: NDArray[np.int64]

    @cached_property
    def pairs(self) -> int:
        """Impostor pairs that were counted."""
        return int(self.counts.sum())

    @property
    def resolved(self) -> float:
        """The smallest FAR that is read off the counts; below it the line is drawn on."""
        return max(_RESOLVED / max(self.pairs, 1), _CLEAN)

    def threshold(self, far: float) -> float:
        """The z that so small a share of impostor pairs reaches."""
        last = min(self.resolved, 0.05)
        if far >= last:
            return self._counted(far)
        first = min(10 * last, 0.5)  # in small sets a factor of ten would begin at the least alike pair
        near, steeper = self._counted(first), self._counted(last)
        slope = max(steeper - near, _STEP) / np.log(first / last)
        return float(steeper + slope * np.log(last / far))

    def far(self, threshold: float) -> float:
        """The estimated share of impostor pairs that reach a z."""
        low, high = -16.0, 0.0  # exponents of ten
        if threshold <= self._counted(1.0):
            return 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.threshold(10**middle) > threshold else (low, middle)
        return float(10 ** ((low + high) / 2))

    def found(self, threshold: float, least: int = 1) -> tuple[int, int]:
        """How many halves find each other, and of how many, where the smaller half has at least so many images."""
        chosen = self.smaller >= least
        return int((self.genuine[chosen] >= threshold).sum()), int(chosen.sum())

    @cached_property
    def above(self) -> NDArray[np.int64]:
        """Impostor pairs in each step of z and in higher ones, by falling numbers."""
        return self.counts[::-1].cumsum()[::-1]

    def _counted(self, far: float) -> float:
        step = int(np.searchsorted(-self.above, -far * self.pairs, side="left"))
        return _LOWEST + _STEP * step


@dataclass(frozen=True, kw_only=True, eq=False)
class PeoplePairs:
    """Pairs of identities (left, right) int64 [p] with z float32 [p], best first; mutual: each is the other's best."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    scores: NDArray[np.float32]
    mutual: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.left)


def mean_directions(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit centres [count, d] of unit vectors [n, d] by label, and the number of images of each.

    Raises EvaluationError for an identity without an image, or whose images cancel out.
    """
    sums = torch.zeros(count, vectors.shape[1])
    for start in range(0, len(vectors), 2**16):
        part = slice(start, start + 2**16)
        sums.index_add_(0, torch.from_numpy(labels[part]), torch.from_numpy(vectors[part]))
    norms = sums.norm(dim=1, keepdim=True)
    if not bool((norms > 1e-6).all()):
        raise EvaluationError(
            f"every identity needs an image, and a direction, got none for label {int(norms.argmin())}"
        )
    return (sums / norms).numpy(), np.bincount(labels, minlength=count)


def relative(
    centres: NDArray[np.float32],
    counts: NDArray[np.int64],
    cohort: NDArray[np.float32],
    own: NDArray[np.int64],
    *,
    device: str = "cpu",
) -> Centres:
    """Centres with what their best cosines to a cohort [k, d] are; own: the cohort row of the same identity, or -1."""
    if len(cohort) < LEAST_IDENTITIES:
        raise EvaluationError(
            f"to compare identities at least {LEAST_IDENTITIES} of them are needed, got {len(cohort)}"
        )
    top = min(TOP, len(cohort) - 2)
    mean, std = np.empty(len(centres), np.float32), np.empty(len(centres), np.float32)
    others = _tensor(cohort, device)
    for start in range(0, len(centres), _BLOCK):
        part = slice(start, start + _BLOCK)
        cosines = _tensor(centres[part], device) @ others.T
        known = np.flatnonzero(own[part] >= 0)
        cosines[known, own[part][known]] = -2
        best = cosines.topk(top + 1, dim=1).values[:, 1:]
        mean[part] = best.mean(dim=1).cpu().numpy()
        std[part] = best.std(dim=1, correction=0).clamp(min=1e-3).cpu().numpy()
    return Centres(vectors=centres, counts=counts, mean=mean, std=std)


def cohort_of(sizes: Sequence[int], seed: int = 0) -> list[NDArray[np.int64]]:
    """Which identities of each set are in the cohort: all, or MOST_COHORT drawn in proportion to the sets' sizes."""
    share = min(1.0, MOST_COHORT / sum(sizes))
    random = np.random.default_rng(seed)
    return [np.sort(random.choice(size, max(1, round(size * share)), replace=False)) for size in sizes]


def halves(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], *, most: int = 2000, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Centres [2 h, d] of two halves of identities of two or more images, images of each [2 h], and the labels [h].

    The first halves come first. Which image falls into which half is drawn.
    """
    random = np.random.default_rng(seed)
    several = np.flatnonzero(np.bincount(labels) >= 2)
    chosen = np.sort(random.choice(several, min(most, len(several)), replace=False))
    rows = np.flatnonzero(np.isin(labels, chosen))
    rows = rows[np.lexsort((random.random(len(rows)), labels[rows]))]
    numbers = np.searchsorted(chosen, labels[rows])
    place = np.arange(len(rows)) - np.searchsorted(numbers, numbers)
    if not len(chosen):
        return vectors[:0], labels[:0], labels[:0]
    centres, counts = mean_directions(vectors[rows], numbers + len(chosen) * (place % 2), 2 * len(chosen))
    return centres, counts, chosen


def calibrate(sets: Sequence[Centres], halved: Sequence[Centres], *, device: str = "cpu", seed: int = 0) -> Calibration:
    """Count z of impostor pairs inside each set (at most MOST_SAMPLED identities of it), and score the halves.

    halved: for each set the centres of halves, first and second ones one after the other.
    """
    counts = np.zeros(_STEPS, np.int64)
    random = np.random.default_rng(seed)
    for centres in sets:
        if len(centres) > MOST_SAMPLED:
            centres = centres.rows(np.sort(random.choice(len(centres), MOST_SAMPLED, replace=False)))
        for _, _, scores, inside in _blocks(centres, None, device):
            steps = ((scores[inside] - _LOWEST) / _STEP).clamp(0, _STEPS - 1).to(torch.int64)
            counts += torch.bincount(steps, minlength=_STEPS).cpu().numpy()
    genuine, smaller = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    for both in halved:
        first, second = both.rows(np.arange(len(both) // 2)), both.rows(np.arange(len(both) // 2, len(both)))
        genuine.append(first.scores(second))
        smaller.append(np.minimum(first.counts, second.counts))
    return Calibration(counts=counts, genuine=np.concatenate(genuine), smaller=np.concatenate(smaller))


def alike(
    left: Centres, right: Centres | None = None, *, threshold: float, most: int = 100_000, device: str = "cpu"
) -> PeoplePairs:
    """Pairs with z at or above a threshold: within `left` (each once), or of `left` with `right`; at most `most`."""
    best = [_Best(len(left)), _Best(len(left if right is None else right))]
    places: list[NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    scores: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for top, start, block, inside in _blocks(left, right, device):
        block = block.where(inside, -torch.inf)
        best[0].take(top, block.max(dim=1), start)
        best[1].take(start, block.max(dim=0), top)
        found = torch.nonzero(block >= threshold)
        places.append(found.cpu().numpy() + np.array([top, start]))
        scores.append(block[found[:, 0], found[:, 1]].cpu().numpy())
    every, where = np.concatenate(scores), np.concatenate(places)
    order = np.argsort(-every, kind="stable")[:most]
    pairs, every = where[order], every[order]
    if right is None:  # a row and a column of one set: the better of both is its best
        joint = best[0].joined(best[1])
        best = [joint, joint]
    mutual = (best[0].partner[pairs[:, 0]] == pairs[:, 1]) & (best[1].partner[pairs[:, 1]] == pairs[:, 0])
    return PeoplePairs(left=pairs[:, 0], right=pairs[:, 1], scores=every, mutual=mutual)


class _Best:
    """The best partner of each identity so far."""

    def __init__(self, count: int) -> None:
        self.score = np.full(count, -np.inf, np.float32)
        self.partner = np.full(count, -1, np.int64)

    def take(self, start: int, found: "torch.return_types.max", first_partner: int) -> None:
        values, places = found.values.cpu().numpy(), found.indices.cpu().numpy() + first_partner
        part = slice(start, start + len(values))
        better = values > self.score[part]
        self.score[part] = np.where(better, values, self.score[part])
        self.partner[part] = np.where(better, places, self.partner[part])

    def joined(self, other: "_Best") -> "_Best":
        result = _Best(len(self.score))
        better = other.score > self.score
        result.score = np.where(better, other.score, self.score)
        result.partner = np.where(better, other.partner, self.partner)
        return result


def _blocks(left: Centres, right: Centres | None, device: str) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """(first row, first column, z, which of them count) of every block; within one set, the part above the diagonal."""
    other = left if right is None else right
    for top in range(0, len(left), _BLOCK):
        first = left.rows(np.arange(top, min(top + _BLOCK, len(left))))
        for start in range(top if right is None else 0, len(other), _BLOCK):
            second = other.rows(np.arange(start, min(start + _BLOCK, len(other))))
            scores = _scored(first, second, device)
            inside = torch.ones_like(scores, dtype=torch.bool)
            yield top, start, scores, inside.triu(1) if right is None and start == top else inside


def _scored(first: Centres, second: Centres, device: str) -> Tensor:
    (mean, std), (other_mean, other_std) = (
        [_tensor(values, device) for values in (side.mean, side.std)] for side in (first, second)
    )
    cosines = _tensor(first.vectors, device) @ _tensor(second.vectors, device).T
    factor = (1 / std)[:, None] + 1 / other_std
    return (cosines * factor - (mean / std)[:, None] - other_mean / other_std) / 2


def _tensor(values: NDArray[np.float32], device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
