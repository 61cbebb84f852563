"""From embeddings to the scores of trials, in the steps of speaker verification, each of which may be left out.

    mean          x - mean of the embeddings of another set            (center)
    cosine        of x / |x|; of a model's mean direction where several recordings enrol it
    AS-norm       half the sum of (s - mean) / std of both sides over the `top` highest cosines of each to a cohort,
                  which holds one vector for each speaker of another set: the mean of that speaker's directions
    calibration   slope s + quality measures + offset, a log-likelihood ratio, fitted on other trials

Cohort and models are made after the mean was subtracted. References: Matejka et al. 2017, "Analysis of score
normalization in multilingual speaker recognition" (adaptive s-norm); `rates.quality_calibration` for the last step.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.embeddings.directions import row_norms, unit_rows
from angulus.errors import EvaluationError
from angulus.evaluation.rates.quality_calibration import (
    QualityCalibration,
    fit_quality,
    measure_names,
    quality_measures,
)
from angulus.evaluation.scores.cosines import pair_scores
from angulus.evaluation.scores.enrolment import Enrolment, Trials
from angulus.evaluation.scores.normalization import cohort_statistics, normalized_scores
from angulus.json_files import parse_json
from angulus.text_files import read_text

USUAL_TOP = 300
USUAL_PRIOR = 0.5
NORM = "norm"


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoringSteps:
    """What is done to scores. center, cohort: sets of other speakers, the second with labels.

    top: how many cohort scores of each side count; left out, 300 or the whole cohort where that is smaller. quality:
    what calibration takes beside the score, columns of the sets (seconds) or "norm", of the embeddings after the mean
    was subtracted. view: of all sets.
    """

    center: EmbeddingSet | None = None
    cohort: EmbeddingSet | None = None
    top: int | None = None
    quality: tuple[str, ...] = ()
    calibration: QualityCalibration | None = None
    view: View = "plain"

    def __post_init__(self) -> None:
        if self.cohort is not None and self.cohort.labels is None:
            raise EvaluationError(
                "a cohort has one vector for each of its speakers, so that it needs labels, and this set has none"
            )
        if self.cohort is not None and self.speakers_of_cohort() < 2:
            raise EvaluationError(f"a cohort needs at least 2 speakers, got {self.speakers_of_cohort()}")

    def prefixes(self) -> list[tuple[str, "ScoringSteps"]]:
        """The steps one after the other, each with those before it: ("raw", ...), ("+ mean", ...), ..."""
        found = [("raw", ScoringSteps(view=self.view))]
        if self.center is not None:
            found.append(("+ mean", replace(found[-1][1], center=self.center)))
        if self.cohort is not None:
            found.append(("+ AS-norm", replace(found[-1][1], cohort=self.cohort, top=self.top)))
        if self.calibration is not None:
            found.append(("+ calibration", self))
        return found

    def speakers_of_cohort(self) -> int:
        """How many speakers the cohort has."""
        assert self.cohort is not None
        assert self.cohort.labels is not None
        return len(np.unique(self.cohort.labels[self.cohort.labels >= 0]))

    def used_top(self) -> int | None:
        """How many cohort scores of each side count; None without a cohort."""
        if self.cohort is None:
            return None
        return min(USUAL_TOP, self.speakers_of_cohort()) if self.top is None else self.top

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: each step, what sets it took by their digests, and the calibration."""
        calibration = None if self.calibration is None else self.calibration.as_dict()
        return {**self.before_calibration(), "quality": list(self.quality), "calibration": calibration}

    def before_calibration(self) -> dict[str, Any]:
        """What a calibration belongs to: it says something of scores made in these steps alone."""
        center = None if self.center is None else digest_of(self.center)
        cohort = None if self.cohort is None else digest_of(self.cohort)
        return {"center": center, "cohort": cohort, "top": self.used_top(), "view": self.view}

    def describe(self) -> str:
        """What a score is, in words."""
        words = "cosine" if self.center is None else "cosine after subtracting a mean"
        if self.cohort is not None:
            words += f", AS-norm by the {self.used_top()} nearest of {self.speakers_of_cohort():,} speakers"
        if self.calibration is not None:
            beside = f" with {', '.join(self.quality)}" if self.quality else ""
            words = f"log-likelihood ratio{beside} of the {words}"
        return words


def digest_of(embeddings: EmbeddingSet) -> str:
    """SHA-256 of the vectors and labels of a set."""
    found = hashlib.sha256(np.ascontiguousarray(embeddings.embeddings).tobytes())
    if embeddings.flipped is not None:
        found.update(np.ascontiguousarray(embeddings.flipped).tobytes())
    if embeddings.labels is not None:
        found.update(np.unique(embeddings.labels, return_inverse=True)[1].astype(np.int64).tobytes())
    return found.hexdigest()


