"""Which threshold does this artefact want, and what does it do? Calibrated with vectors of the artefact itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.all_pairs import AllPairs, all_pairs
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty.bootstrap import FEWEST_PEOPLE, Bootstrap
from angulus.evaluation.uncertainty.calibration import (
    CalibratedThreshold,
    calibrate_threshold,
    chosen_people,
    split_people,
)
from angulus.evaluation.uncertainty.gallery_sizes import stranger_searches, tail_thresholds
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.rate_curves import frr_of_people, rate_curves
from angulus.evaluation.uncertainty.replicates import largest_count, needed_tail
from angulus.evaluation.uncertainty.score_meaning import drawn_scores, meaning_of_scores
from angulus.runtime.curves import Curves, Histogram, RateCurve, SearchCurves, Searches
from angulus.runtime.thresholds import Meaning, Rate, Threshold

FARS = (1e-4, 1e-3, 1e-2)
"""From which the FAR is taken where the user names none: the smallest that is worth FEWEST false accepts."""
FEWEST = 10
USUAL_TAIL = 250_000
MOST_TAIL = 20_000_000
BINS = 100
PHOTOS, PROBES = (1, 2, 3, 5, 10), 3
FEWEST_STRANGERS = 20
MOST_SCORES = 2**21
Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """threshold and curves: None where there is none, and `missing` then says why in one sentence."""

    threshold: Threshold | None = None
    curves: Curves | None = None
    missing: str = ""


def calibrated(artefact: str, vectors: Vectors, labels: Labels | None, far: float | None) -> Calibration:
    """The threshold and the error rates of an artefact, from its vectors [n, d] of labelled images [n].

    far: to aim at; None takes the smallest of FARS that the images resolve.
    """
    people = 0 if labels is None else len(np.unique(labels))
    if labels is None:
        return Calibration(missing="the examples have no labels, so that no threshold can be calibrated")
    if people < 2 * FEWEST_PEOPLE:
        few = "one person is" if people == 1 else f"{people} people are"
        return Calibration(missing=f"{few} too few to calibrate a threshold with; it takes at least ten")
    try:
        target = far or smallest_resolved(labels)
        counted, scores = scored(vectors, labels, target)
        found = calibrate_threshold(scores, target)
        threshold = _threshold(artefact, found, scores, vectors, labels)
        curves = _curves(artefact, vectors, labels, counted, scores)
    except EvaluationError as error:
        return Calibration(missing=f"no threshold could be calibrated: {error}")
    return Calibration(threshold=threshold, curves=curves)


def scored(vectors: Vectors, labels: Labels, far: float) -> tuple[AllPairs, SubjectScores]:
    """All pairs, counted, and with the people behind those that FARs up to `far` need in halves of the people too.

    Raises EvaluationError where these are too many to keep.
    """
    pairs = len(labels) * (len(labels) - 1) // 2
    tail = max(needed_tail(min(4 * far, 1.0), pairs) + 2000, min(pairs, USUAL_TAIL))
    if tail > MOST_TAIL:
        raise EvaluationError(
            f"FAR {far:g} of all pairs of {len(labels):,} examples would keep {tail:,} scores; ask for a smaller FAR,"
            " or give fewer of them"
        )
    counted = all_pairs(vectors, labels, fars=(far,), tail=tail)
    kept = counted.kept
    scores = SubjectScores.of_all_pairs(
        labels,
        **{"genuine": kept.genuine, "genuine_rows": kept.genuine_left},
        **{"tail": kept.tail, "tail_left": kept.tail_left, "tail_right": kept.tail_right},
    )
    return counted, scores


def smallest_resolved(labels: Labels) -> float:
    """The smallest of FARS at which the choosing half has at least FEWEST false accepts. Raises EvaluationError."""
    counts = np.unique(labels, return_counts=True)[1].astype(np.int64)
    images = counts[chosen_people(len(counts))]
    strangers = int(images.sum() ** 2 - (images**2).sum()) // 2
    for far in FARS:
        if largest_count(far, strangers) >= FEWEST:
            return far
    raise EvaluationError(
        f"FAR {max(FARS):g} takes at least {round(FEWEST / max(FARS)):,} pairs of strangers among half of the people,"
        f" got {strangers:,}; give more people, or a larger FAR"
    )


def searches(vectors: Vectors, labels: Labels, level: float) -> Searches | None:
    """FPIR of strangers in galleries of growing size, for each number of photos a person that enough people have.

    Probes are at most PROBES photos of a person, templates the mean of so many of a person's photos, drawn anew. None
    where there are fewer than FEWEST_STRANGERS people.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    rows = [order[labels[order] == person] for person in np.unique(labels)]
    if len(rows) < FEWEST_STRANGERS:
        return None
    probes = np.concatenate([one[:PROBES] for one in rows])
    numbers = [count for count in PHOTOS if sum(len(one) >= count for one in rows) >= FEWEST_STRANGERS]
    made = {count: _templates(vectors, labels, [one[:count] for one in rows if len(one) >= count]) for count in numbers}
    # at the same thresholds: those of the strangers' scores with the fewest and with the most photos
    both = np.concatenate([_strangers(vectors, labels, *made[count]) for count in {numbers[0], numbers[-1]}])
    thresholds = tail_thresholds(both)
    curves = []
    for count, (templates, people) in made.items():
        found = stranger_searches(
            vectors[probes], labels[probes], templates, people, thresholds=thresholds, level=level
        )
        rates = tuple(RateCurve(values=never_looser(values)) for values in found.fpir)
        curves.append(
            SearchCurves(
                **{"photos": count, "people": found.people, "probes": found.probes, "sizes": found.sizes},
                **{"thresholds": found.thresholds, "fpir": rates},
            )
        )
    return Searches(curves=tuple(curves))


