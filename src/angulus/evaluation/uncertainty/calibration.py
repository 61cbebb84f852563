"""Which threshold to deploy: chosen on one half of the people, tried on the other, with what to expect on new ones.

The people are split in two by a seed. On the first half the threshold is the smallest whose FAR does not exceed the
target; on the second half, who had no part in the choice, FAR and TAR at this threshold are measured with intervals.
What to expect of the true FAR follows from the first half alone; what to expect of a FAR *measured* on other people is
wider, as those people are a sample too: both variances add on the scale log(p / (1 - p)); where nothing varies, as no
couple of people has a false accept, both are Clopper-Pearson's for the couples that count. Where equal scores let the
threshold accept fewer than the target allows, what is expected lies as much lower. For a search in a gallery of
G people FPIR = 1 - (1 - FMR)^G if comparisons were independent (ISO/IEC 19795-1); the scores of real searches, where
there are any, need no such assumption (`SubjectScores.of_pairs` with one-way scores).
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.likelihood import read_fields
from angulus.evaluation.rates.logits import inverse_logit, logit
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty.bootstrap import FEW, FEWEST_PEOPLE, Bootstrap
from angulus.evaluation.uncertainty.intervals import Interval, clopper_pearson, student_quantile
from angulus.evaluation.uncertainty.rate_intervals import far_interval, tar_interval, threshold_study
from angulus.evaluation.uncertainty.replicates import Spread, count_above, largest_count
from angulus.plain_numbers import counted, plain, span, text
from angulus.text_files import read_text


@dataclass(frozen=True, kw_only=True)
class CalibratedThreshold:
    """A threshold chosen on half of the people, and what it does on the other half.

    target: the FAR (of one comparison) aimed at. threshold_low, threshold_high: where other people would have put it.
    achieved, tar: FAR and TAR on the reporting half. expected: [low, high] of the true FAR, by the choosing half alone.
    predicted: [low, high] of a FAR measured on as many unseen people as the reporting half has. gallery, target_fpir:
    the size of the gallery and its target FPIR when these were given. note: empty, or why to be careful.
    """

    target: float
    threshold: float
    threshold_low: float
    threshold_high: float
    achieved: Interval
    tar: Interval
    expected: tuple[float, float]
    predicted: tuple[float, float]
    choosing_people: int
    reporting_people: int
    seed: int
    gallery: int | None = None
    target_fpir: float | None = None
    note: str = ""

    @property
    def expected_span(self) -> Interval:
        """`expected` as an interval around the target."""
        return _around(self.target, self.expected, self.achieved.level)

    @property
    def predicted_span(self) -> Interval:
        """`predicted` as an interval around the target."""
        return _around(self.target, self.predicted, self.achieved.level)

    def accepts(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Which scores are accepted: those greater than the threshold."""
        return np.asarray(scores, dtype=np.float64) > self.threshold

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **asdict(self),
            "expected": list(self.expected),
            "predicted": list(self.predicted),
            "rule": "a pair is accepted when its score is greater than the threshold",
        }

    def to_json(self) -> str:
        """Text that `from_json` reads back, for deployment."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; EvaluationError when it is something else."""
        values = read_fields(cls, text)
        for name in ("achieved", "tar"):
            values[name] = Interval(**values[name])
        for name in ("expected", "predicted"):
            values[name] = tuple(values[name])
        return cls(**values)

    def table(self) -> str:
        """The figures as lines of text."""
        chance = f"{100 * self.achieved.level:g} %"
        far = plain(float(f"{self.target:.3g}"))
        aim = f"FAR {far}" + (f" (FPIR {self.target_fpir:g}, gallery {self.gallery})" if self.gallery else "")
        return "\n".join(
            [
                f"threshold {self.threshold:.4f} for {aim}, chosen on {self.choosing_people:,} people"
                f" ({chance}: {self.threshold_low:.4f} to {self.threshold_high:.4f})",
                f"FAR on {self.reporting_people:,} other people {text(self.achieved.estimate, self.achieved)}",
                f"TAR on these people {text(self.tar.estimate, self.tar)}",
                f"expect of the true FAR {span(self.expected_span)}, of a FAR measured on as many people"
                f" {span(self.predicted_span)} ({chance})",
                *([self.note] if self.note else []),
            ]
        )


def read_calibration(path: str | Path) -> CalibratedThreshold:
    """The threshold in a file that `angulus evaluate calibrate` or `to_json` wrote."""
    text = read_text(path, EvaluationError, "calibration")
    try:
        return CalibratedThreshold.from_json(text)
    except (EvaluationError, TypeError) as problem:
        raise EvaluationError(f"{path} holds no calibrated threshold: {problem}") from problem


def chosen_people(subjects: int, *, seed: int = 0, share: float = 0.5) -> NDArray[np.bool_]:
    """A random `share` of the people [subjects], the same for the same seed; both parts have at least two."""
    count = round(share * subjects)
    if not 2 <= count <= subjects - 2:
        raise EvaluationError(
            f"each part must have at least 2 people, got {count} and {subjects - count} of {subjects}"
        )
    chosen = np.zeros(subjects, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(subjects)[:count]] = True
    return chosen


def split_people(scores: SubjectScores, *, seed: int = 0, share: float = 0.5) -> tuple[SubjectScores, SubjectScores]:
    """The comparisons among a random `share` of the people, and those among the others; pairs across are left out."""
    chosen = chosen_people(scores.subjects, seed=seed, share=share)
    return scores.restricted(chosen), scores.restricted(~chosen)


