"""Embeddings in, numbers out: scores, error rates, protocols, intervals and reports (numpy, torch for products)."""

from angulus.evaluation.accuracy import (
    accuracy_interval,
    eer_interval,
)
from angulus.evaluation.all_pairs import (
    AllPairs,
    all_pairs,
)
from angulus.evaluation.attributes import (
    AttributeAccuracy,
    AttributesResult,
    probe_attributes,
)
from angulus.evaluation.bins import (
    EncodedPairs,
    read_bin,
    write_bin,
)
from angulus.evaluation.blufr import (
    BLUFR_FARS,
    BLUFR_FPIR,
    BlufrResult,
    TrialMean,
    TrialResult,
    evaluate_blufr,
)
from angulus.evaluation.blufr_trials import (
    BlufrTrial,
    BlufrTrials,
    draw_blufr_trials,
    read_blufr_trials,
)
from angulus.evaluation.bootstrap import (
    Bootstrap,
)
from angulus.evaluation.breakdown import (
    Breakdown,
    GroupRate,
    binned,
    group_breakdown,
    pair_breakdown,
    pair_column,
)
from angulus.evaluation.calibration import (
    CalibratedThreshold,
    calibrate_for_gallery,
    calibrate_threshold,
    far_of_fpir,
    fpir_of_far,
    split_people,
)
from angulus.evaluation.classification import (
    ClassGroup,
    ClassificationResult,
    TopError,
    classify,
)
from angulus.evaluation.comparison import (
    Comparison,
    compare_accuracy,
    compare_tar,
    mcnemar,
)
from angulus.evaluation.confidence import (
    Confidence,
)
from angulus.evaluation.detection_cost import (
    SRE08,
    VOXCELEB_001,
    VOXCELEB_005,
    CostModel,
    DetectionCost,
    act_dcf,
    min_dcf,
)
from angulus.evaluation.distractors import (
    MEGAFACE_SIZES,
    DistractorPoint,
    DistractorResult,
    megaface,
)
from angulus.evaluation.evaluate import (
    DEFAULT_FARS,
    VerificationResult,
    verify,
)
from angulus.evaluation.fingerprint import (
    fingerprint_of,
)
from angulus.evaluation.identification import (
    DEFAULT_FPIRS,
    DEFAULT_RANKS,
    Identification,
    IdentificationPoint,
    RankPoint,
    cmc,
    first_image_gallery,
    identify,
    rate_search,
    tpir_at_fpir,
)
from angulus.evaluation.ijb import (
    DetectedFaces,
    TemplateImages,
    TemplateRows,
    read_comparisons,
    read_detected_faces,
    read_template_csv,
    read_template_images,
    read_template_pairs,
)
from angulus.evaluation.intervals import (
    Interval,
    clopper_pearson,
    wilson,
)
from angulus.evaluation.likelihood import (
    LinearCalibration,
    StepCalibration,
    cllr,
    fit_logistic,
    fit_pav,
    min_cllr,
)
from angulus.evaluation.listed import (
    listed_scores,
)
from angulus.evaluation.logistic import (
    LinearProbe,
    fit_probe,
)
from angulus.evaluation.megaface_files import (
    FeatureList,
    read_feature,
    read_feature_list,
    read_features,
    write_feature,
)
from angulus.evaluation.normalization import (
    CohortStatistics,
    cohort_statistics,
    normalized_scores,
)
from angulus.evaluation.pairs import (
    NamedPairs,
    Pairs,
    draw_pairs,
)
from angulus.evaluation.people import (
    people_of_pairs,
)
from angulus.evaluation.protocols import (
    match,
    read_csv_pairs,
    read_lfw_pairs,
    read_pairs,
    read_trials,
)
from angulus.evaluation.replicates import (
    needed_tail,
)
from angulus.evaluation.reranking import (
    Reranking,
    reranked_blocks,
)
from angulus.evaluation.retrieval import (
    RetrievalResult,
    retrieval_of_scores,
    retrieve,
)
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
from angulus.evaluation.scores import (
    ScoredPair,
    Scores,
    all_pair_scores,
    hardest_pairs,
    pair_scores,
)
from angulus.evaluation.search import (
    SearchResult,
    search_gallery,
)
from angulus.evaluation.search_tasks import (
    MARKET_1501,
    MSMT17,
    RETRIEVAL_RULES,
    RetrievalRule,
    SearchTask,
    search_task,
)
from angulus.evaluation.step_costs import (
    COST_MODELS,
    Costs,
    costs_of,
)
from angulus.evaluation.subjects import (
    SubjectScores,
)
from angulus.evaluation.template_protocols import (
    IJB_FARS,
    TemplateGallery,
    TemplatePairs,
    TemplateVerification,
    TwoGalleries,
    search_two_galleries,
    subject_pairs,
    verify_templates,
)
from angulus.evaluation.templates import (
    Templates,
    pool_templates,
)
from angulus.evaluation.tracks import (
    match_tracks,
    pool_tracks,
    read_track_pairs,
)
from angulus.evaluation.uncertainty import (
    TarInterval,
    far_interval,
    frr_interval,
    share_interval,
    smallest_resolved_far,
    tar_at_far_intervals,
    tar_interval,
)
from angulus.evaluation.verification import (
    PROTOCOLS,
    FoldAccuracy,
    FoldedAccuracy,
    Protocol,
    folded_accuracy,
)

