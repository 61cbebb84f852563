"""How good is one ranked list: the ranks of the right images, and the figures made of them.

A query with m right images in the gallery finds them at the ranks r_1 < ... < r_m, counted from 1 among the images that
count. With P(r) = (right images among the first r) / r,

    recall at K        1 when r_1 <= K, else 0; the mean over queries is Recall@K, and the CMC at rank K
    AP, "plain"        mean over i of i / r_i                            (as fastreid and torchreid do)
    AP, "trapezoid"    mean over i of (i / r_i + (i - 1) / (r_i - 1)) / 2, where the second term is 1 for r_i = 1
                       (as Market-1501's own script does)
    R-precision        share of right images among the first m
    AP at R            sum over i with r_i <= m of (i / r_i) / m                    (Musgrave et al. 2020, MAP@R)
    INP                m / r_m, how far one must read to find them all              (Ye et al. 2021, mINP is its mean)

Ties are pessimistic: a wrong example stands before every right image of the same score. The order of a gallery says
nothing about a model, and a network that gives one embedding for everything must not look right by luck. (Scores are
sums in float32: those of two equal images may differ by 1e-7, and then they are no tie.)
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

PrecisionForm = Literal["plain", "trapezoid"]
TIE_RULE = "a wrong example stands before a right one of the same score"
PRECISION_FORMS: tuple[PrecisionForm, ...] = get_args(PrecisionForm)


def ranks_of_matches(matches: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.int64]:
    """Ranks [m], ascending and counted from 1, of the right images with scores `matches` [m] among wrong ones [k]."""
    ascending = np.sort(matches)
    # others[j] stands before the right images whose score is at most its own: the first `places[j]` in ascending order
    places = np.searchsorted(ascending, others, side="right")
    before = np.bincount(places, minlength=len(ascending) + 1)
    ahead = np.cumsum(before[::-1])[::-1][1:]  # wrong images before the right image of ascending position 0, 1, ...
    return ahead[::-1] + np.arange(1, len(ascending) + 1)


def average_precision(ranks: NDArray[np.int64], form: PrecisionForm = "plain") -> float:
    """AP of one query from its ascending ranks [m], m >= 1."""
    found = np.arange(1, len(ranks) + 1)
    precision = found / ranks
    if form == "plain":
        return float(precision.mean())
    before = np.where(ranks == 1, 1.0, (found - 1) / np.maximum(ranks - 1, 1))
    return float(((precision + before) / 2).mean())


def precision_at_r(ranks: NDArray[np.int64]) -> float:
    """R-precision of one query: right images among the first m, divided by m."""
    return float((ranks <= len(ranks)).mean())


def average_precision_at_r(ranks: NDArray[np.int64]) -> float:
    """AP at R of one query."""
    found = np.arange(1, len(ranks) + 1)
    return float(np.where(ranks <= len(ranks), found / ranks, 0.0).mean())


def inverse_penalty(ranks: NDArray[np.int64]) -> float:
    """INP of one query."""
    return float(len(ranks) / ranks[-1])
