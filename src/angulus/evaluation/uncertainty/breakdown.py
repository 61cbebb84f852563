"""Does one threshold treat everyone alike? FMR and FNMR by group of people, images or pairs, with intervals.

Any column that has one value for each image makes groups: sex, skin tone, camera, pose (numbers: `binned`). All groups
are judged at the same threshold. FNMR of a group: genuine pairs with both images in it. FMR: impostor pairs with both
images in it, and, across groups, with one in each. The summary ratios follow NIST IR 8429 (2022), as ISO/IEC 19795-10
does: the worst rate over the groups' geometric mean, over their arithmetic mean, and over the best rate. Among many
groups the worst looks bad by chance alone: intervals come twice, at `level` and at the level that Bonferroni's rule
asks for so that all of them hold together.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations_with_replacement, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.groups.figures import GroupFigures
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.rate_intervals import far_interval, frr_interval
from angulus.evaluation.uncertainty.replicates import count_above, false_accepts, genuine_pairs


@dataclass(frozen=True, kw_only=True)
class GroupRate:
    """FMR or FNMR of one group, or FMR across two. people: who take part; equal_people: as many as they are worth.

    interval and adjusted are None where there is no pair; adjusted holds for all groups together. enough: False where
    the people are too few for the rate to be judged; such groups are left out of the ratios.
    """

    rate: str
    groups: tuple[str, ...]
    errors: int
    trials: int
    people: int
    equal_people: float
    interval: Interval | None
    adjusted: Interval | None
    enough: bool


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """How unequal a rate is over the groups judged: None where fewer than two are, or a divisor is zero."""

    rate: str
    worst: str | None
    worst_over_mean: float | None
    worst_over_geometric_mean: float | None
    worst_over_best: float | None


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Rates of every group at one threshold. warning: what many comparisons mean for reading them.

    figures: EER and minDCF of each group for itself.
    """

    column: str
    threshold: float
    rates: tuple[GroupRate, ...]
    ratios: tuple[Ratios, ...]
    warning: str
    figures: tuple[GroupFigures, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def table(self) -> str:
        """The rates as lines of text."""
        lines = [f"{self.column} at threshold {self.threshold:.4f}"]
        for row in self.rates:
            what = f"{row.rate:4} {' x '.join(row.groups):24} {row.errors:,} of {row.trials:,}, {row.people:,} people"
            remark = "" if row.enough else "  (too few people to judge)"
            span = "" if row.interval is None else f"  {row.interval.text(4)}"
            lines.append(what + span + remark)
        for found in self.ratios:
            if found.worst is not None and found.worst_over_mean is not None:
                lines.append(f"{found.rate} worst over mean {found.worst_over_mean:.2f} ({found.worst})")
        return "\n".join([*lines, self.warning, *(each.line() for each in self.figures)])


def group_breakdown(
    labels: ArrayLike,
    groups: Sequence[str] | NDArray[np.str_],
    *,
    threshold: float,
    genuine: ArrayLike,
    genuine_left: ArrayLike,
    genuine_right: ArrayLike,
    tail: ArrayLike,
    tail_left: ArrayLike,
    tail_right: ArrayLike,
    column: str = "group",
    fewest: int = 20,
    across: bool = True,
    bootstrap: Bootstrap | None = None,
) -> Breakdown:
    """All pairs of a labelled set by the groups of its images [n] ("" leaves an image out), from the streamed scores.

    genuine [g] and tail [t] with the rows of both images; the tail must reach the threshold. fewest: people a group
    needs to be judged, also in equal people. across: FMR across groups too.
    """
    people, names = np.asarray(labels), np.asarray(groups, dtype=str)
    if names.shape != people.shape:
        raise EvaluationError(f"each of the {len(people)} images must have a group, got {len(names)}")
    kinds = [str(name) for name in np.unique(names) if name]
    own = [np.asarray(rows) for rows in (genuine, genuine_left, genuine_right)]
    other = [np.asarray(rows) for rows in (tail, tail_left, tail_right)]
    parts: list[tuple[tuple[str, ...], SubjectScores]] = []
    for one, two in combinations_with_replacement(kinds, 2):
        if one == two or across:
            parts.append(((one,) if one == two else (one, two), _part(people, names, own, other, one, two)))
    return _judged(parts, threshold, column, fewest, bootstrap or Bootstrap())


def pair_breakdown(
    scores: ArrayLike,
    same: ArrayLike,
    left_subject: ArrayLike,
    right_subject: ArrayLike,
    pair_groups: Sequence[str] | NDArray[np.str_],
    *,
    threshold: float,
    column: str = "group",
    fewest: int = 20,
    bootstrap: Bootstrap | None = None,
) -> Breakdown:
    """Listed pairs [p] by the group of each pair [p] ("" leaves a pair out), as an age gap: see `pair_column`."""
    values, kind = np.asarray(scores), np.asarray(same, dtype=bool)
    sides, names = [np.asarray(left_subject), np.asarray(right_subject)], np.asarray(pair_groups, dtype=str)
    if names.shape != values.shape:
        raise EvaluationError(f"each of the {len(values)} pairs must have a group, got {len(names)}")
    parts: list[tuple[tuple[str, ...], SubjectScores]] = []
    for name in (str(name) for name in np.unique(names) if name):
        chosen = names == name
        parts.append(((name,), SubjectScores.of_pairs(values[chosen], kind[chosen], *(s[chosen] for s in sides))))
    return _judged(parts, threshold, column, fewest, bootstrap or Bootstrap())


def binned(values: ArrayLike, edges: Sequence[float]) -> NDArray[np.str_]:
    """Names of the bins of numbers [n]: "low to high", low included, high not; "" for NaN and outside the edges."""
    numbers, ends = np.asarray(values, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if len(ends) < 2 or not (np.diff(ends) > 0).all():
        raise EvaluationError(f"edges must be at least two ascending numbers, got {list(edges)}")
    names = np.array([f"{low:g} to {high:g}" for low, high in pairwise(ends)] + [""])
    place = np.searchsorted(ends, numbers, side="right") - 1
    return names[np.where((place >= 0) & (place < len(ends) - 1), place, len(ends) - 1)]


def pair_column(
    values: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    of_both: Callable[[NDArray[Any], NDArray[Any]], ArrayLike],
) -> NDArray[Any]:
    """A column of pairs from a column of images: `pair_column(age, left, right, lambda a, b: abs(a - b))`."""
    column = np.asarray(values)
    return np.asarray(of_both(column[np.asarray(left)], column[np.asarray(right)]))


def _part(
    people: NDArray[Any],
    names: NDArray[np.str_],
    genuine: list[NDArray[Any]],
    tail: list[NDArray[Any]],
    one: str,
    two: str,
) -> SubjectScores:
    """The comparisons of two groups (or within one), rows counted inside the groups."""
    rows = [np.flatnonzero(names == name) for name in (one, two)]
    places = np.zeros((2, len(names)), dtype=np.int64)
    for side in (0, 1):
        places[side, rows[side]] = np.arange(len(rows[side]))
    left, right = names[tail[1]], names[tail[2]]
    straight = (left == one) & (right == two)
    turned = (left == two) & (right == one) & ~straight
    first = np.concatenate([tail[1][straight], tail[2][turned]])
    second = np.concatenate([tail[2][straight], tail[1][turned]])
    own = (names[genuine[1]] == one) & (names[genuine[2]] == one) & (one == two)
    return SubjectScores.of_all_pairs(
        people[rows[0]],
        **{"genuine": genuine[0][own], "genuine_rows": places[0, genuine[1][own]]},
        tail=np.concatenate([tail[0][straight], tail[0][turned]]),
        **{"tail_left": places[0, first], "tail_right": places[1, second]},
        against=None if one == two else people[rows[1]],
    )


def _judged(
    parts: list[tuple[tuple[str, ...], SubjectScores]],
    threshold: float,
    column: str,
    fewest: int,
    options: Bootstrap,
) -> Breakdown:
    if not parts:
        raise EvaluationError(f"a breakdown by {column} needs at least one group, got none")
    drawn = [(groups, scores, name) for groups, scores in parts for name in ("FMR", "FNMR")]
    drawn = [(groups, scores, name) for groups, scores, name in drawn if name == "FMR" or len(groups) == 1]
    strict = replace(options, level=1 - (1 - options.level) / len(drawn))
    rates = tuple(_rate(groups, scores, name, threshold, fewest, (options, strict)) for groups, scores, name in drawn)
    warning = (
        f"{len(drawn)} rates are compared: by chance alone about {len(drawn) * (1 - options.level):.1f} of"
        f" {100 * options.level:g} % intervals miss; judge a group by its adjusted interval"
        f" ({100 * strict.level:.4g} %, Bonferroni)"
    )
    ratios = tuple(_ratios(rates, name) for name in ("FMR", "FNMR"))
    return Breakdown(column=column, threshold=threshold, rates=rates, ratios=ratios, warning=warning)


def _rate(
    groups: tuple[str, ...],
    scores: SubjectScores,
    name: str,
    threshold: float,
    fewest: int,
    levels: tuple[Bootstrap, Bootstrap],
) -> GroupRate:
    if name == "FMR":
        errors, trials = false_accepts(scores, threshold) if scores.impostors else 0, scores.impostors
        each, interval = scores.compared.per_subject(scores.subjects), far_interval
    else:
        errors = len(scores.genuine) - count_above(scores.genuine, threshold)
        trials, each, interval = len(scores.genuine), genuine_pairs(scores), frr_interval
    worth = float(each.sum()) ** 2 / max(float((each**2).sum()), 1.0)
    found = [interval(scores, threshold, options) if trials else None for options in levels]
    return GroupRate(
        **{"rate": name, "groups": groups, "errors": errors, "trials": trials, "people": int((each > 0).sum())},
        **{"equal_people": worth, "interval": found[0], "adjusted": found[1], "enough": worth >= fewest},
    )


def _ratios(rates: tuple[GroupRate, ...], name: str) -> Ratios:
    judged = [row for row in rates if row.rate == name and len(row.groups) == 1 and row.enough and row.trials]
    if len(judged) < 2:
        return Ratios(rate=name, worst=None, worst_over_mean=None, worst_over_geometric_mean=None, worst_over_best=None)
    values = np.array([row.errors / row.trials for row in judged])
    worst, mean = int(values.argmax()), float(values.mean())
    smallest = float(values.min())
    return Ratios(
        rate=name,
        worst=judged[worst].groups[0],
        worst_over_mean=float(values[worst]) / mean if mean > 0 else None,
        worst_over_geometric_mean=float(values[worst] / np.exp(np.log(values).mean())) if smallest > 0 else None,
        worst_over_best=float(values[worst]) / smallest if smallest > 0 else None,
    )
