"""A retrieval: alone, shared by the processes of torchrun, as one part of several, or the sum of all parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from angulus.cli.inputs.divided.processes import sharing
from angulus.cli.inputs.search_inputs import Searched, common_view
from angulus.cli.inputs.words.known_people import notes_on_known
from angulus.cli.options import Division
from angulus.embeddings import View
from angulus.evaluation import RetrievalResult
from angulus.evaluation.parts.divisions import Part, digest_of_set, digest_together
from angulus.evaluation.parts.retrieval_parts import add_retrievals, count_retrieval, retrieve_together
from angulus.evaluation.rates.ranking import PrecisionForm
from angulus.evaluation.rates.retrieval import RetrievalSides, retrieval_sides
from angulus.evaluation.scores.search_tasks import RETRIEVAL_RULES


def retrieved(
    searched: Searched, view: View | None, *, at: Sequence[int], form: PrecisionForm
) -> RetrievalResult | None:
    """The retrieval; None in a process that does not report."""
    with sharing("cpu") as these:
        found = retrieve_together(_sides(searched, view), at=at, form=form, group=these.group)
    return found if these.is_first else None


def count_part(searched: Searched, view: View | None, *, form: PrecisionForm, division: Division) -> str:
    """The queries of one part, into its file; a sentence that says what was done."""
    assert division.part is not None
    assert division.out is not None
    part, sides = Part.parse(division.part), _sides(searched, view)
    digest = digest_together([digest_of_set(each, sides.view) for each in searched.sets])
    facts = {"told": searched.facts, "known": list(notes_on_known(*searched.sets))}
    count = count_retrieval(sides, part, division.out, digest=digest, form=form, facts=facts)
    return f"part {part.number}/{part.of}: {count:,} queries that have something to find, into {division.out}"


def added_retrieval(paths: Sequence[Path], *, at: Sequence[int]) -> tuple[RetrievalResult, dict[str, Any], list[str]]:
    """The retrieval of all parts, what is told beside it, and who of its people was trained on."""
    result, header = add_retrievals(paths, at=at)
    told = header.facts.get("told", {})
    facts = {key: told.get(key) for key in ("queries", "gallery_file")} | {"view": header.options.get("view")}
    return result, facts, [str(note) for note in header.facts.get("known", [])]


def _sides(searched: Searched, view: View | None) -> RetrievalSides:
    chosen = common_view(view, *searched.sets)
    return retrieval_sides(searched.queries, searched.gallery, RETRIEVAL_RULES[searched.rule], chosen)
