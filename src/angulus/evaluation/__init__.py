"""Embeddings in, numbers out: scores, error rates, verification protocols and reports (numpy, torch for products)."""

from angulus.evaluation.all_pairs import AllPairs, all_pairs
from angulus.evaluation.evaluate import DEFAULT_FARS, VerificationResult, verify
from angulus.evaluation.pairs import Pairs, draw_pairs
from angulus.evaluation.protocols import NamedPairs, match, read_csv_pairs, read_lfw_pairs, read_pairs
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
from angulus.evaluation.verification import PROTOCOLS, FoldAccuracy, FoldedAccuracy, Protocol, folded_accuracy

__all__ = [
    "DEFAULT_FARS",
    "PROTOCOLS",
    "AllPairs",
    "EqualErrorRate",
    "FoldAccuracy",
    "FoldedAccuracy",
    "NamedPairs",
    "OperatingPoint",
    "Pairs",
    "Protocol",
    "RocCurve",
    "ScoreHistogram",
    "ScoredPair",
    "Scores",
    "VerificationResult",
    "all_pair_scores",
    "all_pairs",
    "area_under_roc",
    "draw_pairs",
    "equal_error_rate",
    "folded_accuracy",
    "hardest_pairs",
    "match",
    "pair_scores",
    "rates_at",
    "read_csv_pairs",
    "read_lfw_pairs",
    "read_pairs",
    "roc_curve",
    "score_histogram",
    "tar_at_far",
    "tars_at_fars",
    "verify",
]