def _templates(vectors: Vectors, labels: Labels, rows: list[NDArray[np.int64]]) -> tuple[Vectors, Labels]:
    """One template [n, d] of each person's rows, as a gallery pools them, and whose it is [n]."""
    means = np.stack([vectors[one].astype(np.float64).mean(0) for one in rows])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return (means / np.maximum(lengths, 1e-12)).astype(np.float32), np.array([labels[one[0]] for one in rows])


def _strangers(vectors: Vectors, labels: Labels, templates: Vectors, people: Labels) -> NDArray[np.float32]:
    """Scores of some images with the templates of others."""
    some = np.random.default_rng(1).permutation(len(vectors))[: max(1, MOST_SCORES // len(templates))]
    scores = vectors[some] @ templates.T
    return scores[labels[some][:, None] != people[None, :]]


def _threshold(
    artefact: str, found: CalibratedThreshold, scores: SubjectScores, vectors: Vectors, labels: Labels
) -> Threshold:
    _, reporting = split_people(scores, seed=found.seed)
    # each person counts alike: of some there are a thousand times as many pairs as of others
    (frr,) = frr_of_people(reporting, np.array([found.threshold]), Bootstrap())
    return Threshold(
        **{"artefact": artefact, "value": found.threshold, "target_far": found.target},
        # where the people that chose are many of one kind the quantiles need not hold the value itself
        **{"low": min(found.threshold_low, found.threshold), "high": max(found.threshold_high, found.threshold)},
        far=rate_of(found.achieved),
        frr=rate_of(frr),
        **{"level": found.achieved.level, "people": found.reporting_people},
        meaning=_meaning(vectors, labels, found.seed),
        note=found.note,
    )


def _meaning(vectors: Vectors, labels: Labels, seed: int) -> Meaning | None:
    scores, pairs = drawn_scores(vectors, labels, seed=seed)
    found = meaning_of_scores(scores, pairs.same, labels[pairs.left], labels[pairs.right], seed=seed)
    return None if found is None else Meaning(slope=found.llr.slope, offset=found.llr.offset)


def _curves(artefact: str, vectors: Vectors, labels: Labels, counted: AllPairs, scores: SubjectScores) -> Curves:
    rates = rate_curves(vectors, labels, counted, scores)
    drawn = counted.score_histogram(bins=BINS)
    return Curves(
        **{"artefact": artefact, "level": rates.level, "people": scores.subjects, "photos": len(labels)},
        **{"genuine": len(scores.genuine), "strangers": scores.impostors, "thresholds": rates.thresholds},
        **{"far": RateCurve(values=never_looser(rates.far)), "frr": RateCurve(values=rates.frr)},
        histogram=Histogram(edges=drawn.edges, genuine=drawn.genuine, strangers=drawn.impostor),
        searches=searches(vectors, labels, rates.level),
    )


def never_looser(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates [3, k] of strangers at rising thresholds, whose upper ends do not rise: who passes one passes all below."""
    estimate, low, high = rates
    return np.stack([estimate, low, np.minimum.accumulate(high)])


def rate_of(interval: Interval) -> Rate:
    """An interval as a bundle keeps it."""
    return Rate(estimate=interval.estimate, low=max(interval.low, 0.0), high=min(interval.high, 1.0))
