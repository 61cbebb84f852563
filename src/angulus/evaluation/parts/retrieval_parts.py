"""A retrieval by independent jobs: each takes blocks of queries through the whole gallery, and their figures line up.

The figures of a query depend on no other query, and a block has the same shape in a part as in the whole, so that means
over the queries of all parts are those of one retrieval in every digit.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist

from angulus.errors import EvaluationError
from angulus.evaluation.parts.divisions import Header, Part
from angulus.evaluation.parts.part_files import PartFile, read_parts, write_part
from angulus.evaluation.rates.ranking import PRECISION_FORMS, PrecisionForm
from angulus.evaluation.rates.retrieval import (
    QueryFigures,
    RetrievalResult,
    RetrievalSides,
    figures_of,
    retrieval_of,
)
from angulus.evaluation.scores.search_tasks import RETRIEVAL_RULES

QUESTION = "retrieve"
_KINDS = {"rows": "i", "first_rank": "i", "right": "i"}


def retrieve_together(
    sides: RetrievalSides, *, at: Sequence[int], form: PrecisionForm, group: "dist.ProcessGroup | None" = None
) -> RetrievalResult:
    """The retrieval of all queries, shared by processes, which all call this alike; all get the result."""
    if group is None:
        return retrieval_of(figures_of(sides, form), sides.task, at=at, form=form)
    world = dist.get_world_size(group)
    found: list[QueryFigures | None] = [None] * world
    dist.all_gather_object(found, figures_of(sides, form, (dist.get_rank(group), world)), group=group)
    return retrieval_of(_lined_up([each for each in found if each is not None]), sides.task, at=at, form=form)


def count_retrieval(
    sides: RetrievalSides, part: Part, path: Path, *, digest: str, form: PrecisionForm, facts: dict[str, Any]
) -> int:
    """The figures of the queries of one part, into a file; how many have something to find.

    digest: of all that is compared.
    """
    found, task = figures_of(sides, form, part.share), sides.task
    told = {"gallery": len(task.gallery_labels), "queries": len(task.query_labels), "notes": list(task.notes())}
    told |= {"nothing": task.why_nothing()}
    options = {"rule": task.rule.name, "precision": form, "view": sides.view}
    header = Header(question=QUESTION, part=part, digest=digest, options=options, facts={**facts, **told})
    write_part(path, header, vars(found))
    return len(found.rows)


def add_retrievals(paths: Sequence[Path], *, at: Sequence[int]) -> tuple[RetrievalResult, Header]:
    """The retrieval of all parts, and what the first says of itself. Raises EvaluationError."""
    parts = read_parts(paths, QUESTION)
    header, found = parts[0].header, _lined_up([_figures(part) for part in parts])
    rule, form = RETRIEVAL_RULES.get(str(header.options.get("rule"))), header.options.get("precision")
    if rule is None or form not in PRECISION_FORMS:
        raise EvaluationError(f"{parts[0].path} names a rule, or a form of precision, that this version does not know")
    if not len(found.rows):
        raise EvaluationError(parts[0].fact("nothing", str))
    queries = parts[0].fact("queries", int)
    if len(np.unique(found.rows)) != len(found.rows) or found.rows[-1] >= queries:
        raise EvaluationError(f"the parts hold queries twice, or beyond the {queries:,} there are; count them again")
    result = RetrievalResult(
        rule=rule,
        form=form,
        reranking=None,
        gallery=parts[0].fact("gallery", int),
        without_match=queries - len(found.rows),
        at=tuple(at),
        notes=tuple(map(str, parts[0].fact("notes", list))),
        **vars(found),
    )
    return result, header


def _lined_up(parts: Sequence[QueryFigures]) -> QueryFigures:
    """The queries of all parts in their order."""
    order = np.argsort(np.concatenate([part.rows for part in parts]), kind="stable")
    names = [each.name for each in fields(QueryFigures)]
    return QueryFigures(**{name: np.concatenate([getattr(part, name) for part in parts])[order] for name in names})


def _figures(part: PartFile) -> QueryFigures:
    arrays = {each.name: part.array(each.name, _KINDS.get(each.name, "f")) for each in fields(QueryFigures)}
    if len({len(values) for values in arrays.values()}) != 1:
        raise EvaluationError(f"{part.path} holds figures of unlike numbers of queries; it is damaged, count it again")
    return QueryFigures(**arrays)
