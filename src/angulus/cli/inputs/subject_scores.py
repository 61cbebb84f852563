"""Scores with their people, from a set of embeddings, as a calibration and a paired test need them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.evaluation import CalibratedThreshold, Pairs, SubjectScores, calibrate_threshold
from angulus.evaluation.protocols.one_person_twice import ALIKE, notes_on_alike
from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.evaluation.scores.cosines import pair_scores
from angulus.evaluation.scores.people import people_of_pairs
from angulus.evaluation.uncertainty.calibration import far_of_fpir
from angulus.evaluation.uncertainty.replicates import needed_tail
from angulus.evaluation.uncertainty.score_meaning import ScoreMeaning, drawn_scores, meaning_of_scores

MOST_TAIL = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A calibrated threshold, what a score means (None where that cannot be had), and what is odd about the pairs."""

    threshold: CalibratedThreshold
    meaning: ScoreMeaning | None
    notes: tuple[str, ...] = ()


def subject_scores(embeddings: EmbeddingSet, pairs: Pairs | None, far: float, view: View) -> SubjectScores:
    """Scores of a pair list, or of all pairs with a tail that FARs up to `far` need, in halves of the people too."""
    vectors = embeddings.unit(view)
    if pairs is not None:
        people = people_of_pairs(embeddings, pairs)
        if people is None:
            raise EvaluationError("neither labels nor folders say who is compared in the pair list; give labels")
        return SubjectScores.of_pairs(pair_scores(vectors, pairs), pairs.same, *people)
    if embeddings.labels is None:
        raise EvaluationError("all pairs of a set need labels, and these embeddings have none; give a pair list")
    images = len(embeddings)
    tail = needed_tail(min(4 * far, 1.0), images * (images - 1) // 2) + 2000
    if tail > MOST_TAIL:
        raise EvaluationError(
            f"FAR {far:g} of all pairs of {images:,} examples would keep {tail:,} scores; ask for a smaller FAR or give"
            " a pair list"
        )
    kept = all_pairs(vectors, embeddings.labels, fars=(far,), tail=tail, screen=None).kept
    return SubjectScores.of_all_pairs(
        embeddings.labels,
        **{"genuine": kept.genuine, "genuine_rows": kept.genuine_left},
        **{"tail": kept.tail, "tail_left": kept.tail_left, "tail_right": kept.tail_right},
    )


def target_far(far: float | None, gallery_size: int | None, fpir: float | None) -> float:
    """The false accept rate to aim at, named or worked out from a gallery. Raises EvaluationError unless it is one."""
    if (far is None) == (gallery_size is None) or (fpir is None) != (gallery_size is None):
        raise EvaluationError("say what to aim at: --far 1e-4, or --gallery-size 10000 --fpir 0.01")
    return far if far is not None else far_of_fpir(fpir or 0.0, gallery_size or 0)


def calibrated_on(
    embeddings: EmbeddingSet,
    pairs: Pairs | None,
    far: float,
    gallery: int | None,
    fpir: float | None,
    view: View,
    seed: int,
) -> Calibrated:
    """The threshold for a target, chosen on half of the people, what a score means, and what is odd about the pairs."""
    scores = subject_scores(embeddings, pairs, far, view)
    found = replace(calibrate_threshold(scores, far, seed=seed), gallery=gallery, target_fpir=fpir)
    if pairs is None:
        assert embeddings.labels is not None
        values, pairs = drawn_scores(embeddings.unit(view), embeddings.labels, seed=seed)
        people = (embeddings.labels[pairs.left], embeddings.labels[pairs.right])
    else:
        values = pair_scores(embeddings.unit(view), pairs)
        people = people_of_pairs(embeddings, pairs) or (np.empty(0, np.int64),) * 2
    meaning = meaning_of_scores(values, pairs.same, *people, seed=seed)
    return Calibrated(threshold=found, meaning=meaning, notes=_alike(embeddings, scores, values, pairs))


def _alike(
    embeddings: EmbeddingSet, scores: SubjectScores, values: NDArray[np.float32], pairs: Pairs
) -> tuple[str, ...]:
    """The note on two people who score as one: all are counted, and those of the pairs at hand are named."""
    other, count = ~pairs.same, int((scores.tail > ALIKE).sum())
    rows = (pairs.left[other], pairs.right[other])
    return notes_on_alike(embeddings, values[other], *rows, scores.impostors, count=count)
