"""What is there in a set of images or recordings, and what of it looks wrong: every part of the report as values.

Without embeddings: contents, unreadable images, copies by hash. With embeddings of a model: copies by embedding,
identities that look like one person, identities that look like several, outlying examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.views.split import select
from angulus.errors import DataError
from angulus.inspection.contents import Contents, Progress, scan, typical_spectrum
from angulus.inspection.copies import Copy, Seen, find_copies
from angulus.inspection.labels import Mixture, Outlier, find_mixtures, find_outliers, image_bounds
from angulus.inspection.nearest import NearPairs
from angulus.inspection.people import (
    LEAST_IDENTITIES,
    Calibration,
    Centres,
    PeoplePairs,
    alike,
    calibrate,
    cohort_of,
    halves,
    mean_directions,
    relative,
)

SURE_PAIRS = 0.5
SUSPECTED_PAIRS = 10.0
"""False pairs of identities to expect among those that are called sure, and that are listed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SamePeople:
    """Identities that look like one person, how z was calibrated, and the two thresholds with their FARs."""

    pairs: PeoplePairs
    calibration: Calibration
    sure: float
    suspected: float
    sure_far: float
    suspected_far: float
    compared: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """Rows are those of `source`. same, outliers, mixtures, nearest: None and empty without embeddings."""

    source: Source
    contents: Contents
    copies: tuple[Copy, ...]
    same: SamePeople | None = None
    outliers: tuple[Outlier, ...] = ()
    mixtures: tuple[Mixture, ...] = ()
    nearest: tuple[tuple[int, float], ...] = ()
    """For each outlier the other identity (label) that it looks most like, and the cosine to its centre."""
    notes: tuple[str, ...] = ()


def readable_part(source: Source, contents: Contents) -> tuple[Source, NDArray[np.int64]]:
    """The examples that can be read, which a model may be given, and their rows in the source."""
    rows = np.flatnonzero(contents.readable)
    return (source if len(rows) == len(source) else select(source, rows)), rows


def look_at(source: Source, *, threads: int | None = None, progress: Progress | None = None) -> Contents:
    """The contents of a set on its own. Raises DataError where not one example can be read."""
    if not len(source):
        raise DataError("the set holds nothing to look at")
    return scan(source, typical_spectrum(source), threads=threads, progress=progress)


def find(
    source: Source,
    contents: Contents,
    vectors: NDArray[np.float32] | None = None,
    *,
    device: str = "cpu",
    group: "dist.ProcessGroup | None" = None,
    near: Sequence[NearPairs] | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Everything that the report tells. vectors: unit embeddings [n, d], rows of zeros for what is unreadable.

    group: processes that share the search for copies; all must call this alike, and all get the result.
    near: what `copy_parts` found of this set.
    """
    seen = Seen(source=source, contents=contents, vectors=vectors)
    copies = tuple(find_copies(seen, device=device, group=group, near=near, progress=progress))
    if vectors is None:
        return Findings(source=source, contents=contents, copies=copies)
    rows = np.flatnonzero(contents.readable)
    own = vectors[rows]
    present, labels = np.unique(np.asarray(source.labels)[rows], return_inverse=True)
    notes, words = [], contents.look.words
    same, centres = None, None
    if len(present) >= LEAST_IDENTITIES:
        same, centres = same_people(own, labels, device=device)
        same = _of_labels(same, present)
    else:
        notes.append(
            f"identities are not compared with each other: that takes {LEAST_IDENTITIES}, here are {len(present)}"
        )
    bounds = image_bounds(own, labels)
    if bounds is None:
        notes.append(
            f"no outlying {words.many} are looked for: there are too few pairs of two "
            f"{words.people} to say what is alike"
        )
        return Findings(source=source, contents=contents, copies=copies, same=same, notes=tuple(notes))
    outliers, mixtures = find_outliers(own, labels, bounds), find_mixtures(own, labels, bounds)
    vectors_of_people = centres.vectors if centres is not None else mean_directions(own, labels, len(present))[0]
    nearest = [_nearest(own[each.row], each.label, vectors_of_people) for each in outliers]
    return Findings(
        source=source,
        contents=contents,
        copies=copies,
        same=same,
        outliers=tuple(replace(each, row=int(rows[each.row]), label=int(present[each.label])) for each in outliers),
        mixtures=tuple(_in_source(each, rows, present) for each in mixtures),
        nearest=tuple((int(present[label]), cosine) for label, cosine in nearest),
        notes=tuple(notes),
    )


def same_people(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], *, device: str = "cpu"
) -> tuple[SamePeople, Centres]:
    """Identities of a set that look like one person; vectors: unit [n, d], labels: 0 to c - 1, all with an image."""
    count = int(labels.max()) + 1
    centres, counts = mean_directions(vectors, labels, count)
    (chosen,) = cohort_of([count])
    place = np.full(count, -1)
    place[chosen] = np.arange(len(chosen))
    people = relative(centres, counts, centres[chosen], place, device=device)
    halved, sizes, of = halves(vectors, labels)
    parts = relative(halved, sizes, centres[chosen], np.tile(place[of], 2), device=device)
    calibration = calibrate([people], [parts], device=device)
    compared = count * (count - 1) // 2
    fars = [min(pairs / compared, 0.01) for pairs in (SURE_PAIRS, SUSPECTED_PAIRS)]
    sure, suspected = (calibration.threshold(far) for far in fars)
    pairs = alike(people, threshold=suspected, device=device)
    found = SamePeople(
        pairs=pairs,
        calibration=calibration,
        sure=sure,
        suspected=suspected,
        sure_far=fars[0],
        suspected_far=fars[1],
        compared=compared,
    )
    return found, people


def _of_labels(same: SamePeople, present: NDArray[np.int64]) -> SamePeople:
    pairs = replace(same.pairs, left=present[same.pairs.left], right=present[same.pairs.right])
    return replace(same, pairs=pairs)


def _in_source(mixture: Mixture, rows: NDArray[np.int64], present: NDArray[np.int64]) -> Mixture:
    return replace(mixture, label=int(present[mixture.label]), rows=tuple(rows[list(mixture.rows)].tolist()))


def _nearest(vector: NDArray[np.float32], label: int, centres: NDArray[np.float32]) -> tuple[int, float]:
    cosines = centres @ vector
    cosines[label] = -2
    best = int(np.argmax(cosines))
    return best, float(cosines[best])