def centred(embeddings: EmbeddingSet, center: EmbeddingSet | None, view: View) -> NDArray[np.float32]:
    """Embeddings [n, d] of any norm, after the mean of another set was subtracted where there is one."""
    vectors = embeddings.combined(view)
    if center is None:
        return vectors
    mean = center.combined(view).mean(axis=0, dtype=np.float64)
    if len(mean) != vectors.shape[1]:
        raise EvaluationError(
            f"the mean has {len(mean)} dimensions and the embeddings have {vectors.shape[1]}; use one model for both"
        )
    return vectors - mean.astype(np.float32)


def directions(embeddings: EmbeddingSet, center: EmbeddingSet | None, view: View) -> NDArray[np.float32]:
    """Unit vectors [n, d] after the mean of another set was subtracted."""
    if center is None:
        return embeddings.unit(view)
    unit, norms = unit_rows(centred(embeddings, center, view))
    if not norms.all():
        row = int(np.argmin(norms))
        raise EvaluationError(f"{embeddings.describe(row)} is the mean itself, so that no direction is left; remove it")
    return unit


def cohort_of(steps: ScoringSteps) -> NDArray[np.float32]:
    """One unit vector [c, d] for each speaker of the cohort: the mean of the directions of its recordings."""
    assert steps.cohort is not None
    labels = steps.cohort.labels
    assert labels is not None
    rows = np.flatnonzero(labels >= 0)
    speakers, models = np.unique(labels[rows], return_inverse=True)
    enrolment = Enrolment(names=tuple(map(str, speakers.tolist())), rows=rows, models=models)
    return enrolment.pooled(directions(steps.cohort, steps.center, steps.view))


def trial_scores(trials: Trials, steps: ScoringSteps) -> NDArray[np.float64]:
    """The score [p] of each trial after these steps."""
    pairs, vectors = trials.pairs, trials.unit(directions(trials.recordings, steps.center, steps.view))
    scores = pair_scores(vectors, pairs).astype(np.float64)
    if steps.cohort is not None:
        cohort = cohort_of(steps)
        if cohort.shape[1] != vectors.shape[1]:
            raise EvaluationError(
                f"the cohort has {cohort.shape[1]} dimensions and the embeddings have {vectors.shape[1]};"
                " use one model for both"
            )
        used, places = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
        statistics = cohort_statistics(vectors[used], cohort, top=steps.used_top())
        scores = normalized_scores(scores, places[: len(pairs)], places[len(pairs) :], statistics)
    if steps.calibration is not None:
        scores = steps.calibration.llr(scores, _measures(trials, steps))
    return scores


def calibrated_on(trials: Trials, steps: ScoringSteps, *, prior: float = USUAL_PRIOR) -> ScoringSteps:
    """The same steps and calibration, fitted on these trials, which should be of other speakers than are judged.

    prior: of a genuine trial, for which the cost of the fit counts most. Raises EvaluationError unless it is in (0, 1).
    """
    before = replace(steps, calibration=None)
    names = [each for name in steps.quality for each in measure_names(name)]
    fitted = fit_quality(trial_scores(trials, before), trials.pairs.same, _measures(trials, steps), names, prior=prior)
    return replace(before, calibration=fitted)


def stored_steps(steps: ScoringSteps) -> dict[str, Any]:
    """The content of a file that `with_stored` reads: the calibration, and after which steps it was fitted."""
    assert steps.calibration is not None
    return {**steps.calibration.as_dict(), "quality": list(steps.quality), "after": steps.before_calibration()}


def with_stored(steps: ScoringSteps, path: str | Path) -> ScoringSteps:
    """The steps with a calibration that was stored, and its qualities.

    Raises EvaluationError for another file, and for one that was fitted after other steps.
    """
    text = read_text(path, EvaluationError, "calibration of scores")
    try:
        found = QualityCalibration.from_json(text)
        content = parse_json(text)
        quality, after = tuple(map(str, content["quality"])), dict(content["after"])
    except (EvaluationError, KeyError, TypeError, ValueError) as problem:
        raise EvaluationError(f"{path} holds no calibration of scores ({problem}); fit one on trials") from problem
    now = replace(steps, calibration=None).before_calibration()
    differ = [name for name in now if now[name] != after.get(name)]
    if differ:
        raise EvaluationError(
            f"{path} was fitted on scores after other steps ({', '.join(differ)} differ), and says nothing of these;"
            " use the same center, cohort, top and view, or fit it again"
        )
    return replace(steps, calibration=found, quality=quality)


def _measures(trials: Trials, steps: ScoringSteps) -> NDArray[np.float64]:
    pairs, columns = trials.pairs, [np.empty((len(trials.pairs), 0))]
    for name in steps.quality:
        values = row_norms(centred(trials.recordings, steps.center, steps.view)) if name == NORM else None
        columns.append(quality_measures(trials.quality(name, values), pairs.left, pairs.right, name))
    return np.concatenate(columns, axis=1)