def fewest_pairs(far: float) -> str:
    """How many pairs have one false accept at a rate, in words."""
    number = 1 / far if far > 0 else math.inf
    return f"{math.ceil(number)}" if math.isfinite(number) else "infinitely many"


def calibrate_threshold(
    scores: SubjectScores, far: float, *, seed: int = 0, bootstrap: Bootstrap | None = None
) -> CalibratedThreshold:
    """The threshold for a target FAR, chosen on half of the people and reported on the others.

    scores: all pairs, listed pairs, or one-way search scores (FAR then reads FPIR). Raises EvaluationError when the
    choosing half has fewer than 1 / far impostor pairs, or its tail is too short, and below FEWEST_PEOPLE in a half.
    """
    options = bootstrap or Bootstrap()
    check_people(scores.subjects)
    choosing, reporting = split_people(scores, seed=seed)
    if largest_count(far, max(choosing.impostors, 1)) < 1:
        raise EvaluationError(
            f"FAR {far:g} needs at least {fewest_pairs(far)} impostor pairs among"
            f" the choosing half, got {choosing.impostors:,}; ask for a larger FAR or give more people"
        )
    allowed, spreads, places = threshold_study(choosing, [far], options)
    threshold = float(choosing.tail[allowed[0]])
    ends = np.quantile(
        choosing.tail[places[:, 0]], [(1 - options.level) / 2, (1 + options.level) / 2], method="nearest"
    )
    spread, accepted = spreads[0], count_above(choosing.tail, threshold)
    more = choosing.subjects / reporting.subjects  # a FAR measured on others varies by so much more
    spans = [_expected(spread, far * accepted / allowed[0], factor, options.level) for factor in (1.0, 1 + more)]
    note = ""
    if 2 * accepted < allowed[0]:
        note = (
            f"equal scores: FAR {plain(float(f'{far:.3g}'))} allows {counted(allowed[0], 'false accept')} in the"
            f" choosing half, and above the threshold there {'is' if accepted == 1 else 'are'} {accepted:,}; the next"
            " lower threshold has more than allowed"
        )
    elif spread.effective_errors < FEW:
        note = (
            f"the choosing half is worth only {spread.effective_errors:.1f} independent false accepts at FAR"
            f" {plain(float(f'{far:.3g}'))}; the intervals may be too narrow"
        )
    return CalibratedThreshold(
        **{"target": far, "threshold": threshold, "threshold_low": float(ends[0]), "threshold_high": float(ends[1])},
        **{"achieved": far_interval(reporting, threshold, options), "tar": tar_interval(reporting, threshold, options)},
        **{"expected": spans[0], "predicted": spans[1]},
        **{"choosing_people": choosing.subjects, "reporting_people": reporting.subjects, "seed": seed, "note": note},
    )


def calibrate_for_gallery(
    scores: SubjectScores, fpir: float, gallery: int, *, seed: int = 0, bootstrap: Bootstrap | None = None
) -> CalibratedThreshold:
    """The threshold for a target FPIR when a probe is searched in a gallery of so many people, by `far_of_fpir`."""
    found = calibrate_threshold(scores, far_of_fpir(fpir, gallery), seed=seed, bootstrap=bootstrap)
    return replace(found, gallery=gallery, target_fpir=fpir)


def far_of_fpir(fpir: float, gallery: int) -> float:
    """FAR of one comparison that gives this FPIR in a gallery of G people: 1 - (1 - FPIR)^(1 / G)."""
    if not 0 < fpir < 1 or gallery < 1:
        raise EvaluationError(f"fpir must lie between 0 and 1 and gallery be at least 1, got {fpir} and {gallery}")
    return -math.expm1(math.log1p(-fpir) / gallery)


def fpir_of_far(far: float, gallery: int) -> float:
    """FPIR in a gallery of G people, were its comparisons independent: 1 - (1 - FAR)^G."""
    if not 0 <= far < 1 or gallery < 1:
        raise EvaluationError(f"far must be at least 0 and below 1 and gallery at least 1, got {far} and {gallery}")
    return -math.expm1(math.log1p(-far) * gallery)


def check_people(subjects: int) -> None:
    """Raise EvaluationError where half of the people are too few to choose a threshold, or to say what it does."""
    if subjects < 2 * FEWEST_PEOPLE:
        raise EvaluationError(
            f"a threshold is chosen on half of the people and tried on the others, each half of at least"
            f" {FEWEST_PEOPLE}, and there are {subjects} people in all; give photos of more people"
        )


def _expected(spread: Spread, centre: float, factor: float, level: float) -> tuple[float, float]:
    """Where a rate lies whose variance is `factor` times that of the spread; exactly where nothing varies."""
    if spread.variance <= 0 or not 0 < spread.rate < 1:
        units = max(spread.units / factor, 1.0)
        found = clopper_pearson(spread.rate * units, units, level=level)
        return found.low, found.high
    deviation = np.sqrt(factor * spread.variance) / (spread.rate * (1 - spread.rate))
    half = student_quantile((1 + level) / 2, spread.freedom) * deviation
    return float(inverse_logit(logit(centre) - half)), float(inverse_logit(logit(centre) + half))


def _around(target: float, ends: tuple[float, float], level: float) -> Interval:
    return Interval(estimate=target, low=ends[0], high=ends[1], level=level, method="logit-t")
