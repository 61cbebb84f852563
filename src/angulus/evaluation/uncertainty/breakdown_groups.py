"""Which groups does a breakdown compare: a column's name, a column cut into ranges, or the gap between two images.

sex               the values of the column
age=0,20,40,60    ranges of a column of numbers: 0 to 20, 20 to 40, 40 to 60 (the lower end included)
gap:age=0,5,10    listed pairs only: how far apart the two images of a pair are
seconds=0,1,2,5   durations: of listed pairs the shorter recording says to which range a pair belongs
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.evaluation.rates.folds import Protocol, folded_cosines, protocol_view
from angulus.evaluation.rates.roc import OperatingPoint
from angulus.evaluation.scores.cosines import pair_scores
from angulus.evaluation.scores.enrolment import SECONDS
from angulus.evaluation.scores.pairs import Pairs
from angulus.evaluation.scores.people import people_of_pairs
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.breakdown import Breakdown, binned, group_breakdown, pair_breakdown, pair_column
from angulus.evaluation.uncertainty.groups.figures import figures_of_trials, figures_within


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """A column, the ends of its ranges (empty: its values are the groups), and whether the gap of a pair is meant."""

    column: str
    edges: tuple[float, ...] = ()
    gap: bool = False

    @classmethod
    def parse(cls, text: str) -> "Grouping":
        """Read "sex", "age=0,20,40" or "gap:age=0,5,10"."""
        name, _, ends = text.partition("=")
        try:
            edges = tuple(float(end) for end in ends.split(",")) if ends else ()
        except ValueError:
            raise EvaluationError(f"groups are written sex, age=0,20,40 or gap:age=0,5,10, got {text!r}") from None
        gap = name.startswith("gap:")
        if not name.removeprefix("gap:") or (gap and not edges) or (edges and len(edges) < 2):
            raise EvaluationError(f"groups are written sex, age=0,20,40 or gap:age=0,5,10, got {text!r}")
        return cls(column=name.removeprefix("gap:"), edges=edges, gap=gap)

    @property
    def name(self) -> str:
        """The column, or the gap of it."""
        return f"gap of {self.column}" if self.gap else self.column

    def of_images(self, embeddings: EmbeddingSet) -> NDArray[np.str_]:
        """The group of each image [n]; "" where it is not known."""
        values = embeddings.column(self.column)
        if self.edges:
            return binned(self._numbers(values), self.edges)
        if values.dtype.kind == "f":
            return np.array(["" if np.isnan(value) else f"{value:g}" for value in values], dtype=str)
        return values.astype(str)

    def of_pairs(self, embeddings: EmbeddingSet, pairs: Pairs) -> NDArray[np.str_]:
        """The group of each pair [p]: of both images, "a x b" for two, or the range of their gap, or of the shorter."""
        if self.gap:
            values = self._numbers(embeddings.column(self.column))
            return binned(pair_column(values, pairs.left, pairs.right, lambda a, b: abs(a - b)), self.edges)
        if self.column == SECONDS and self.edges:
            values = self._numbers(embeddings.column(self.column))
            return binned(pair_column(values, pairs.left, pairs.right, np.minimum), self.edges)
        names = self.of_images(embeddings)
        return pair_column(names, pairs.left, pairs.right, _joined)

    def ordered(self, groups: NDArray[np.str_]) -> list[str]:
        """The groups that occur, ranges from the lowest up."""
        there = {str(name) for name in np.unique(groups) if name}
        ranges = [f"{low:g} to {high:g}" for low, high in pairwise(self.edges)]
        return [name for name in ranges if name in there] or sorted(there)

    def _numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        if values.dtype.kind not in "biuf":
            raise EvaluationError(
                f"ranges need a column of numbers, and {self.column!r} holds text; leave out the ranges"
            )
        return values.astype(np.float64)


def break_down(
    embeddings: EmbeddingSet,
    pairs: Pairs | None,
    grouping: Grouping,
    point: OperatingPoint,
    *,
    protocol: Protocol = "plain",
    view: View | None = None,
    scores: NDArray[np.floating] | None = None,
) -> Breakdown:
    """FMR and FNMR by group at the threshold of `point`, one threshold for all; without pairs, all pairs of the set.

    scores: of listed pairs [p], where these are no cosines of the protocol.
    """
    view = protocol_view(protocol, view, embeddings)
    if pairs is not None:
        scores = _cosines(embeddings, pairs, protocol, view) if scores is None else scores
        return _of_list(embeddings, pairs, grouping, point, scores)
    if grouping.gap:
        raise EvaluationError(f"the {grouping.name} needs a pair list; all pairs are grouped by a column of the set")
    if embeddings.labels is None:
        raise EvaluationError("all pairs of a set need labels, and these embeddings have none; give a pair list")
    groups = grouping.of_images(embeddings)
    found = all_pairs(
        embeddings.unit(view), embeddings.labels, fars=(point.far,), tail=point.false_accepts + 100, screen=None
    )
    kept = found.kept
    broken = group_breakdown(
        embeddings.labels,
        groups,
        threshold=point.threshold,
        **{"genuine": kept.genuine, "genuine_left": kept.genuine_left, "genuine_right": kept.genuine_right},
        **{"tail": kept.tail, "tail_left": kept.tail_left, "tail_right": kept.tail_right},
        column=grouping.name,
    )
    names = grouping.ordered(groups)
    unit, rows = embeddings.unit(view), {name: np.flatnonzero(groups == name) for name in names}
    own = [figures_within(name, unit[each], embeddings.labels[each], Bootstrap()) for name, each in rows.items()]
    return replace(broken, figures=tuple(own))


def _of_list(
    embeddings: EmbeddingSet,
    pairs: Pairs,
    grouping: Grouping,
    point: OperatingPoint,
    scores: NDArray[np.floating],
) -> Breakdown:
    people = people_of_pairs(embeddings, pairs)
    if people is None:
        raise EvaluationError("a breakdown needs to know who is compared: give labels, or keys with folders")
    groups = grouping.of_pairs(embeddings, pairs)
    broken = pair_breakdown(scores, pairs.same, *people, groups, threshold=point.threshold, column=grouping.name)
    own = []
    for name in grouping.ordered(groups):
        rows = np.flatnonzero(groups == name)
        trials = Pairs(left=pairs.left[rows], right=pairs.right[rows], same=pairs.same[rows])
        own.append(figures_of_trials(name, scores[rows], trials, [side[rows] for side in people], Bootstrap()))
    return replace(broken, figures=tuple(own))


def _cosines(embeddings: EmbeddingSet, pairs: Pairs, protocol: Protocol, view: View) -> NDArray[np.float32]:
    if pairs.fold is None:
        return pair_scores(embeddings.unit(view), pairs)
    return folded_cosines(embeddings, pairs, protocol=protocol, view=view)


def _joined(one: NDArray[np.str_], other: NDArray[np.str_]) -> NDArray[np.str_]:
    low, high = np.where(one < other, one, other), np.where(one < other, other, one)
    both = np.char.add(np.char.add(low, " x "), high)
    return np.where((one == "") | (other == ""), "", np.where(one == other, one, both))
