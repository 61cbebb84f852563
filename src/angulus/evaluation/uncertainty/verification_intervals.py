"""How sure are the figures of one verification: the intervals that stand beside its rates, and why one is missing.

Intervals come from drawing people anew (`uncertainty`). Their time grows with the number of impostor scores above the
largest FAR's threshold; unless all are asked for, FARs that need more than MOST_TAIL of these scores go without, and a
note says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.all_pairs import MOST_TAIL as MOST_KEPT
from angulus.evaluation.rates.all_pairs import AllPairs
from angulus.evaluation.rates.roc import descending
from angulus.evaluation.rates.step_costs import COST_MODELS
from angulus.evaluation.scores.pairs import Pairs
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty.accuracy_intervals import accuracy_interval, eer_interval
from angulus.evaluation.uncertainty.bootstrap import FEWEST_PEOPLE, Bootstrap
from angulus.evaluation.uncertainty.cost_intervals import min_dcf_interval, needed_for_cost
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.rate_intervals import TarInterval, tar_at_far_intervals
from angulus.evaluation.uncertainty.replicates import needed_tail
from angulus.plain_numbers import plain, text

# Impostor scores that 1,000 replicates go through in a second or two, and people of whom as many weights are kept.
MOST_TAIL = 250_000
MOST_PEOPLE = 100_000
_FEWEST_REPLICATES_OF_EER = 4  # times the EER's own rank: what its interval looks at below the threshold


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Intervals of a verification at confidence `level`; points: TAR at FAR, largest FAR first.

    people: how many are drawn anew. eer, accuracy: None where there is none. min_dcf: by the name of the cost model.
    notes: why a figure has no interval.
    """

    people: int
    level: float
    points: tuple[TarInterval, ...]
    eer: Interval | None = None
    accuracy: Interval | None = None
    min_dcf: tuple[tuple[str, Interval], ...] = ()
    notes: tuple[str, ...] = ()

    def cost(self, name: str) -> Interval | None:
        """The interval of minDCF at this setting, None where there is none."""
        return dict(self.min_dcf).get(name)

    def at(self, far: float) -> TarInterval | None:
        """The interval of TAR at this FAR, None where there is none."""
        return next((point for point in self.points if point.target == far), None)

    @property
    def says_something(self) -> bool:
        """Whether there is any interval."""
        return bool(self.points) or self.eer is not None or self.accuracy is not None

    @property
    def has_too_few_people(self) -> bool:
        """Whether there are too few people to draw anew, and so to say anything of others."""
        return 0 < self.people < FEWEST_PEOPLE

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"people": self.people, "level": self.level, "resampled": "people"},
            "tar_at_far": [point.as_dict() for point in self.points],
            "eer": None if self.eer is None else self.eer.as_dict(),
            "accuracy": None if self.accuracy is None else self.accuracy.as_dict(),
            "min_dcf": {name: interval.as_dict() for name, interval in self.min_dcf},
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The intervals as lines of text."""
        if not self.says_something:
            return list(self.notes)  # which say why there are no intervals
        lines = [f"{100 * self.level:g} % intervals, drawing anew the {self.people:,} people"]
        for name, found in (("accuracy", self.accuracy), ("EER", self.eer)):
            lines += [] if found is None else [f"{name:<12} {text(found.estimate, found)}"]
        for name, found in self.min_dcf:
            lines.append(f"minDCF       {found.estimate:.4f} ({found.low:.4f} to {found.high:.4f}) ({name})")
        if self.points:
            lines.append("FAR (FMR) <=  TAR over pairs                     TAR, mean over people            threshold")
        for point in self.points:
            remark = f"  {point.remark}" if point.remark else ""
            lines.append(
                f"{plain(point.target):>9}    {text(point.tar.estimate, point.tar):33}"
                f"  {text(point.person_tar.estimate, point.person_tar):33}"
                f"{point.threshold_low:.4f} to {point.threshold_high:.4f}{remark}"
            )
        return [*lines, *self.notes]


def wanted_fars(fars: Sequence[float], impostors: int, everything: bool) -> tuple[list[float], int, tuple[str, ...]]:
    """The FARs that get intervals, largest first, how long a tail these need, and a note on the others."""
    most = MOST_KEPT if everything else MOST_TAIL
    targets = descending(fars)
    kept = [far for far in targets if needed_tail(far, impostors) <= most]
    left = [far for far in targets if far not in kept]
    if not left:
        return kept, needed_tail(max(kept, default=0.0), impostors), ()
    names = ", ".join(plain(far) for far in left)
    how = "too many to be kept" if everything else "more than a few seconds; ask for intervals to have them"
    note = (
        f"no interval at FAR {names}: it would go through {needed_tail(left[0], impostors):,} impostor scores"
        f" a thousand times, {how}"
    )
    return kept, needed_tail(max(kept, default=0.0), impostors), (note,)


def confidence_of_all(
    found: AllPairs, labels: NDArray[np.int64], fars: Sequence[float], options: Bootstrap, everything: bool
) -> Confidence:
    """Intervals of all pairs of a labelled set [n]; `found` must have kept the tail that `wanted_fars` asks for."""
    kept = found.kept
    scores = SubjectScores.of_all_pairs(
        labels,
        **{"genuine": kept.genuine, "genuine_rows": kept.genuine_left},
        **{"tail": kept.tail, "tail_left": kept.tail_left, "tail_right": kept.tail_right},
    )
    return confidence_of_scores(scores, fars, found.equal_error_rate().rate, options, everything)


def confidence_of_pairs(
    cosines: NDArray[np.float32],
    pairs: Pairs,
    people: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    correct: NDArray[np.bool_] | None,
    fars: Sequence[float],
    eer: float,
    options: Bootstrap,
    everything: bool = False,
) -> Confidence:
    """Intervals of listed pairs [p] with the people of both sides; correct: bool [p], the decisions over folds."""
    scores = SubjectScores.of_pairs(cosines, pairs.same, *people)
    found = confidence_of_scores(scores, fars, eer, options, everything)
    if not FEWEST_PEOPLE <= scores.subjects <= MOST_PEOPLE:
        return found
    found = replace(found, min_dcf=_cost_intervals(scores, options, everything))
    if correct is None:
        return found
    return replace(found, accuracy=accuracy_interval(correct, pairs.same, *people, options))


def _cost_intervals(scores: SubjectScores, options: Bootstrap, everything: bool) -> tuple[tuple[str, Interval], ...]:
    """Intervals of minDCF at the usual settings, those left out that would take more than seconds."""
    most = MOST_KEPT if everything else MOST_TAIL
    models = [model for model in COST_MODELS if needed_for_cost(scores.impostors, model) <= most]
    return tuple((model.name, min_dcf_interval(scores, model, options)) for model in models)


def confidence_of_scores(
    scores: SubjectScores, fars: Sequence[float], eer: float, options: Bootstrap, everything: bool
) -> Confidence:
    """Intervals of scores with their people."""
    if scores.subjects > MOST_PEOPLE and not everything:
        note = f"no intervals: {scores.subjects:,} people would be drawn anew a thousand times; ask for intervals"
        return Confidence(people=scores.subjects, level=options.level, points=(), notes=(note,))
    if scores.subjects < FEWEST_PEOPLE:
        note = f"no intervals: {scores.subjects} people are too few to be drawn anew; it takes {FEWEST_PEOPLE}"
        return Confidence(people=scores.subjects, level=options.level, points=(), notes=(note,))
    kept, length, notes = wanted_fars(fars, scores.impostors, everything)
    shown = shortened(scores, length)
    points: tuple[TarInterval, ...] = ()
    while kept and not points:
        try:
            points = tar_at_far_intervals(shown, kept, options)
        except EvaluationError as problem:
            notes = (*notes, f"no interval at FAR {kept[0]:g}: {problem}")
            kept = kept[1:]
    rate = None
    wide = shortened(scores, MOST_TAIL)
    if wide.complete or len(wide.tail) > _FEWEST_REPLICATES_OF_EER * eer * scores.impostors:
        try:
            rate = eer_interval(wide, options)
        except EvaluationError as problem:
            notes = (*notes, f"no interval of the EER: {problem}")
    return Confidence(people=scores.subjects, level=options.level, points=points, eer=rate, notes=notes)


def shortened(scores: SubjectScores, length: int) -> SubjectScores:
    """The same with at most so many of the highest impostor scores."""
    if len(scores.tail) <= length:
        return scores
    right = None if scores.tail_right is None else scores.tail_right[:length]
    return replace(scores, tail=scores.tail[:length], tail_left=scores.tail_left[:length], tail_right=right)
