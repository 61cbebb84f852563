"""How often is a stranger taken for somebody, in galleries of any size? From strangers searched among each other.

With k of the N other people above the threshold for a probe, a gallery of G people drawn from them holds none of the k
with the chance C(N - k, G) / C(N, G), so that

    FPIR(G) = 1 - mean over probes of C(N - k, G) / C(N, G)

without the assumption that comparisons are independent, which 1 - (1 - FMR)^G makes and which is wrong for probes that
resemble many people. Beyond N people a gallery may be taken for blocks of N that are independent, which errs on the
safe side: for the shares q of probes, the mean of q^x is at least the x-th power of their mean (Jensen).

Intervals are of the FPIR that *another* gallery of this size would have: the spread of the estimate itself, by leaving
out groups of people (as probes and as gallery), and that of one gallery, G drawn people instead of all ways to draw
them, N / G times the part of the former that comes from the gallery.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.logits import inverse_logit, logit
from angulus.evaluation.uncertainty.intervals import student_quantile

GROUPS = 40
FEWEST_PEOPLE = 10
_AT_ONCE = 2**23  # scores in memory

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class StrangerSearches:
    """FPIR at each of s gallery sizes and k rising thresholds: estimate, low and high [s, 3, k].

    people: who were searched among each other.  probes: their images.
    """

    people: int
    probes: int
    level: float
    sizes: tuple[int, ...]
    thresholds: Numbers
    fpir: Numbers


def usual_sizes(people: int) -> tuple[int, ...]:
    """Sizes of galleries from 1 to all others: 1, 2, 5, 10, ..."""
    steps = [factor * 10**power for power in range(9) for factor in (1, 2, 5)]
    return (*(size for size in steps if size < people - 1), people - 1)


def stranger_searches(
    probes: ArrayLike,
    probe_people: ArrayLike,
    templates: ArrayLike,
    template_people: ArrayLike,
    *,
    sizes: Sequence[int] | None = None,
    thresholds: Numbers | None = None,
    level: float = 0.95,
) -> StrangerSearches:
    """Search images [p, d] among the templates [n, d] of other people; all vectors of length 1.

    probe_people: need no template of their own.  template_people: one template a person, whole numbers [n].
    sizes: of galleries; None takes 1, 2, 5, 10 and so on.  thresholds: rising; None takes 250.
    Raises EvaluationError for fewer than 10 people or other shapes.
    """
    images, gallery = (np.asarray(given, np.float32) for given in (probes, templates))
    owners, people = (np.asarray(given, np.int64) for given in (probe_people, template_people))
    if len(people) < FEWEST_PEOPLE or len(np.unique(people)) != len(people):
        raise EvaluationError(
            f"searches among strangers need one template for each of at least {FEWEST_PEOPLE} people, got"
            f" {len(people)} of {len(np.unique(people))}"
        )
    if len(images) != len(owners) or len(gallery) != len(people) or images.shape[1:] != gallery.shape[1:]:
        raise EvaluationError("probes and templates need a person for each row, and vectors of one length")
    drawn = np.random.default_rng(0).permutation(np.arange(len(people)) % min(GROUPS, len(people)))
    by_group = np.argsort(drawn, kind="stable")
    groups, rows = drawn[by_group], np.argsort(people, kind="stable")[by_group]
    sorter = np.argsort(people[rows], kind="stable")
    places = sorter[np.minimum(np.searchsorted(people[rows], owners, sorter=sorter), len(people) - 1)]
    scores = _Scores(images, np.where(people[rows][places] == owners, places, -1), owners, gallery[rows])
    tried = scores.thresholds() if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    chosen = tuple(sizes or usual_sizes(len(people)))
    if not 1 <= min(chosen) <= max(chosen) < len(people):
        raise EvaluationError(f"sizes must lie in 1 to {len(people) - 1}, the others of {len(people)}, got {chosen}")
    fpir = np.stack([_rates(scores, float(threshold), chosen, groups, level) for threshold in tried], axis=2)
    return StrangerSearches(
        **{"people": len(people), "probes": len(scores.owners), "level": level},
        **{"sizes": chosen, "thresholds": tried, "fpir": fpir},
    )


class _Scores:
    """Cosines of probes with the templates of others; owners [p]: row of their own one, which is left out, or -1."""

    def __init__(
        self,
        images: NDArray[np.float32],
        owners: NDArray[np.int64],
        people: NDArray[np.int64],
        gallery: NDArray[np.float32],
    ) -> None:
        if len(images) * len(gallery) > _AT_ONCE:  # enough to tell a tail by; the same rows every time
            most = max(1, _AT_ONCE // len(gallery))
            kept = np.sort(np.random.default_rng(0).permutation(len(images))[:most])
            images, owners, people = images[kept], owners[kept], people[kept]
        self.owners = owners
        self.people = np.unique(people, return_inverse=True)[1]
        self.values = images @ gallery.T
        rows = np.flatnonzero(owners >= 0)
        self.values[rows, owners[rows]] = -np.inf

    def thresholds(self) -> Numbers:
        return tail_thresholds(self.values[np.isfinite(self.values)])


def tail_thresholds(scores: ArrayLike, count: int = 250) -> Numbers:
    """Rising thresholds: from the median of strangers' scores to their largest, evenly in the logarithm of the share
    above."""
    falling = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    above = np.unique(np.geomspace(1, max(2, len(falling) // 2), count).astype(np.int64)) - 1
    return np.unique(falling[above])


def _rates(scores: _Scores, threshold: float, sizes: Sequence[int], groups: NDArray[np.int64], level: float) -> Numbers:
    """FPIR [s, 3] at one threshold for each size: estimate, low, high. groups: rising [n], of the templates."""
    count = int(groups.max()) + 1
    members = np.bincount(groups, minlength=count)
    starts = np.concatenate([[0], np.cumsum(members)[:-1]])
    is_hit = scores.values > threshold
    found = np.flatnonzero(is_hit.any(axis=1))  # the others hold nobody in any gallery
    by_group = np.add.reduceat(is_hit[found], starts, axis=1, dtype=np.int64)  # [f, g]
    has_own = scores.owners >= 0
    own = np.where(has_own, groups[scores.owners], scores.people % count)  # [p]: with which group a probe is left out
    left = len(own) - np.bincount(own, minlength=count)  # [g]: probes without that group
    total = len(groups) - has_own[found].astype(np.int64)  # [f]
    is_own = own[found][:, None] == np.arange(count)[None, :]  # [f, g]
    others = total[:, None] - members[None, :] + (is_own & has_own[found][:, None])
    whole = by_group.sum(1)
    table = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, len(groups) + 1)))])
    rates = []
    for size in sizes:
        estimate = float(_found_by(whole, total, size, table).sum()) / len(own)
        without = _found_by(whole[:, None] - by_group, others, size, table)  # [f, g]: that group not in the gallery
        both = (without * ~is_own).sum(0) / np.maximum(left, 1)
        gallery_alone = without.sum(0) / len(own)
        rates.append(_interval(estimate, both, gallery_alone, len(groups), size, len(own), level))
    return np.array(rates)


def _found_by(hits: NDArray[np.int64], others: NDArray[np.int64], size: int, table: Numbers) -> Numbers:
    """Chance that a gallery of `size` among so many others holds one of the hits, from logarithms of factorials."""
    drawn = np.minimum(size, others)  # fewer only where a group is left out
    free = others - hits
    is_certain = free < drawn
    safe = np.where(is_certain, drawn, free)
    logs = table[safe] - table[safe - drawn] - table[others] + table[others - drawn]
    none = np.where(is_certain, 0.0, np.exp(np.minimum(logs, 0.0)))
    return 1 - none


def _interval(
    estimate: float, both: Numbers, gallery_alone: Numbers, people: int, size: int, probes: int, level: float
) -> tuple[float, float, float]:
    """The estimate and the ends for another gallery of this size, on the scale log(p / (1 - p))."""
    count = len(both)
    least = 0.5 / probes
    middle = min(max(estimate, least), 1 - least)
    spread = (count - 1) / count * float(((both - both.mean()) ** 2).sum())
    of_gallery = (count - 1) / count * float(((gallery_alone - gallery_alone.mean()) ** 2).sum())
    variance = spread + of_gallery * people / size
    # what a handful of probes cannot show: as if one more had been found
    variance = max(variance, (1 / probes) ** 2)
    half = student_quantile((1 + level) / 2, count - 1) * np.sqrt(variance) / (middle * (1 - middle))
    low, high = (float(inverse_logit(logit(middle) + side * half)) for side in (-1, 1))
    return estimate, min(low, estimate), max(high, estimate)
