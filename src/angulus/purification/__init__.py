"""Purification: which labels are wrong, found with sub-centers and embeddings, and a set cleaned without touching it."""

from angulus.purification.centers import Centers, centers_of_run, dominant_centers
from angulus.purification.evidence import Angles, Evidence, angles_of, gather, weigh
from angulus.purification.purify import Purification, Purified, list_noise, purify
from angulus.purification.rules import RULES, Rule, TwoGroups, Verdict, decide, two_groups
from angulus.purification.scoring import CleaningScore, average_precision, best_f1, score_cleaning

__all__ = [
    "RULES",
    "Angles",
    "Centers",
    "CleaningScore",
    "Evidence",
    "Purification",
    "Purified",
    "Rule",
    "TwoGroups",
    "Verdict",
    "angles_of",
    "average_precision",
    "best_f1",
    "centers_of_run",
    "decide",
    "dominant_centers",
    "gather",
    "list_noise",
    "purify",
    "score_cleaning",
    "two_groups",
    "weigh",
]
