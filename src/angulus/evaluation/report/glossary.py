"""What the words on a page mean: only of those that stand on it."""

import re
from collections.abc import Iterable
from html import unescape

# term, what of it is looked for in the text of a page, and what it means
_TERMS = (
    (
        "FAR (FMR)",
        r"\bFAR\b",
        "False accept rate, in ISO/IEC 19795-1 false match rate: the share of impostor pairs that are accepted.",
    ),
    (
        "TAR (TMR)",
        r"\bTAR\b",
        "True accept rate, true match rate: the share of genuine pairs that are accepted.",
    ),
    ("FRR (FNMR)", r"\bFRR\b|\bFNMR\b", "False reject rate, false non-match rate: what TAR lacks of 100 %."),
    (
        "TAR at a FAR",
        r"FAR \(FMR\)\s*asked for",
        "Taken at the smallest threshold whose FAR does not exceed the one asked for; equal scores are accepted or"
        " rejected together, so that the FAR achieved may be smaller.",
    ),
    (
        "Mean over people",
        r"mean\s*over people",
        "Each person's own TAR, averaged: what somebody new will see. Over all pairs, a person who is there 100 times"
        " counts as 4,950 genuine pairs.",
    ),
    (
        "Interval",
        r"interval|\(\S+ to \S+\)",
        "Where the figure of other people of the same kind would lie in 95 of 100 cases. It says nothing about people"
        " or cameras unlike these.",
    ),
    ("EER", r"\bEER\b|equal error rate", "Equal error rate: where FAR and FRR are the same."),
    (
        "AUC",
        r"\bAUC\b",
        "Area under the ROC curve: the probability that a genuine pair scores higher than an impostor pair.",
    ),
    (
        "minDCF",
        r"\bminDCF\b",
        "The least cost that a threshold can have, where a missed owner and an accepted stranger cost what is named.",
    ),
    (
        "actDCF",
        r"\bactDCF\b",
        "The same cost at the threshold that probability theory gives for log-likelihood ratios, which nothing chose on"
        " these pairs: what it is above minDCF is miscalibration.",
    ),
    (
        "min Cllr",
        r"\bmin Cllr\b",
        "How much the scores leave open once they are read as likelihood ratios, in bits: 0 is best, 1 says nothing.",
    ),
    (
        "Cllr",
        r"(?<!min )\bCllr\b",
        "The same of log-likelihood ratios as they are: what it is above min Cllr is miscalibration.",
    ),
    ("CMC", r"\bCMC\b", "The share of known probes whose own entry is among the first k of the gallery."),
    (
        "mAP",
        r"\bmAP\b(?!@)",
        "Mean average precision: for each right image of a query, the share of right ones among those up to it; the"
        " mean over these, and over the queries.",
    ),
    (
        "mAP@R, R-precision",
        r"\bmAP@R\b|\bR-precision\b",
        "The same of the first R images alone, where R is how many are right, and the share of right ones among them.",
    ),
    (
        "mINP",
        r"\bmINP\b",
        "How many right images a query has, over how many one must look through to have seen all of them; the mean over"
        " the queries.",
    ),
    (
        "FPIR, TPIR",
        r"\bFPIR\b",
        "In a search, the share of strangers who are taken for somebody, and of known people who are found.",
    ),
    (
        "p-value",
        r"\bp-value\b",
        "How often chance alone would make a difference as large as this, if the two were equally good.",
    ),
)


def fitting(page: str, protocols: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """(term, meaning) of the words that stand in the text of a page of HTML; the protocols last."""
    text = unescape(re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL))
    found = [(term, meaning) for term, pattern, meaning in _TERMS if re.search(pattern, text, re.IGNORECASE)]
    return [*found, *((f"Protocol {name}", f"{meaning[0].upper()}{meaning[1:]}") for name, meaning in protocols)]
