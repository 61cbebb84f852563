"""Who is searched where: probes, gallery and distractors from files of embeddings, with people numbered alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.verification_inputs import stored_set
from angulus.cli.inputs.words.known_people import notes_on_known
from angulus.embeddings import EmbeddingSet, View
from angulus.embeddings.shared_images import check_apart, shared_rows
from angulus.errors import EvaluationError
from angulus.evaluation.protocols.one_person_twice import notes_on_alike
from angulus.evaluation.rates.identification import first_image_gallery
from angulus.evaluation.scores.search import SearchResult
from angulus.evaluation.scores.search_tasks import PLAIN, search_task


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchParts:
    """Unit vectors of probes [p, d], gallery [g, d] and distractors, and the labels of the first two.

    sets, rows: where probes and gallery come from, and their rows there.
    """

    probes: NDArray[np.float32]
    gallery: NDArray[np.float32]
    distractors: Sequence[NDArray[np.float32]]
    probe_labels: NDArray[np.int64]
    gallery_labels: NDArray[np.int64]
    view: View
    sets: tuple[EmbeddingSet, EmbeddingSet]
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]

    def notes(self, found: SearchResult) -> tuple[str, ...]:
        """What is odd about the people: trained on, or a stranger who is as like somebody as photos of one person."""
        first, second = self.sets
        own = (found.nonmate_rows >= 0) & (found.nonmate_rows < len(self.gallery))
        probes, entries = self.rows[0][own], self.rows[1][found.nonmate_rows[own]]
        compared = len(self.probes) * len(self.gallery)
        alike = notes_on_alike(first, found.nonmate_scores[own], probes, entries, compared, second=second)
        return (*notes_on_known(*((first,) if first is second else (first, second))), *alike)


def common_view(view: View | None, *sets: EmbeddingSet) -> View:
    """The view asked for, or the sum where all sets have mirrored images."""
    return view or ("plain" if any(each.flipped is None for each in sets) else "sum")


def search_parts(probes: Path, gallery: Path | None, distractors: Sequence[Path], view: View | None) -> SearchParts:
    """The parts of a search; EvaluationError where labels are missing or dimensions differ."""
    first = stored_set(probes)
    others = [stored_set(path) for path in distractors]
    second = first if gallery is None else stored_set(gallery)
    view = common_view(view, first, second, *others)
    for path, each in zip(distractors, others, strict=True):
        if each.dim != first.dim:
            raise EvaluationError(f"{path} has {each.dim} dimensions and the probes have {first.dim}; use one model")
    if second.dim != first.dim:
        raise EvaluationError(f"{gallery} has {second.dim} dimensions and the probes have {first.dim}; use one model")
    task = search_task(first, None if gallery is None else second, PLAIN)
    if gallery is not None:
        check_apart(shared_rows(first, second, task.query_labels, task.gallery_labels), first, "probes")
    unit, rows, gallery_rows = first.unit(view), np.arange(len(first)), np.arange(len(second))
    if gallery is None:
        gallery_rows, rows = first_image_gallery(task.query_labels)
        if not len(gallery_rows):
            raise EvaluationError(
                f"{probes} has no person with two images, so that nobody can be found; give a gallery"
            )
        found, labels = unit[gallery_rows], task.gallery_labels[gallery_rows]
    else:
        found, labels = second.unit(view), task.gallery_labels
    return SearchParts(
        **{"probes": unit[rows], "gallery": found, "distractors": [each.unit(view) for each in others]},
        **{"probe_labels": task.query_labels[rows], "gallery_labels": labels, "view": view},
        **{"sets": (first, second), "rows": (np.arange(len(first))[rows], gallery_rows)},
    )
