"""Scoring steps against loops over single trials, and planted faults that each step repairs."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import scoring as oracle
from speaker_sets import speakers

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.protocols.scoring import (
    ScoringSteps,
    calibrated_on,
    stored_steps,
    trial_scores,
    with_stored,
)
from angulus.evaluation.protocols.speaker_trials import verify_trials
from angulus.evaluation.rates.costs import VOXCELEB_001, VOXCELEB_005
from angulus.evaluation.report.result_files import result_of
from angulus.evaluation.scores.enrolment import Enrolment, Trials, all_trials, drawn_trials
from angulus.evaluation.scores.pairs import Pairs

quick = settings(max_examples=25, deadline=None)


def drawn_set(random, count, dims, speakers):
    labels = np.arange(count) % speakers
    return EmbeddingSet(embeddings=random.normal(1, 1, (count, dims)), labels=labels)


@quick
@given(st.integers(0, 10_000), st.integers(2, 4), st.booleans(), st.booleans())
def test_scores_are_the_loop(seed, top, is_centred, is_normalised):
    random = np.random.default_rng(seed)
    found, mean, cohort = (drawn_set(random, count, 5, 4) for count in (7, 6, 9))
    enrolment = Enrolment(names=("a", "b"), rows=np.array([0, 4, 2, 6]), models=np.array([0, 0, 1, 1]))
    pairs = Pairs(left=np.array([7, 8, 0]), right=np.array([1, 5, 3]), same=np.array([1, 0, 1], bool))
    trials = Trials(recordings=found, pairs=pairs, enrolment=enrolment)
    steps = ScoringSteps(center=mean if is_centred else None, cohort=cohort if is_normalised else None, top=top)
    scores = trial_scores(trials, steps)

    rows = [list(map(float, row)) for row in found.embeddings]
    centre = oracle.mean_of([list(map(float, row)) for row in mean.embeddings]) if is_centred else [0.0] * 5
    people = [[list(map(float, row)) for row in cohort.embeddings[cohort.labels == one]] for one in range(4)]
    means = [oracle.model_of(person, centre) for person in people]
    sides = [oracle.centred(row, centre) for row in rows]
    sides += [oracle.model_of([rows[0], rows[4]], centre), oracle.model_of([rows[2], rows[6]], centre)]
    for score, a, b in zip(scores, pairs.left, pairs.right, strict=True):
        if is_normalised:
            assert score == pytest.approx(oracle.as_norm(sides[a], sides[b], means, top), rel=2e-3, abs=2e-3)
        else:
            assert score == pytest.approx(oracle.dot(sides[a], sides[b]), abs=1e-6)


def test_a_common_offset_hurts_and_centring_repairs_it():
    judged, other = (speakers(30, 6, seed=seed, offset=12.0) for seed in (1, 2))
    clean = speakers(30, 6, seed=1)
    raw, centred = verify_trials(all_trials(judged), ScoringSteps(center=other)).result.steps
    without = verify_trials(all_trials(clean)).result
    assert raw.eer.rate > 1.3 * without.eer.rate
    assert centred.eer.rate == pytest.approx(without.eer.rate, abs=0.015)
    assert centred.min_dcf(VOXCELEB_005) < raw.min_dcf(VOXCELEB_005)


def test_speakers_who_score_high_with_everyone_are_repaired_by_as_norm():
    judged, cohort = (speakers(60, 5, seed=seed, lean=4.0) for seed in (3, 4))
    raw, normalised = verify_trials(all_trials(judged), ScoringSteps(cohort=cohort, top=20)).result.steps
    assert normalised.eer.rate < 0.8 * raw.eer.rate
    notes = verify_trials(all_trials(judged), ScoringSteps(cohort=cohort, top=20)).result.notes
    assert notes == ()  # of scores above 0.99, which say something of cosines alone
    assert normalised.min_dcf(VOXCELEB_001) < raw.min_dcf(VOXCELEB_001)


def test_calibration_lowers_cllr_and_actual_costs_and_durations_lower_them_further():
    judged, other = (all_trials(speakers(40, 6, seed=seed, noise=0.8, seconds=True)) for seed in (5, 6))
    alone = calibrated_on(other, ScoringSteps())
    beside = calibrated_on(other, ScoringSteps(quality=("seconds",)))
    raw, linear = verify_trials(judged, alone).result.steps
    quality = verify_trials(judged, beside).result.steps[-1]
    assert raw.costs.cllr > 0.8
    assert linear.costs.min_cllr == pytest.approx(raw.costs.min_cllr)  # the same order of scores
    assert linear.costs.cllr < linear.costs.min_cllr + 0.03
    assert linear.act_dcf(VOXCELEB_005) < linear.min_dcf(VOXCELEB_005) + 0.1
    assert quality.costs.cllr < linear.costs.cllr
    assert quality.eer.rate < linear.eer.rate


def test_all_steps_are_recorded_and_survive_json():
    judged, other = (speakers(25, 4, seed=seed, noise=0.9, offset=3.0, seconds=True) for seed in (7, 8))
    steps = calibrated_on(all_trials(other), ScoringSteps(center=other, cohort=other, quality=("seconds", "norm")))
    result = verify_trials(all_trials(judged), steps, intervals=None, name="x").result
    assert [step.name for step in result.steps] == ["raw", "+ mean", "+ AS-norm", "+ calibration"]
    for step in result.steps:
        assert step.confidence.eer.low < step.eer.rate < step.confidence.eer.high
        sure = step.confidence.cost("VoxCeleb 0.05")
        assert sure.low < step.min_dcf(VOXCELEB_005) < sure.high
    assert (result.scoring["top"], result.scoring["quality"]) == (25, ["seconds", "norm"])
    assert result.scores.startswith("log-likelihood ratio with seconds, norm of the cosine after subtracting a mean")
    assert result.costs.cllr == result.steps[-1].costs.cllr
    content = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert result_of(content).as_dict() == result.as_dict()
    assert "+ AS-norm" in result.table()


def test_a_stored_calibration_is_for_its_own_steps(tmp_path):
    other, judged = (speakers(25, 4, seed=seed, noise=0.9) for seed in (8, 9))
    steps = calibrated_on(all_trials(other), ScoringSteps(cohort=other, top=10))
    path = tmp_path / "c.json"
    path.write_text(json.dumps(stored_steps(steps)))
    again = with_stored(ScoringSteps(cohort=other, top=10), path)
    trials = all_trials(judged)
    np.testing.assert_array_equal(trial_scores(trials, again), trial_scores(trials, steps))
    with pytest.raises(EvaluationError, match=r"other steps \(top differ\)"):
        with_stored(ScoringSteps(cohort=other, top=11), path)
    with pytest.raises(EvaluationError, match=r"other steps \(cohort, top differ\)"):
        with_stored(ScoringSteps(), path)
    path.write_text("{}")
    with pytest.raises(EvaluationError, match="holds no calibration of scores"):
        with_stored(ScoringSteps(), path)


def test_several_recordings_tell_more_than_one():
    judged = speakers(30, 6, seed=10, noise=1.2)
    one, three = (verify_trials(drawn_trials(judged, count)).result for count in (1, 3))
    assert three.compared == "trials of 30 models"
    assert (three.genuine, three.impostors) == (30 * 3, 30 * 90 - 90)
    assert three.eer.rate < 0.8 * one.eer.rate


def test_seconds_of_a_model_add_up_and_norms_are_means():
    random = np.random.default_rng(0)
    found = EmbeddingSet(
        embeddings=random.normal(size=(4, 3)),
        labels=[0, 0, 1, 1],
        columns={"seconds": [1.0, 2.0, 3.0, 4.0], "sex": ["f", "f", "m", "m"], "take": [0, 1, 0, 1]},
    )
    enrolment = Enrolment(names=("a",), rows=np.array([0, 1]), models=np.array([0, 0]))
    trials = Trials(
        recordings=found,
        pairs=Pairs(left=np.array([4]), right=np.array([2]), same=np.array([False])),
        enrolment=enrolment,
    )
    np.testing.assert_allclose(trials.quality("seconds"), [1, 2, 3, 4, 3])
    np.testing.assert_allclose(trials.quality("norm", found.norms())[4], found.norms()[:2].mean())
    sides = trials.sides
    assert (sides.keys[4], sides.labels[4], sides.columns["sex"][4]) == ("a", 0, "f")
    assert np.isnan(sides.columns["take"][4])
    with pytest.raises(EvaluationError, match="the quality snr needs a column of this name"):
        trials.quality("snr")


def test_what_cannot_be_scored_says_so():
    judged, cohort = speakers(6, 3, seed=1), speakers(6, 3, seed=2)
    trials = all_trials(judged)
    with pytest.raises(EvaluationError, match="cohort has one vector for each"):
        ScoringSteps(cohort=EmbeddingSet(embeddings=cohort.embeddings))
    with pytest.raises(EvaluationError, match="a cohort needs at least 2 speakers, got 1"):
        ScoringSteps(cohort=cohort.select(cohort.labels == 0))
    with pytest.raises(EvaluationError, match="top must be at least 2 and at most the cohort's 6, got 9"):
        trial_scores(trials, ScoringSteps(cohort=cohort, top=9))
    narrow = EmbeddingSet(embeddings=cohort.embeddings[:, :5], labels=cohort.labels)
    with pytest.raises(EvaluationError, match="the mean has 5 dimensions and the embeddings have 24"):
        trial_scores(trials, ScoringSteps(center=narrow))
    with pytest.raises(EvaluationError, match="the cohort has 5 dimensions"):
        trial_scores(trials, ScoringSteps(cohort=narrow))
    itself = EmbeddingSet(embeddings=judged.embeddings[4:5])
    with pytest.raises(EvaluationError, match=r'row 4 \("s1-001/0004.wav"\) is the mean itself'):
        trial_scores(trials, ScoringSteps(center=itself))
    with pytest.raises(EvaluationError, match="labels that say who speaks"):
        all_trials(EmbeddingSet(embeddings=judged.embeddings))
    with pytest.raises(EvaluationError, match="no speaker has more than 3 recordings"):
        drawn_trials(judged, 3)
    with pytest.raises(EvaluationError, match="must be at least 1"):
        drawn_trials(judged, 0)
    mixed = Enrolment(names=("a",), rows=np.array([0, 3]), models=np.array([0, 0]))
    with pytest.raises(EvaluationError, match=r"'a' has row 3 .* of another"):
        _ = Trials(recordings=judged, pairs=trials.pairs, enrolment=mixed).sides
    with pytest.raises(EvaluationError, match="each of the 2 models must have a recording"):
        Enrolment(names=("a", "b"), rows=np.array([0]), models=np.array([0]))


def test_a_model_tried_on_its_own_recording_is_told():
    judged = speakers(4, 3, seed=1)
    enrolment = Enrolment(names=("a",), rows=np.array([0, 1]), models=np.array([0, 0]))
    pairs = Pairs(left=np.full(3, 12), right=np.array([0, 2, 5]), same=np.array([1, 1, 0], bool))
    result = verify_trials(Trials(recordings=judged, pairs=pairs, enrolment=enrolment)).result
    assert any("1 of the 3 trials compare a model with a recording that enrolled it" in note for note in result.notes)
