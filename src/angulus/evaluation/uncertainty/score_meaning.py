"""A threshold and a score's meaning, chosen on half of the people and stored in one file for deployment.

Beside `CalibratedThreshold` the file holds a linear calibration of scores to log-likelihood ratios, fitted on the same
half, with its Cllr on the other half. For that, pairs are drawn: of each person at most PAIRS_OF_A_PERSON genuine ones,
so that nobody with many images decides, and as many impostor pairs as there are images times IMPOSTORS_OF_AN_IMAGE.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.rates.likelihood import LinearCalibration, cllr, fit_logistic, min_cllr
from angulus.evaluation.scores.cosines import pair_scores
from angulus.evaluation.scores.pairs import Pairs
from angulus.evaluation.uncertainty.calibration import CalibratedThreshold, chosen_people

PAIRS_OF_A_PERSON = 20
IMPOSTORS_OF_AN_IMAGE = 10


@dataclass(frozen=True, kw_only=True)
class ScoreMeaning:
    """llr = slope score + offset, from one half; Cllr in bits on the other half, and the least one possible there."""

    llr: LinearCalibration
    cllr: float
    min_cllr: float
    genuine: int
    impostors: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"llr": self.llr.as_dict(), "cllr": self.cllr, "min_cllr": self.min_cllr},
            **{"genuine": self.genuine, "impostors": self.impostors},
        }

    def line(self) -> str:
        """The calibration as a line of text."""
        return (
            f"log-likelihood ratio = {self.llr.slope:.3f} score {self.llr.offset:+.3f}; Cllr {self.cllr:.4f} bits on"
            f" the other half, at least {self.min_cllr:.4f}"
        )


def meaning_of_scores(
    scores: NDArray[np.float32],
    same: NDArray[np.bool_],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    *,
    seed: int = 0,
) -> ScoreMeaning | None:
    """Fitted on the pairs [p] among the people that `split_people` chooses with this seed, tried on the others.

    None where the scores of one half separate both kinds perfectly, so that no finite ratio fits.
    """
    names, numbers = np.unique(np.concatenate([left, right]), return_inverse=True)
    chosen = chosen_people(len(names), seed=seed)
    one, other = chosen[numbers[: len(left)]], chosen[numbers[len(left) :]]
    halves = [one & other, ~one & ~other]
    parts = [(scores[half & same], scores[half & ~same]) for half in halves]
    for genuine, impostor in parts:
        if not len(genuine) or not len(impostor):
            raise EvaluationError(
                f"each half must have pairs of both kinds, got {len(genuine)} genuine and {len(impostor)} impostor;"
                " give more people"
            )
    try:
        llr = fit_logistic(*parts[0])
    except EvaluationError:
        return None
    genuine, impostor = (llr.llr(values) for values in parts[1])
    return ScoreMeaning(
        **{"llr": llr, "cllr": cllr(genuine, impostor), "min_cllr": min_cllr(*parts[1])},
        **{"genuine": len(parts[0][0]), "impostors": len(parts[0][1])},
    )


def drawn_scores(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int = 0
) -> tuple[NDArray[np.float32], Pairs]:
    """Cosines of drawn pairs of a labelled set, and the pairs; nobody has more than PAIRS_OF_A_PERSON genuine ones."""
    random = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    people = np.split(order, np.unique(labels[order], return_index=True)[1][1:])
    genuine = [_own_pairs(rows, random) for rows in people if len(rows) > 1]
    left, right = random.integers(len(labels), size=(2, IMPOSTORS_OF_AN_IMAGE * len(labels)))
    other = labels[left] != labels[right]
    sides = [np.concatenate([*(pair[k] for pair in genuine), side[other]]) for k, side in enumerate((left, right))]
    pairs = Pairs(left=sides[0], right=sides[1], same=labels[sides[0]] == labels[sides[1]])
    return pair_scores(vectors, pairs), pairs


def stored_calibration(
    found: CalibratedThreshold, meaning: ScoreMeaning | None, facts: dict[str, Any]
) -> dict[str, Any]:
    """The content of a calibration file: `CalibratedThreshold.from_json` reads it, `score_to_llr` holds the ratio."""
    return {**found.as_dict(), "score_to_llr": None if meaning is None else meaning.as_dict(), **facts}


def _own_pairs(rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """At most PAIRS_OF_A_PERSON different pairs of these rows [2, p]."""
    left, right = np.triu_indices(len(rows), 1) if len(rows) < 100 else random.integers(len(rows), size=(2, 100))
    kept = np.unique(np.stack([np.minimum(left, right), np.maximum(left, right)])[:, left != right], axis=1)
    picked = random.permutation(kept.shape[1])[:PAIRS_OF_A_PERSON]
    return rows[kept[:, picked]]
