"""Trials as the options of scoring describe them: models from a list or from labels, other sets for each step."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.search_inputs import common_view
from angulus.cli.inputs.verification_inputs import Compared, stored_set
from angulus.cli.options import Protocol, Scoring, save_json
from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.evaluation import VerificationResult, match, read_pairs
from angulus.evaluation.files.enrolment_lists import enrolled_trials, read_enrolment
from angulus.evaluation.protocols.scoring import USUAL_PRIOR, ScoringSteps, calibrated_on, stored_steps, with_stored
from angulus.evaluation.protocols.speaker_trials import verify_trials
from angulus.evaluation.scores.enrolment import Trials, all_trials, drawn_trials
from angulus.evaluation.scores.fingerprint import fingerprint_of
from angulus.evaluation.scores.pairs import NamedPairs


@dataclass(frozen=True, kw_only=True, eq=False)
class Enrolled:
    """Models by name with their recordings, and the trials that name them."""

    path: Path
    models: dict[str, list[str]]
    trials: NamedPairs


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What was compared, models included, the score of each trial [p], and the figures after each step."""

    compared: Compared
    scores: NDArray[np.float64]
    result: VerificationResult
    steps: ScoringSteps

    def keep(self, scoring: Scoring) -> None:
        """Write the calibration where that was asked for."""
        if scoring.keep_calibration is not None:
            save_json(scoring.keep_calibration, stored_steps(self.steps))


def check_scoring(
    scoring: Scoring, protocol: Protocol, images: Path | None, pairs: Path | None, calibration: Path | None
) -> None:
    """Raise EvaluationError, before anything is read, for options that do not go together."""
    if not scoring.is_asked_for:
        return
    if protocol != "plain":
        raise EvaluationError(f"scoring steps belong to the protocol plain, got {protocol}; leave one of both out")
    if calibration is not None:
        raise EvaluationError(
            f"{calibration} is a threshold for cosines, and scoring steps make other scores of them; leave one of both"
            " out"
        )
    if scoring.enrolment is not None and pairs is None:
        raise EvaluationError("--enrolment says what models are made of; name the trials of these models with --pairs")
    if scoring.enrol is not None and (pairs is not None or scoring.enrolment is not None):
        raise EvaluationError("--enrol draws its own trials from the labels; leave --pairs and --enrolment out")
    if images is not None and (scoring.enrolment is not None or scoring.enrol is not None):
        raise EvaluationError("models are made of stored embeddings; make these first with: angulus embed")
    if scoring.top is not None and scoring.cohort is None:
        raise EvaluationError("--top counts the cohort scores of AS-norm; name the cohort with --cohort")
    _check_calibration(scoring)


def _check_calibration(scoring: Scoring) -> None:
    on = scoring.calibrate_on
    if len(on) > 2:
        raise EvaluationError(
            "--calibrate-on takes embeddings and their trial list, or one file that --keep-calibration wrote, got "
            + " ".join(map(str, on))
        )
    if scoring.quality and _is_stored(on):
        raise EvaluationError(f"{on[0]} says which qualities it takes; leave --quality out")
    if scoring.calibration_prior is not None and _is_stored(on):
        raise EvaluationError(f"{on[0]} was fitted at a prior already; leave --calibration-prior out")
    for name, value in (
        ("--quality", scoring.quality),
        ("--calibration-prior", scoring.calibration_prior),
        ("--keep-calibration", scoring.keep_calibration),
    ):
        if value and (not on or _is_stored(on)):
            raise EvaluationError(f"{name} belongs to a calibration; fit one with --calibrate-on EMBEDDINGS TRIALS")


def _is_stored(on: tuple[Path, ...]) -> bool:
    """Whether a calibration is named, and no embeddings to fit one on."""
    return len(on) == 1 and on[0].suffix == ".json"


def read_enrolled(scoring: Scoring, pairs: Path | None) -> Enrolled | None:
    """The enrolment list and the trials of its models; None without one."""
    if scoring.enrolment is None or pairs is None:
        return None
    return Enrolled(path=pairs, models=read_enrolment(scoring.enrolment), trials=read_pairs(pairs))


