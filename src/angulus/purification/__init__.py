"""Which labels of a set are wrong, found with sub-centers and embeddings, and the set cleaned without touching it."""

from angulus.purification.centers import Centers, centers_of_run, dominant_centers
from angulus.purification.cleaning_scores import CleaningScore, average_precision, best_f1, score_cleaning
from angulus.purification.evidence import Angles, Evidence, angles_of, gather, weigh
from angulus.purification.label_audit import Audited, LabelAudit, audit_labels
from angulus.purification.rounds import Purification, Purified, list_noise, purify
from angulus.purification.rules import RULES, Rule, Verdict, WrongLabels, decide, wrong_labels

__all__ = [
    "RULES",
    "Angles",
    "Audited",
    "Centers",
    "CleaningScore",
    "Evidence",
    "LabelAudit",
    "Purification",
    "Purified",
    "Rule",
    "Verdict",
    "WrongLabels",
    "angles_of",
    "audit_labels",
    "average_precision",
    "best_f1",
    "centers_of_run",
    "decide",
    "dominant_centers",
    "gather",
    "list_noise",
    "purify",
    "score_cleaning",
    "weigh",
    "wrong_labels",
]
