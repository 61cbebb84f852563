"""Embeddings in, numbers out: what a user calls; each figure's parts lie in a wing below (docs/architecture.md)."""

from angulus.evaluation.files.pair_lists import match, read_pairs
from angulus.evaluation.files.verification_bins import read_bin
from angulus.evaluation.protocols.blufr import BlufrResult, evaluate_blufr
from angulus.evaluation.protocols.distractors import megaface
from angulus.evaluation.protocols.ijb import search_two_galleries, verify_templates
from angulus.evaluation.protocols.scoring import ScoringSteps, calibrated_on
from angulus.evaluation.protocols.speaker_trials import verify_trials
from angulus.evaluation.protocols.verification import VerificationResult, verify
from angulus.evaluation.rates.attributes import probe_attributes
from angulus.evaluation.rates.classification import classify
from angulus.evaluation.rates.identification import Identification, identify
from angulus.evaluation.rates.retrieval import RetrievalResult, retrieve
from angulus.evaluation.rates.roc import equal_error_rate, tar_at_far
from angulus.evaluation.scores.cosines import Scores
from angulus.evaluation.scores.enrolment import Enrolment, Trials, all_trials, drawn_trials
from angulus.evaluation.scores.pairs import Pairs
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.scores.templates import Templates, pool_templates
from angulus.evaluation.uncertainty.breakdown import Breakdown, group_breakdown
from angulus.evaluation.uncertainty.calibration import CalibratedThreshold, calibrate_for_gallery, calibrate_threshold
from angulus.evaluation.uncertainty.comparison import Comparison, compare_accuracy, compare_tar
from angulus.evaluation.uncertainty.intervals import Interval

__all__ = [
    "BlufrResult",
    "Breakdown",
    "CalibratedThreshold",
    "Comparison",
    "Enrolment",
    "Identification",
    "Interval",
    "Pairs",
    "RetrievalResult",
    "Scores",
    "ScoringSteps",
    "SubjectScores",
    "Templates",
    "Trials",
    "VerificationResult",
    "all_trials",
    "calibrate_for_gallery",
    "calibrate_threshold",
    "calibrated_on",
    "classify",
    "compare_accuracy",
    "compare_tar",
    "drawn_trials",
    "equal_error_rate",
    "evaluate_blufr",
    "group_breakdown",
    "identify",
    "match",
    "megaface",
    "pool_templates",
    "probe_attributes",
    "read_bin",
    "read_pairs",
    "retrieve",
    "search_two_galleries",
    "tar_at_far",
    "verify",
    "verify_templates",
    "verify_trials",
]
