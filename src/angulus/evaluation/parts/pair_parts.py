"""All pairs of a set by independent jobs: what each counts, and the figures of the whole from their files.

A part holds what a pass over its blocks keeps (`scores.streaming.kept`): genuine scores, counts by steps, the scores in
the windows, with the images of both sides where intervals want them. The sums are those of one pass, and so are the
figures, in every digit: each product has the same shape in a part as in the whole. The certificate is looked at after
the sum (`all_pairs.lacking`): where a threshold lies outside the windows, adding is refused, and a second round
(`after`) counts with windows that the counts of the first prove right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.evaluation.parts.divisions import Header, Names, Part, digest_of_set
from angulus.evaluation.parts.part_files import PartFile, read_parts, write_part
from angulus.evaluation.protocols.one_person_twice import alike_rows
from angulus.evaluation.protocols.verification import (
    DEFAULT_FARS,
    VerificationResult,
    concluded,
    figures_from,
    fits_in_memory,
    labels_of_set,
    tail_of_set,
)
from angulus.evaluation.rates.all_pairs import AllPairs, check_found, check_genuine, guessed, lacking
from angulus.evaluation.rates.step_costs import costs_of
from angulus.evaluation.scores.cosines import checked_labels
from angulus.evaluation.scores.fingerprint import fingerprint_of
from angulus.evaluation.scores.streaming.kept import PairScores, common_windows, join, narrowed
from angulus.evaluation.scores.streaming.passes import stream_pairs
from angulus.evaluation.scores.streaming.row_files import comparable
from angulus.evaluation.scores.streaming.steps import BINS, Windows, upper_ends
from angulus.evaluation.uncertainty.bootstrap import Bootstrap

QUESTION = "all pairs"
_ROWS = ("genuine_left", "genuine_right", "tail_left", "tail_right")


@dataclass(frozen=True, kw_only=True)
class PairQuestion:
    """What is asked of all pairs; everything here changes a figure, or how it is counted.

    intervals: True for all, None for those that take seconds, False for none.  device: cpu or cuda.
    """

    fars: tuple[float, ...] = DEFAULT_FARS
    view: View | None = None
    intervals: bool | None = None
    device: str = "cpu"

    def options(self, view: View) -> dict[str, Any]:
        """JSON-ready, with the view that was chosen."""
        kind = self.device.partition(":")[0]  # which of several cards is no matter
        return {"far": list(self.fars), "view": view, "intervals": self.intervals, "device": kind}


def count_pairs(
    embeddings: EmbeddingSet,
    part: Part,
    path: Path,
    asked: PairQuestion,
    *,
    after: Sequence[Path] = (),
    facts: dict[str, Any] | None = None,
) -> int:
    """Count the pairs of one part of a labelled set into a file; how many pairs these are.

    after: the files of a first round whose windows missed a threshold: all of them.  facts: what the result shall tell.
    Raises EvaluationError for a set that is not labelled, or so small that it is held in memory.
    """
    view = embeddings.usual_view if asked.view is None else asked.view
    labels = checked_labels(labels_of_set(embeddings, "plain"), len(embeddings))
    check_genuine(labels)
    if asked.intervals is False and fits_in_memory(len(labels)):
        raise EvaluationError(
            f"without intervals all pairs of {len(labels):,} images are held in memory and need no division; leave"
            " --part out, or leave intervals as they are"
        )
    tail = tail_of_set(labels, asked.fars, asked.intervals)
    header = Header(
        question=QUESTION, part=part, digest=digest_of_set(embeddings, view), options=asked.options(view), facts={}
    )
    vectors = comparable(embeddings, view, labels, path.parent)
    if after:
        windows = _second_windows(read_parts(after, QUESTION), header, asked, tail)
    else:
        windows = guessed(vectors, labels, asked.fars, asked.device, 0, tail)
    kept = stream_pairs(vectors, labels, windows, device=asked.device, share=part.share, with_rows=tail > 0)
    told = {**(facts or {}), "images": len(labels), "fingerprint": fingerprint_of(embeddings, None)}
    told |= {
        "noun": embeddings.noun,
        "windows": [windows.tail, *map(list, windows.middle)],
        "names": _names(embeddings, kept),
    }
    write_part(path, replace(header, facts=told), _arrays(kept, labels if tail else labels[:0]))
    return int(kept.counts.sum()) + len(kept.genuine)


@dataclass(frozen=True, eq=False)
class AddedPairs:
    """All parts as one. labels: int64 [n], or nothing without intervals; header: of the first part."""

    found: AllPairs
    labels: NDArray[np.int64]
    header: Header
    names: Names

    @property
    def asked(self) -> PairQuestion:
        options = self.header.options
        return PairQuestion(
            fars=tuple(options["far"]),
            view=cast(View, options["view"]),
            intervals=options["intervals"],
            device=options["device"],
        )


def add_pairs(paths: Sequence[Path]) -> AddedPairs:
    """All pairs from the files of all parts, certified.

    Raises EvaluationError where parts are missing, twice there or of different questions, where a file's counts do not
    fit what it kept, and where a threshold lies outside the windows.
    """
    added = _summed(read_parts(paths, QUESTION))
    check_found(added.found)
    asked = added.asked
    tail = _tail(added)
    second = lacking(added.found, asked.fars, tail)
    if second is not None:
        low = float(upper_ends(np.array([added.found.kept.windows.tail - 1]))[0])
        raise EvaluationError(
            f"the parts kept too few scores for these figures: a sample put the thresholds elsewhere (the tail begins"
            f" at {low:.4f}); the counts now say where they lie, so count every part once more with --after and these"
            f" {len(paths)} files, and add those"
        )
    return added


def verification_of_parts(
    added: AddedPairs, *, name: str = "", bootstrap: Bootstrap | None = None, costs: bool = False
) -> VerificationResult:
    """The result that `verify` gives of the whole set, in every digit."""
    asked, facts = added.asked, added.header.facts
    scores, confidence, alike = concluded(
        added.found, added.names, added.labels, asked.fars, asked.intervals, bootstrap or Bootstrap()
    )
    return VerificationResult(
        name=name,
        protocol="plain",
        view=cast(View, asked.view),
        compared="all pairs",
        images=added.found.images,
        accuracy=None,
        costs=costs_of(scores) if costs else None,
        confidence=confidence,
        fingerprint=str(facts.get("fingerprint", "")),
        notes=alike,
        noun=str(facts.get("noun", "image")),
        **figures_from(scores, asked.fars),
    )


def _tail(added: AddedPairs) -> int:
    return tail_of_set(added.labels, added.asked.fars, added.asked.intervals) if len(added.labels) else 0


def _second_windows(first: Sequence[PartFile], header: Header, asked: PairQuestion, tail: int) -> Windows:
    """Where the counts of a first round prove the thresholds to lie."""
    before = first[0].header
    if (before.digest, before.options) != (header.digest, header.options):
        raise EvaluationError(
            f"{first[0].path} is of another set, or was counted with other options; --after takes the files of a first"
            " round of the same"
        )
    added = _summed(first)
    check_found(added.found)
    return lacking(added.found, asked.fars, tail) or added.found.kept.windows


def _summed(parts: Sequence[PartFile]) -> AddedPairs:
    header = parts[0].header
    kept = [_kept(part) for part in parts]
    windows = common_windows([each.windows for each in kept])
    whole = join([narrowed(each, windows) for each in kept])
    images = parts[0].fact("images", int)
    pairs, counted = images * (images - 1) // 2, int(whole.counts.sum()) + len(whole.genuine)
    if pairs != counted:
        raise EvaluationError(
            f"the parts hold {counted:,} pairs, and {images:,} images make {pairs:,}; parts were counted on blocks of"
            " unlike sizes (another device?): count them again alike"
        )
    names = {row: text for part in parts for row, text in part.fact("names", dict).items()}
    labels = parts[0].array("labels", "i").astype(np.int64)
    if len(labels) not in (0, images):
        raise EvaluationError(f"{parts[0].path} has {len(labels):,} labels of {images:,} images; count this part again")
    return AddedPairs(AllPairs(images, whole, 1), labels, header, Names(names, str(header.facts.get("noun", "image"))))


def _arrays(kept: PairScores, labels: NDArray[np.int64]) -> dict[str, NDArray]:
    arrays = {"genuine": kept.genuine, "counts": kept.counts, "tail": kept.tail, "middle": kept.middle}
    small = labels.astype(np.int32) if not len(labels) or labels.max() < 2**31 else labels
    return {**arrays, **{name: getattr(kept, name) for name in _ROWS}, "labels": small}


def _kept(part: PartFile) -> PairScores:
    """What a part's pass kept, as its file says it. Raises EvaluationError where its own counts contradict it."""
    stated = part.fact("windows", list)
    try:
        tail, *middle = stated
        windows = Windows(tail=int(tail), middle=tuple((int(low), int(high)) for low, high in middle))
    except (TypeError, ValueError) as problem:
        raise EvaluationError(f"{part.path} does not say in which windows scores were kept; it is damaged") from problem
    scores = {name: part.array(name, "f") for name in ("genuine", "tail", "middle")}
    rows = {name: part.array(name, "i") for name in _ROWS}
    counts = part.array("counts", "i")
    inside = int(counts[windows.table()].sum()) if counts.shape == (BINS,) else -1
    if inside != len(scores["tail"]) + len(scores["middle"]):
        raise EvaluationError(
            f"{part.path} counts {inside:,} impostors in its windows and holds"
            f" {len(scores['tail']) + len(scores['middle']):,}: a part of the tail is lost; count this part again"
        )
    images = part.fact("images", int)
    if any(len(rows[name]) not in (0, len(scores[name.split("_")[0]])) for name in _ROWS):
        raise EvaluationError(f"{part.path} holds scores without their images; it is damaged, count this part again")
    if any(len(found) and not (found.min() >= 0 and found.max() < images) for found in rows.values()):
        raise EvaluationError(f"{part.path} names images beyond its {images:,}; it is damaged, count this part again")
    return PairScores(**scores, **rows, counts=counts, windows=windows)


def _names(embeddings: EmbeddingSet, kept: PairScores) -> dict[str, str]:
    """Of the most alike pairs of this part: among them are those that a note on the whole would name."""
    left, right = alike_rows(kept.tail, kept.tail_left, kept.tail_right)
    return {str(row): embeddings.describe(int(row)) for row in np.union1d(left, right).tolist()}
