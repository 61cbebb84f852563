"""Embeddings in, numbers out: scores, error rates, verification protocols and reports (numpy, torch for products)."""

from angulus.evaluation.all_pairs import AllPairs, all_pairs
from angulus.evaluation.attributes import AttributeAccuracy, AttributesResult, probe_attributes
from angulus.evaluation.bins import EncodedPairs, read_bin, write_bin
from angulus.evaluation.classification import ClassGroup, ClassificationResult, TopError, classify
from angulus.evaluation.evaluate import DEFAULT_FARS, VerificationResult, verify
from angulus.evaluation.logistic import LinearProbe, fit_probe
from angulus.evaluation.megaface import FeatureList, read_feature, read_feature_list, read_features, write_feature
from angulus.evaluation.pairs import NamedPairs, Pairs, draw_pairs
from angulus.evaluation.protocols import match, read_csv_pairs, read_lfw_pairs, read_pairs, read_trials
from angulus.evaluation.reranking import Reranking, reranked_blocks
from angulus.evaluation.retrieval import RetrievalResult, retrieval_of_scores, retrieve
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
from angulus.evaluation.search_tasks import MARKET_1501, MSMT17, RETRIEVAL_RULES, RetrievalRule, SearchTask, search_task
from angulus.evaluation.verification import PROTOCOLS, FoldAccuracy, FoldedAccuracy, Protocol, folded_accuracy

__all__ = [
    "DEFAULT_FARS",
    "MARKET_1501",
    "MSMT17",
    "PROTOCOLS",
    "RETRIEVAL_RULES",
    "AllPairs",
    "AttributeAccuracy",
    "AttributesResult",
    "ClassGroup",
    "ClassificationResult",
    "EncodedPairs",
    "EqualErrorRate",
    "FeatureList",
    "FoldAccuracy",
    "FoldedAccuracy",
    "LinearProbe",
    "NamedPairs",
    "OperatingPoint",
    "Pairs",
    "Protocol",
    "Reranking",
    "RetrievalResult",
    "RetrievalRule",
    "RocCurve",
    "ScoreHistogram",
    "ScoredPair",
    "Scores",
    "SearchTask",
    "TopError",
    "VerificationResult",
    "all_pair_scores",
    "all_pairs",
    "area_under_roc",
    "classify",
    "draw_pairs",
    "equal_error_rate",
    "fit_probe",
    "folded_accuracy",
    "hardest_pairs",
    "match",
    "pair_scores",
    "probe_attributes",
    "rates_at",
    "read_bin",
    "read_csv_pairs",
    "read_feature",
    "read_feature_list",
    "read_features",
    "read_lfw_pairs",
    "read_pairs",
    "read_trials",
    "reranked_blocks",
    "retrieval_of_scores",
    "retrieve",
    "roc_curve",
    "score_histogram",
    "search_task",
    "tar_at_far",
    "tars_at_fars",
    "verify",
    "write_bin",
    "write_feature",
]
