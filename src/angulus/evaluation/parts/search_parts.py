"""A search by independent jobs: each takes a run of the probes through the whole gallery, and their finds are lined up.

What a search finds of a probe depends on no other probe, and its scores on no block (`scores.search`), so that the
finds of all parts are those of one search in every digit. Rates, ranks and intervals are made of the sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.parts.divisions import Header, Names, Part
from angulus.evaluation.parts.part_files import PartFile, read_parts, write_part
from angulus.evaluation.protocols.one_person_twice import ALIKE, Described, alike_rows, notes_on_alike
from angulus.evaluation.scores.search import SearchResult, search_gallery
from angulus.evaluation.scores.vectors import VectorBlocks

QUESTION = "identify"
_COUNTS = ("gallery", "distractors")
_KINDS = {"rows": "i", "mate_rows": "i", "above": "i", "tied": "i", "nonmate_rows": "i"}
_KINDS |= {"scores": "f", "mate_scores": "f", "nonmate_scores": "f"}


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchSides:
    """Who is searched where: unit vectors of probes [p, d], gallery [g, d] and distractors, labels of the first two.

    rows: of probes and gallery in the sets that `named` has the names of.
    """

    probes: NDArray[np.float32]
    gallery: NDArray[np.float32]
    distractors: VectorBlocks
    probe_labels: NDArray[np.int64]
    gallery_labels: NDArray[np.int64]
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]
    named: tuple[Described, Described]

    def search(self, part: Part, device: str) -> SearchResult:
        """What the probes of one part find."""
        own = self.probes_of(part)
        return search_gallery(
            **{"probes": self.probes[own], "gallery": self.gallery, "distractors": self.distractors},
            **{"probe_labels": self.probe_labels[own], "gallery_labels": self.gallery_labels, "device": device},
        )

    def probes_of(self, part: Part) -> slice:
        """Which probes a part takes: as many as every other, or one more."""
        return slice(*(len(self.probes) * edge // part.of for edge in (part.number, part.number + 1)))

    def alike(self, found: SearchResult, part: Part) -> "Alike":
        """Gallery images of others that are as like a probe of this part as photos of one person."""
        own = (found.nonmate_rows >= 0) & (found.nonmate_rows < len(self.gallery))
        scores, probes = found.nonmate_scores[own], self.rows[0][self.probes_of(part)][own]
        left, right = alike_rows(scores, probes, self.rows[1][found.nonmate_rows[own]])
        kept = np.sort(scores[scores > ALIKE])[::-1][: len(left)]
        return Alike(kept, left, right, int((scores > ALIKE).sum()))


@dataclass(frozen=True, eq=False)
class Alike:
    """The most alike pairs of two people: scores [k], rows [k] of both sides; count: how many there are in all."""

    scores: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    count: int


def search_together(sides: SearchSides, *, device: str, group: "dist.ProcessGroup | None" = None) -> SearchResult:
    """The search of all probes, shared by the processes of a group; all must call this alike, all get the result."""
    if group is None:
        return sides.search(Part(0, 1), device)
    world = dist.get_world_size(group)
    found: list[SearchResult | None] = [None] * world
    dist.all_gather_object(found, sides.search(Part(dist.get_rank(group), world), device), group=group)
    return joined([each for each in found if each is not None])


def joined(parts: Sequence[SearchResult]) -> SearchResult:
    """The finds of runs of probes, one after the other."""
    names = [each.name for each in fields(SearchResult) if each.name not in _COUNTS]
    lined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **lined)


def count_search(
    sides: SearchSides, part: Part, path: Path, *, digest: str, view: str, device: str, facts: dict[str, Any]
) -> int:
    """Search with the probes of one part, into a file; how many these are. digest: of all that is compared."""
    found = sides.search(part, device)
    alike = sides.alike(found, part)
    names = [
        {str(row): side.describe(int(row)) for row in np.unique(rows).tolist()}
        for side, rows in zip(sides.named, (alike.left, alike.right), strict=True)
    ]
    told: dict[str, Any] = {
        "noun": sides.named[0].noun,
        "gallery": found.gallery,
        "distractors": found.distractors,
        "probes": len(sides.probes),
    }
    told |= {"people": len(np.unique(sides.gallery_labels)), "names": names, "alike": alike.count}
    header = Header(question=QUESTION, part=part, digest=digest, options={"view": view}, facts={**facts, **told})
    arrays = {name: getattr(found, name) for name in _KINDS} | {"labels": sides.probe_labels[sides.probes_of(part)]}
    arrays |= {"alike_scores": alike.scores, "alike_left": alike.left, "alike_right": alike.right}
    write_part(path, header, arrays)
    return len(found)


@dataclass(frozen=True, eq=False)
class AddedSearch:
    """All parts as one search. labels: int64 [p] of the probes.  people: how many are in the gallery."""

    found: SearchResult
    labels: NDArray[np.int64]
    people: int
    notes: tuple[str, ...]
    header: Header


def add_searches(paths: Sequence[Path]) -> AddedSearch:
    """One search from the files of all parts. Raises EvaluationError where they do not add up."""
    parts = read_parts(paths, QUESTION)
    found = joined([_found(part) for part in parts])
    probes = parts[0].fact("probes", int)
    if len(found) != probes:
        raise EvaluationError(f"the parts hold {len(found):,} of {probes:,} probes; count them again alike")
    scores = np.concatenate([part.array("alike_scores", "f") for part in parts])
    rows = [np.concatenate([part.array(name, "i") for part in parts]) for name in ("alike_left", "alike_right")]
    named = [_names(parts, side) for side in (0, 1)]
    notes = notes_on_alike(
        *(named[0], scores, rows[0], rows[1], probes * found.gallery),
        second=named[1],
        count=sum(part.fact("alike", int) for part in parts),
    )
    labels = np.concatenate([part.array("labels", "i") for part in parts])
    return AddedSearch(found, labels, parts[0].fact("people", int), notes, parts[0].header)


def _found(part: PartFile) -> SearchResult:
    arrays: dict[str, Any] = {name: part.array(name, kind) for name, kind in _KINDS.items()}
    if len({len(values) for values in arrays.values()} | {len(part.array("labels", "i"))}) != 1:
        raise EvaluationError(f"{part.path} holds finds of unlike numbers of probes; it is damaged, count it again")
    arrays |= {name: part.fact(name, int) for name in _COUNTS}
    return SearchResult(**arrays)


def _names(parts: Sequence[PartFile], side: int) -> Names:
    found: dict[str, str] = {}
    for part in parts:
        both = part.fact("names", list)
        if len(both) != 2 or not all(isinstance(names, dict) for names in both):
            raise EvaluationError(f"{part.path} does not tell what its images are called; it is damaged")
        found |= both[side]
    return Names(found, str(parts[0].header.facts.get("noun", "image")))
