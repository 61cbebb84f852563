"""How well are speakers told apart, step by step of scoring: trials in, every figure of a verification out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.evaluation.protocols.one_person_twice import notes_on_alike
from angulus.evaluation.protocols.scoring import ScoringSteps, trial_scores
from angulus.evaluation.protocols.step_figures import StepFigures
from angulus.evaluation.protocols.verification import DEFAULT_FARS, VerificationResult, figures_of, notes_on
from angulus.evaluation.rates.roc import equal_error_rate
from angulus.evaluation.rates.step_costs import Costs, costs_of_list
from angulus.evaluation.scores.cosines import Scores, check_kinds
from angulus.evaluation.scores.enrolment import Trials
from angulus.evaluation.scores.fingerprint import fingerprint_of
from angulus.evaluation.scores.people import people_of_pairs
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.verification_intervals import Confidence, confidence_of_pairs

_People = tuple[NDArray[np.int64], NDArray[np.int64]] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredTrials:
    """The figures of trials, and the score [p] of each after all steps."""

    result: VerificationResult
    scores: NDArray[np.float64]


def verify_trials(
    trials: Trials,
    steps: ScoringSteps | None = None,
    *,
    fars: Sequence[float] = DEFAULT_FARS,
    name: str = "",
    intervals: bool | None = False,
    bootstrap: Bootstrap | None = None,
) -> ScoredTrials:
    """EER, minDCF, min Cllr, TAR at FAR, curves of trials; after calibration actDCF and Cllr; and a line for each step.

    steps: left out, cosines. intervals: True for all that can be had, None for those that take seconds. Speakers are
    drawn anew, by the labels of the set or the folders in its keys.
    """
    steps, pairs, options = steps or ScoringSteps(), trials.pairs, bootstrap or Bootstrap()
    check_kinds(int(pairs.same.sum()), int((~pairs.same).sum()))
    pairs.check_rows(len(trials.sides))
    people = people_of_pairs(trials.sides, pairs)
    lines, scored = [], []
    for each, prefix in steps.prefixes():
        scored.append(scores := trial_scores(trials, prefix))
        lines.append(_figures(each, scores, trials, None if intervals is False else people, options))
    cosines, scores = scored[0], scored[-1]
    found = Scores.of_pairs(scores.astype(np.float32), pairs)
    confidence = None
    if intervals is not False:
        confidence = _confidence(scores, trials, people, fars, bool(intervals), options)
    result = VerificationResult(
        name=name,
        protocol="plain",
        view=steps.view,
        compared=_compared(trials),
        images=len(np.union1d(pairs.left, pairs.right)),
        accuracy=None,
        costs=_costs(scores, trials, is_llr=steps.calibration is not None),
        confidence=confidence,
        fingerprint=fingerprint_of(trials.sides, pairs if trials.listed else None),
        notes=(*notes_on_trials(trials), *_notes_on_alike(trials, cosines)),
        noun=trials.recordings.noun,
        **{"scores": steps.describe(), "steps": tuple(lines), "scoring": steps.as_dict()},
        **figures_of(found, fars),
    )
    return ScoredTrials(result=result, scores=scores)


def notes_on_trials(trials: Trials) -> tuple[str, ...]:
    """What is odd about trials, in words."""
    pairs, enrolment = trials.pairs, trials.enrolment
    found = notes_on(trials.sides, pairs)
    if pairs.fold is not None:
        found = ("accuracy over folds is left out: it is that of plain cosines", *found)
    if enrolment is not None:
        models, sides = enrolment.models + len(trials.recordings), len(trials.sides)
        inside = int(np.isin(pairs.left * sides + pairs.right, models * sides + enrolment.rows).sum())
        if inside:
            note = f"{inside:,} of the {len(pairs):,} trials compare a model with a recording that enrolled it"
            found = (*found, note)
    return found


def _compared(trials: Trials) -> str:
    if trials.enrolment is not None:
        return f"trials of {len(trials.enrolment):,} models"
    return "a pair list" if trials.listed else "all pairs"


def _notes_on_alike(trials: Trials, cosines: NDArray[np.float64]) -> tuple[str, ...]:
    other = ~trials.pairs.same
    rows = (trials.pairs.left[other], trials.pairs.right[other])
    return notes_on_alike(trials.sides, cosines[other].astype(np.float32), *rows, int(other.sum()))


def _figures(
    name: str, scores: NDArray[np.float64], trials: Trials, people: _People, options: Bootstrap
) -> StepFigures:
    eer = equal_error_rate(Scores.of_pairs(scores.astype(np.float32), trials.pairs))
    sure = None if people is None else _confidence(scores, trials, people, (), False, options)
    return StepFigures(name=name, eer=eer, costs=_costs(scores, trials, is_llr=True), confidence=sure)


def _costs(scores: NDArray[np.float64], trials: Trials, *, is_llr: bool) -> Costs:
    return costs_of_list(scores[trials.pairs.same], scores[~trials.pairs.same], are_llr=is_llr)


def _confidence(
    scores: NDArray[np.float64],
    trials: Trials,
    people: _People,
    fars: Sequence[float],
    everything: bool,
    options: Bootstrap,
) -> Confidence:
    if people is None:
        note = "no intervals: neither labels nor folders say who speaks in the recordings of the trials"
        return Confidence(people=0, level=options.level, points=(), notes=(note,))
    single = scores.astype(np.float32)
    rate = equal_error_rate(Scores.of_pairs(single, trials.pairs)).rate
    return confidence_of_pairs(
        *(single, trials.pairs, people),
        correct=None,
        **{"fars": fars, "eer": rate, "options": options, "everything": everything},
    )
