"""How well the network tells apart people it has never seen: the verification of held-out identities."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from angulus.data import Source
from angulus.data.parts import rate_of
from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import RetrievalResult, VerificationResult, retrieve, verify
from angulus.evaluation.report.page import Gallery, PairImages, shown_pair
from angulus.evaluation.scores.cosines import ScoredPair, hardest_pairs
from angulus.evaluation.scores.pairs import Pairs, draw_pairs
from angulus.evaluation.scores.search_tasks import MSMT17
from angulus.extract import embed
from angulus.models import EmbeddingModel
from angulus.training.experiment import Evaluation

PAIRS_SEED = 0
RANKS = (1, 5, 10)


def embeddings_of(model: EmbeddingModel, source: Source, config: Evaluation, device: torch.device) -> EmbeddingSet:
    """Embeddings of every image of a source, mirrored ones too where the view needs them."""
    with quieter():
        return embed(model, source, flip=config.view != "plain", device=device)


@contextmanager
def quieter() -> Generator[None, None, None]:
    """What is done inside is not told in the log of a run, but for warnings."""
    logger = logging.getLogger("angulus")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def judge(
    embeddings: EmbeddingSet, config: Evaluation, name: str, *, intervals: bool | None = False
) -> list[VerificationResult]:
    """All pairs of a labelled set, and 10 folds of drawn pairs where there are enough people for them.

    intervals: None for those that take seconds, as at the end of a run; none by default.
    """
    every = verify(embeddings, view=config.view, fars=config.fars, name=f"{name}, all pairs", intervals=intervals)
    try:
        pairs = draw_pairs(np.asarray(embeddings.labels), seed=PAIRS_SEED)
    except EvaluationError:
        return [every]
    folds = f"{name}, 10 folds of drawn pairs"
    drawn = verify(embeddings, pairs, view=config.view, fars=config.fars, name=folds, intervals=intervals)
    return [every, drawn]


def judge_folds(embedded: Sequence[EmbeddingSet], config: Evaluation) -> VerificationResult:
    """All pairs within each fold, their scores pooled: each pair by a model that has seen neither of the two people."""
    starts = np.cumsum([0, *(len(one) for one in embedded)])
    sides = [np.triu_indices(len(one), k=1) for one in embedded]
    left, right = (
        np.concatenate([side[which] + start for side, start in zip(sides, starts[:-1], strict=True)])
        for which in (0, 1)
    )
    pooled = pooled_set(embedded)
    assert pooled.labels is not None
    pairs = Pairs(left=left, right=right, same=pooled.labels[left] == pooled.labels[right])
    name = f"held-out in {len(embedded)} folds, all pairs within a fold"
    return verify(pooled, pairs, view=config.view, fars=config.fars, name=name, intervals=None)


def pooled_set(embedded: Sequence[EmbeddingSet]) -> EmbeddingSet:
    """Several sets of different people, one after the other, with the columns of all. Only rows of one set compare."""
    names: list[str] = []
    for one in embedded:
        assert one.identities is not None
        assert one.labels is not None
        names += [one.identities[label] for label in one.labels.tolist()]
    flipped = [one.flipped for one in embedded if one.flipped is not None]
    shared = [name for name in embedded[0].columns if all(name in one.columns for one in embedded)]
    return EmbeddingSet(
        embeddings=np.concatenate([one.embeddings for one in embedded]),
        labels=np.array(names),
        keys=tuple(key for one in embedded for key in one.keys or ()),
        flipped=np.concatenate(flipped) if flipped else None,
        columns={name: np.concatenate([one.columns[name] for one in embedded]) for name in shared},
    )


def figures_of(results: Sequence[VerificationResult], prefix: str) -> dict[str, float]:
    """Flat figures by name: TAR, EER and AUC from all pairs, accuracy from the folds."""
    every = results[0]
    figures = {f"{prefix}/tar@{point.target:g}": point.tar for point in every.points}
    figures |= {f"{prefix}/eer": every.eer.rate, f"{prefix}/auc": every.auc}
    for result in results[1:]:
        if result.accuracy is not None:
            figures[f"{prefix}/accuracy"] = result.accuracy.mean
    return figures


def searched(embeddings: EmbeddingSet, config: Evaluation) -> RetrievalResult | None:
    """Where cameras are known, each image is searched among those of the others.

    What its own camera took of the same person counts for nothing (rule msmt17). None where nothing can be found.
    """
    if "camera" not in embeddings.columns:
        return None
    try:
        return retrieve(embeddings, rule=MSMT17, view=config.view, at=RANKS)
    except EvaluationError:  # nobody is seen by two cameras
        return None


def figures_of_search(found: RetrievalResult | None, prefix: str) -> dict[str, float]:
    """Flat figures of a search across cameras: "prefix/map", "prefix/rank1", "prefix/minp"; {} where there is none."""
    if found is None:
        return {}
    ranks = {f"{prefix}/rank{rank}": found.recall(rank) for rank in found.at}
    return {f"{prefix}/map": found.mean_average_precision, **ranks, f"{prefix}/minp": found.mean_inverse_penalty}


def is_better(figures: dict[str, float], best: float | None, config: Evaluation) -> tuple[bool, float]:
    """Whether the held-out figure that the recipe names improved, and its value (greater is better)."""
    if config.best_by == "eer":
        value = -figures["held-out/eer"]
    elif config.best_by == "auc":
        value = figures["held-out/auc"]
    else:
        value = figures[f"held-out/tar@{min(config.fars):g}"]
    return best is None or value > best, value


def galleries(embeddings: EmbeddingSet, source: Source, config: Evaluation, count: int = 8) -> list[Gallery]:
    """The held-out pairs that the network gets most wrong, as pictures for the report."""
    genuine, impostor = hardest_pairs(embeddings.unit(config.view), labels=np.asarray(source.labels), count=count)
    return [
        Gallery(
            title="Hardest genuine pairs",
            text="One person, lowest scores. Wrong labels show up here first.",
            pairs=[pictured(pair, source) for pair in genuine],
        ),
        Gallery(
            title="Hardest impostor pairs",
            text="Two people, highest scores. One person under two names shows up here.",
            pairs=[pictured(pair, source) for pair in impostor],
        ),
    ]


def pictured(pair: ScoredPair, source: Source) -> PairImages:
    names = [source.identities[int(source.labels[row])] for row in (pair.left, pair.right)]
    who = names[0] if names[0] == names[1] else " / ".join(names)
    return shown_pair(source.read(pair.left), source.read(pair.right), f"{pair.score:.3f}  {who}", rate=rate_of(source))
