"""Who is searched where: stored embeddings, people numbered alike, or images through a model; and by which rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from angulus.cli.inputs.verification_inputs import SETS, is_stored, stored_set
from angulus.cli.inputs.words.known_people import marked, notes_on_known
from angulus.cli.inputs.words.named_places import what_lies_at
from angulus.cli.options import EmbeddingUse, Said
from angulus.embeddings import EmbeddingSet, View
from angulus.embeddings.shared_images import check_apart, shared_rows
from angulus.errors import EvaluationError
from angulus.evaluation.parts.divisions import Part, digest_of_set, digest_together
from angulus.evaluation.parts.search_parts import SearchSides
from angulus.evaluation.protocols.one_person_twice import notes_on_alike
from angulus.evaluation.rates.identification import first_image_gallery
from angulus.evaluation.scores.search import SearchResult
from angulus.evaluation.scores.search_tasks import PLAIN, search_task

if TYPE_CHECKING:
    from angulus.cli.inputs.models_and_images import OpenModel

RuleName = Literal["plain", "market-1501", "msmt17"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchParts:
    """Probes, gallery and distractors that are compared, in one view, and the sets that they come from."""

    sides: SearchSides
    view: View
    sets: tuple[EmbeddingSet, EmbeddingSet]
    others: tuple[EmbeddingSet, ...]

    def known(self) -> tuple[str, ...]:
        """Which people the model was trained on."""
        first, second = self.sets
        return notes_on_known(*((first,) if first is second else (first, second)))

    def notes(self, found: SearchResult) -> tuple[str, ...]:
        """What is odd about the people: trained on, or a stranger who is as like somebody as photos of one person."""
        alike = self.sides.alike(found, Part(0, 1))
        compared = len(self.sides.probes) * len(self.sides.gallery)
        rows = (alike.scores, alike.left, alike.right)
        return (*self.known(), *notes_on_alike(self.sets[0], *rows, compared, second=self.sets[1], count=alike.count))

    def digest(self) -> str:
        """What all that is compared is told by."""
        first, second = self.sets
        sets = (first, *(() if second is first else (second,)), *self.others)
        return digest_together([digest_of_set(each, self.view) for each in sets])


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
    sides = SearchSides(
        **{"probes": unit[rows], "gallery": found, "distractors": [each.unit(view) for each in others]},
        **{"probe_labels": task.query_labels[rows], "gallery_labels": labels},
        **{"rows": (np.arange(len(first))[rows], gallery_rows), "named": (first, second)},
    )
    return SearchParts(sides=sides, view=view, sets=(first, second), others=tuple(others))


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """Embeddings of the queries and of the gallery (None: each query is searched among the others), and the rule.

    facts: where they come from.
    """

    queries: EmbeddingSet
    gallery: EmbeddingSet | None
    rule: RuleName
    facts: dict[str, str | None]

    @property
    def sets(self) -> list[EmbeddingSet]:
        return [self.queries] if self.gallery is None else [self.queries, self.gallery]


def searched_by(what: Path, where: Path | None, rule: RuleName | None, use: EmbeddingUse, said: Said) -> Searched:
    """What the words of the command mean. Raises EvaluationError, ModelError or DataError."""
    if is_stored(what):
        gallery = None if where is None else stored_set(where)
        facts = {"queries": str(what), "gallery_file": None if where is None else str(where)}
        return Searched(queries=stored_set(what), gallery=gallery, rule=rule or "plain", facts=facts)
    if where is None:
        raise EvaluationError(
            f"{what} is {what_lies_at(what)}, not a file of embeddings ({', '.join(SETS)}); to search images with a "
            "model, name them after it: angulus evaluate retrieve runs/x FOLDER"
        )
    from angulus.cli.inputs.models_and_images import open_embedder

    return through_model(open_embedder(what, network=use.network), where, rule, use, said)


def through_model(opened: "OpenModel", where: Path, rule: RuleName | None, use: EmbeddingUse, said: Said) -> Searched:
    """The images at a path: queries and gallery of a known set, or each image of another among the others."""
    from angulus.data.formats.reid.searches import search_in

    search = search_in(where)
    parts = [where] if search is None else [search.queries, search.gallery]
    found = [embedded_part(opened, part, use, said) for part in parts]
    named = rule or ("plain" if search is None else search.rule)
    facts: dict[str, str | None] = {"model": str(opened.path), "images": str(where)}
    return Searched(queries=found[0], gallery=None if search is None else found[1], rule=named, facts=facts)


def embedded_part(opened: "OpenModel", part: Path, use: EmbeddingUse, said: Said) -> EmbeddingSet:
    """The images of one part through the model, with their columns."""
    from angulus.cli.inputs.models_and_images import open_images
    from angulus.cli.terminal import image_progress
    from angulus.extract import embed

    with image_progress(quiet=said.quiet) as progress:
        source = open_images(part, opened.model.input, fit=opened.fitting(use.fit))
        found = embed(
            *(opened.model, source), batch_size=use.batch_size, flip=True, device=use.place(), progress=progress
        )
    return marked(found, opened.path)
