"""A search of stored embeddings: alone, shared by the processes of torchrun, as one part of several, or the sum."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.divided.processes import comparing_device, sharing
from angulus.cli.inputs.search_inputs import SearchParts, search_parts
from angulus.cli.options import Division
from angulus.embeddings import View
from angulus.evaluation.parts.divisions import Part
from angulus.evaluation.parts.search_parts import add_searches, count_search, search_together
from angulus.evaluation.scores.search import SearchResult

_TOLD = ("probes", "gallery", "view", "distractors")


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchFound:
    """What a search found, and what is told beside its rates. people: in the gallery.  labels: of the probes [p]."""

    found: SearchResult
    labels: NDArray[np.int64]
    people: int
    name: str
    facts: dict[str, str]
    notes: tuple[str, ...]


def found_by(
    probes: Path, gallery: Path | None, distractors: Sequence[Path], view: View | None, device: str, name: str | None
) -> SearchFound | None:
    """The search that the words mean; None in a process that does not report."""
    parts = search_parts(probes, gallery, distractors, view)
    with sharing(device) as these:
        found = search_together(parts.sides, device=these.device, group=these.group)
    if not these.is_first:
        return None
    return SearchFound(
        found=found,
        labels=parts.sides.probe_labels,
        people=len(np.unique(parts.sides.gallery_labels)),
        name=name or probes.stem,
        facts=_facts(probes, gallery, distractors, parts),
        notes=parts.notes(found),
    )


def count_part(
    probes: Path,
    gallery: Path | None,
    distractors: Sequence[Path],
    view: View | None,
    device: str,
    division: Division,
    name: str | None,
) -> str:
    """Search with the probes of one part, into its file; a sentence that says what was done."""
    assert division.part is not None
    assert division.out is not None
    part = Part.parse(division.part)
    parts = search_parts(probes, gallery, distractors, view)
    told = {"told": _facts(probes, gallery, distractors, parts), "name": name or probes.stem}
    how = {"digest": parts.digest(), "view": parts.view, "device": comparing_device(device)}
    count = count_search(parts.sides, part, division.out, **how, facts={**told, "notes": list(parts.known())})
    return f"part {part.number}/{part.of}: {count:,} of {len(parts.sides.probes):,} probes, into {division.out}"


def added_search(paths: Sequence[Path], name: str | None) -> SearchFound:
    """The search of all parts."""
    added = add_searches(paths)
    facts = added.header.facts
    told = facts.get("told", {})
    return SearchFound(
        found=added.found,
        labels=added.labels,
        people=added.people,
        name=name or str(facts.get("name", "")),
        facts={key: str(told.get(key, "")) for key in _TOLD},
        notes=(*map(str, facts.get("notes", [])), *added.notes),
    )


def _facts(probes: Path, gallery: Path | None, distractors: Sequence[Path], parts: SearchParts) -> dict[str, str]:
    others = ", ".join(str(path) for path in distractors) or "none"
    where = "first images" if gallery is None else str(gallery)
    return {"probes": str(probes), "gallery": where, "view": parts.view, "distractors": others}