__all__ = [
    "BLUFR_FARS",
    "BLUFR_FPIR",
    "COST_MODELS",
    "DEFAULT_FARS",
    "DEFAULT_FPIRS",
    "DEFAULT_RANKS",
    "IJB_FARS",
    "MARKET_1501",
    "MEGAFACE_SIZES",
    "MSMT17",
    "PROTOCOLS",
    "RETRIEVAL_RULES",
    "SRE08",
    "VOXCELEB_001",
    "VOXCELEB_005",
    "AllPairs",
    "AttributeAccuracy",
    "AttributesResult",
    "BlufrResult",
    "BlufrTrial",
    "BlufrTrials",
    "Bootstrap",
    "Breakdown",
    "CalibratedThreshold",
    "ClassGroup",
    "ClassificationResult",
    "CohortStatistics",
    "Comparison",
    "Confidence",
    "CostModel",
    "Costs",
    "DetectedFaces",
    "DetectionCost",
    "DistractorPoint",
    "DistractorResult",
    "EncodedPairs",
    "EqualErrorRate",
    "FeatureList",
    "FoldAccuracy",
    "FoldedAccuracy",
    "GroupRate",
    "Identification",
    "IdentificationPoint",
    "Interval",
    "LinearCalibration",
    "LinearProbe",
    "NamedPairs",
    "OperatingPoint",
    "Pairs",
    "Protocol",
    "RankPoint",
    "Reranking",
    "RetrievalResult",
    "RetrievalRule",
    "RocCurve",
    "ScoreHistogram",
    "ScoredPair",
    "Scores",
    "SearchResult",
    "SearchTask",
    "StepCalibration",
    "SubjectScores",
    "TarInterval",
    "TemplateGallery",
    "TemplateImages",
    "TemplatePairs",
    "TemplateRows",
    "TemplateVerification",
    "Templates",
    "TopError",
    "TrialMean",
    "TrialResult",
    "TwoGalleries",
    "VerificationResult",
    "accuracy_interval",
    "act_dcf",
    "all_pair_scores",
    "all_pairs",
    "area_under_roc",
    "binned",
    "calibrate_for_gallery",
    "calibrate_threshold",
    "classify",
    "cllr",
    "clopper_pearson",
    "cmc",
    "cohort_statistics",
    "compare_accuracy",
    "compare_tar",
    "costs_of",
    "draw_blufr_trials",
    "draw_pairs",
    "eer_interval",
    "equal_error_rate",
    "evaluate_blufr",
    "far_interval",
    "far_of_fpir",
    "fingerprint_of",
    "first_image_gallery",
    "fit_logistic",
    "fit_pav",
    "fit_probe",
    "folded_accuracy",
    "fpir_of_far",
    "frr_interval",
    "group_breakdown",
    "hardest_pairs",
    "identify",
    "listed_scores",
    "match",
    "match_tracks",
    "mcnemar",
    "megaface",
    "min_cllr",
    "min_dcf",
    "needed_tail",
    "normalized_scores",
    "pair_breakdown",
    "pair_column",
    "pair_scores",
    "people_of_pairs",
    "pool_templates",
    "pool_tracks",
    "probe_attributes",
    "rate_search",
    "rates_at",
    "read_bin",
    "read_blufr_trials",
    "read_comparisons",
    "read_csv_pairs",
    "read_detected_faces",
    "read_feature",
    "read_feature_list",
    "read_features",
    "read_lfw_pairs",
    "read_pairs",
    "read_template_csv",
    "read_template_images",
    "read_template_pairs",
    "read_track_pairs",
    "read_trials",
    "reranked_blocks",
    "retrieval_of_scores",
    "retrieve",
    "roc_curve",
    "score_histogram",
    "search_gallery",
    "search_task",
    "search_two_galleries",
    "share_interval",
    "smallest_resolved_far",
    "split_people",
    "subject_pairs",
    "tar_at_far",
    "tar_at_far_intervals",
    "tar_interval",
    "tars_at_fars",
    "tpir_at_fpir",
    "verify",
    "verify_templates",
    "wilson",
    "write_bin",
    "write_feature",
]
