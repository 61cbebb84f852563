"""Embeddings in, numbers out: scores, error rates, verification protocols and reports (numpy only)."""

from angulus.evaluation.accuracy import accuracy_interval, eer_interval
from angulus.evaluation.bootstrap import Bootstrap
from angulus.evaluation.breakdown import Breakdown, GroupRate, binned, group_breakdown, pair_breakdown, pair_column
from angulus.evaluation.calibration import (
    CalibratedThreshold,
    calibrate_for_gallery,
    calibrate_threshold,
    far_of_fpir,
    fpir_of_far,
    split_people,
)
from angulus.evaluation.comparison import Comparison, compare_accuracy, compare_tar, mcnemar
from angulus.evaluation.detection_cost import (
    SRE08,
    VOXCELEB_001,
    VOXCELEB_005,
    CostModel,
    DetectionCost,
    act_dcf,
    min_dcf,
)
from angulus.evaluation.evaluate import DEFAULT_FARS, VerificationResult, verify
from angulus.evaluation.intervals import Interval, clopper_pearson, wilson
from angulus.evaluation.likelihood import LinearCalibration, StepCalibration, cllr, fit_logistic, fit_pav, min_cllr
from angulus.evaluation.normalization import CohortStatistics, cohort_statistics, normalized_scores
from angulus.evaluation.pairs import Pairs, draw_pairs
from angulus.evaluation.protocols import NamedPairs, match, read_csv_pairs, read_lfw_pairs, read_pairs
from angulus.evaluation.replicates import needed_tail
from angulus.evaluation.roc import (
    EqualErrorRate,
    OperatingPoint,
    RocCurve,
    ScoreHistogram,
    area_under_roc,
    equal_error_rate,
    rates_at,
    roc_curve,
    score_histogram,
    tar_at_far,
    tars_at_fars,
)
from angulus.evaluation.scores import ScoredPair, Scores, all_pair_scores, hardest_pairs, pair_scores
from angulus.evaluation.subjects import SubjectScores
from angulus.evaluation.uncertainty import (
    TarInterval,
    far_interval,
    frr_interval,
    share_interval,
    smallest_resolved_far,
    tar_at_far_intervals,
    tar_interval,
)
from angulus.evaluation.verification import PROTOCOLS, FoldAccuracy, FoldedAccuracy, Protocol, folded_accuracy

__all__ = [
    "DEFAULT_FARS",
    "PROTOCOLS",
    "SRE08",
    "VOXCELEB_001",
    "VOXCELEB_005",
    "Bootstrap",
    "Breakdown",
    "CalibratedThreshold",
    "CohortStatistics",
    "Comparison",
    "CostModel",
    "DetectionCost",
    "EqualErrorRate",
    "FoldAccuracy",
    "FoldedAccuracy",
    "GroupRate",
    "Interval",
    "LinearCalibration",
    "NamedPairs",
    "OperatingPoint",
    "Pairs",
    "Protocol",
    "RocCurve",
    "ScoreHistogram",
    "ScoredPair",
    "Scores",
    "StepCalibration",
    "SubjectScores",
    "TarInterval",
    "VerificationResult",
    "accuracy_interval",
    "act_dcf",
    "all_pair_scores",
    "area_under_roc",
    "binned",
    "calibrate_for_gallery",
    "calibrate_threshold",
    "cllr",
    "clopper_pearson",
    "cohort_statistics",
    "compare_accuracy",
    "compare_tar",
    "draw_pairs",
    "eer_interval",
    "equal_error_rate",
    "far_interval",
    "far_of_fpir",
    "fit_logistic",
    "fit_pav",
    "folded_accuracy",
    "fpir_of_far",
    "frr_interval",
    "group_breakdown",
    "hardest_pairs",
    "match",
    "mcnemar",
    "min_cllr",
    "min_dcf",
    "needed_tail",
    "normalized_scores",
    "pair_breakdown",
    "pair_column",
    "pair_scores",
    "rates_at",
    "read_csv_pairs",
    "read_lfw_pairs",
    "read_pairs",
    "roc_curve",
    "score_histogram",
    "share_interval",
    "smallest_resolved_far",
    "split_people",
    "tar_at_far",
    "tar_at_far_intervals",
    "tar_interval",
    "tars_at_fars",
    "verify",
    "wilson",
]
