"""Some of the people that are trained on, as many as are held out: how well they are told apart shows the gap."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import Source, counts_of, select
from angulus.embeddings import EmbeddingSet
from angulus.evaluation import verify
from angulus.heads import MarginHead, SeparateHeads
from angulus.models import EmbeddingModel
from angulus.training import judge
from angulus.training.experiment import Evaluation, Experiment
from angulus.training.recipe.data_sources import Sources
from angulus.training.recording.class_weights import weights_of

MOST_IMAGES = 1000


@dataclass(frozen=True, eq=False)
class TrainedPeople:
    """source: their images; None where fewer than two people have two.  labels: [n], classes of the run.

    sizes: [c], images of each class in the whole training set.
    """

    source: Source | None
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, sources: Sources, experiment: Experiment) -> "TrainedPeople":
        """A seeded choice: as many people as are held out, with as many images each as those have in the middle.

        Where nobody is held out, of all people.
        """
        sizes = counts_of(sources.train)
        held_out = sizes if sources.held_out is None else counts_of(sources.held_out)
        each = int(min(20, max(2, np.median(held_out))))
        people = int(min(len(held_out), max(2, MOST_IMAGES // each)))
        rows, labels = chosen_images(sources.train, sizes, people, each, experiment.seed)
        counts = np.bincount(labels) if len(labels) else np.zeros(1, dtype=np.int64)
        is_enough = np.count_nonzero(counts) >= 2 and counts.max() >= 2
        return cls(select(sources.train, rows) if is_enough else None, labels, sizes)

    def embedded(self, model: EmbeddingModel, evaluation: Evaluation, device: torch.device) -> EmbeddingSet | None:
        return None if self.source is None else judge.embeddings_of(model, self.source, evaluation, device)

    def judged(
        self, model: EmbeddingModel, head: MarginHead | SeparateHeads, evaluation: Evaluation, device: torch.device
    ) -> dict[str, Any]:
        """Figures "trained/..." of their verification; own: the mean cosine to their class weights."""
        found = self.embedded(model, evaluation, device)
        if found is None:
            return {}
        result = verify(found, view=evaluation.views, fars=evaluation.fars, intervals=False, name="trained people")
        figures: dict[str, Any] = judge.figures_of([result], "trained")
        weights = weights_of(head, self.labels)
        if weights is not None:
            units = unit_rows(np.asarray(found.embeddings, dtype=np.float32))
            figures["trained/own"] = float((units * weights).sum(1).mean())
        return figures


def chosen_images(
    source: Source, sizes: NDArray[np.int64], people: int, each: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and classes of at most `each` images of so many people with two or more, drawn by a seed; in order."""
    random = np.random.default_rng(seed)
    able = np.flatnonzero(sizes >= 2)
    drawn = np.sort(random.choice(able, size=min(people, len(able)), replace=False))
    return rows_of_classes(source, drawn, each, random)


def rows_of_classes(
    source: Source, classes: NDArray[np.int64], each: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and classes of at most `each` images of every class, in order of the rows."""
    labels = np.asarray(source.labels)
    rows = np.flatnonzero(np.isin(labels, classes))
    shuffled = rows[random.permutation(len(rows))]
    order = np.argsort(labels[shuffled], kind="stable")
    by_class = shuffled[order]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    place = np.arange(len(by_class)) - np.repeat(starts, counts)
    kept = np.sort(by_class[place < each])
    return kept, labels[kept].astype(np.int64)


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The directions [n, d] of vectors [n, d]."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