def scored(
    compared: Compared, enrolled: Enrolled | None, scoring: Scoring, view: View | None, rates: dict[str, Any]
) -> Scored:
    """The trials that the options describe, in the steps that they name."""
    trials, steps, notes = _trials(compared, enrolled, scoring), _steps(compared.embeddings, scoring, view), ()
    if _is_stored(scoring.calibrate_on):
        steps = with_stored(steps, scoring.calibrate_on[0])
    elif scoring.calibrate_on:
        other = _calibration_trials(scoring)
        steps = calibrated_on(other, steps, prior=scoring.calibration_prior or USUAL_PRIOR)
        notes = _notes_on_same(trials, other)
    found = verify_trials(trials, steps, **rates)
    notes = (*_notes_on_shared(compared.embeddings, steps), *notes, *found.result.notes)
    facts = {**compared.facts, **_facts(scoring, steps)}
    if enrolled is not None:
        facts["pairs"] = str(enrolled.path)
    shown = Compared(embeddings=trials.sides, pairs=trials.pairs, facts=facts)
    return Scored(compared=shown, scores=found.scores, result=replace(found.result, notes=notes), steps=steps)


def _trials(compared: Compared, enrolled: Enrolled | None, scoring: Scoring) -> Trials:
    found = compared.embeddings
    if enrolled is not None:
        return enrolled_trials(enrolled.models, enrolled.trials, found)
    if scoring.enrol is not None:
        return drawn_trials(found, scoring.enrol)
    return all_trials(found) if compared.pairs is None else Trials(recordings=found, pairs=compared.pairs)


def _steps(embeddings: EmbeddingSet, scoring: Scoring, view: View | None) -> ScoringSteps:
    center, cohort = (None if path is None else stored_set(path) for path in (scoring.center, scoring.cohort))
    view = common_view(view, *(each for each in (embeddings, center, cohort) if each is not None))
    return ScoringSteps(center=center, cohort=cohort, top=scoring.top, quality=scoring.quality, view=view)


def _calibration_trials(scoring: Scoring) -> Trials:
    """Trials of the other set: of models where the list names such, without a list as those that are judged."""
    found, listed = stored_set(scoring.calibrate_on[0]), scoring.calibrate_on[1:]
    if not listed:
        return all_trials(found) if scoring.enrol is None else drawn_trials(found, scoring.enrol)
    named = read_pairs(listed[0])
    if scoring.enrolment is not None:
        models = read_enrolment(scoring.enrolment)
        if all(name in models for name in named.left):
            return enrolled_trials(models, named, found)
    return Trials(recordings=found, pairs=match(named, found))


def _facts(scoring: Scoring, steps: ScoringSteps) -> dict[str, Any]:
    """The files of each step, for the result."""
    named: dict[str, Any] = {"center": scoring.center, "cohort": scoring.cohort, "enrolment": scoring.enrolment}
    found = {name: str(path) for name, path in named.items() if path is not None}
    if scoring.enrol is not None:
        found |= {"pairs": "drawn models", "enrol": str(scoring.enrol)}
    if steps.calibration is not None:
        found["calibrated on"] = " ".join(map(str, scoring.calibrate_on))
        found["calibration"] = steps.calibration.line()
        found["calibration prior"] = f"{steps.calibration.prior:g}"
    return found


def _notes_on_same(trials: Trials, other: Trials) -> tuple[str, ...]:
    if fingerprint_of(trials.sides, trials.pairs) != fingerprint_of(other.sides, other.pairs):
        return ()
    return ("the calibration was fitted on these very trials, so that actDCF and Cllr are better than on others",)


def _notes_on_shared(embeddings: EmbeddingSet, steps: ScoringSteps) -> tuple[str, ...]:
    """That speakers of the trials are in the cohort, by their names."""
    names = [None if each is None else each.identities for each in (embeddings, steps.cohort)]
    if names[0] is None or names[1] is None:
        return ()
    shared = sorted(set(names[0]) & set(names[1]))
    if not shared:
        return ()
    first = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
    return (f"{len(shared):,} of the speakers are in the cohort too ({first}): it should be of other speakers",)
