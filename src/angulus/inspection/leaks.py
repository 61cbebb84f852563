"""Which people and examples of a test set are in the training set? By name, by copies, and by embedding alone.

name       equal names, ignoring case and taking " ", "-" and "_" as equal
copy       an image of the test set and one of the training set are one picture, or two recordings one (`copies`)
embedding  the centres are each other's nearest among all of both sets, and z (`people`) reaches a threshold whose
           FAR leaves `false_pairs` pairs to be expected by chance among all pairs of both sets. The FAR is
           counted on pairs of identities inside each set, which are two people as far as their names are right;
           no name of one set is ever compared with one of the other for it
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.views.edits import Edit
from angulus.data.views.split import folded_name
from angulus.errors import DataError
from angulus.inspection.contents import Progress
from angulus.inspection.copies import Copy, Seen, find_copies
from angulus.inspection.labels import find_mixtures, image_bounds
from angulus.inspection.looks import PHOTOS, Words
from angulus.inspection.nearest import NearPairs
from angulus.inspection.people import (
    LEAST_IDENTITIES,
    Calibration,
    Centres,
    alike,
    calibrate,
    cohort_of,
    halves,
    mean_directions,
    relative,
)

Side = Literal["train", "test"]

FALSE_PAIRS = 0.5
DOUBTFUL_PAIRS = 5.0
LEAST_FAR = 1e-9
"""A line drawn on further than this says nothing."""


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """An identity of the training set and one of the test set (labels) that may be one person, and what says so.

    z: NaN without a model.  mutual: each is the other's nearest.  copies: images that are in both.  leaked: enough to
    act on; otherwise a person should look.
    """

    train: int
    test: int
    name: bool
    z: float
    far: float
    mutual: bool
    copies: int
    leaked: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class PeopleFound:
    """How the embeddings were judged: calibration, threshold of z and its FAR per pair of identities."""

    calibration: Calibration
    threshold: float
    far: float
    doubtful: float
    compared: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaks:
    """What of the test set is in the training set. copies: left is a row of train, right one of test."""

    train: Source
    test: Source
    suspects: tuple[Suspect, ...]
    copies: tuple[Copy, ...]
    people: PeopleFound | None
    words: Words = PHOTOS.words
    notes: tuple[str, ...] = ()

    @property
    def leaked(self) -> list[Suspect]:
        """Those to act on."""
        return [suspect for suspect in self.suspects if suspect.leaked]

    def clean_test_rows(self) -> NDArray[np.bool_]:
        """Which test images [n] show none of the leaked people and are no copies."""
        gone = np.isin(self.test.labels, [suspect.test for suspect in self.leaked])
        gone[[copy.right for copy in self.copies if copy.certain]] = True
        return ~gone


def find_leaks(
    train: Seen,
    test: Seen,
    *,
    names: bool = True,
    copies: bool = True,
    false_pairs: float = FALSE_PAIRS,
    device: str = "cpu",
    group: "dist.ProcessGroup | None" = None,
    near: Sequence[NearPairs] | None = None,
    progress: Progress | None = None,
) -> Leaks:
    """Look for the test set in the training set. Both need vectors for the comparison of people.

    names: take equal names for one person; False judges by pictures and embeddings alone.  false_pairs: how many pairs
    may be expected to be called one person by chance.  group: processes that share the search for copies; all must call
    this alike, and all get the result.  near: what `copy_parts` found of these sets.
    """
    if false_pairs <= 0:
        raise DataError(f"false_pairs must be above 0, got {false_pairs:g}")
    found = tuple(find_copies(train, test, device=device, group=group, near=near, progress=progress)) if copies else ()
    shared = _same_names(train.source, test.source) if names else set()
    notes, words = [], train.contents.look.words
    judged: dict[tuple[int, int], tuple[float, bool]] = {}
    people = None
    smallest = min(len(train.source.identities), len(test.source.identities))
    if train.vectors is None or test.vectors is None:
        notes.append(f"{words.people} were not compared by embedding: give a model with --model")
    elif smallest + max(len(train.source.identities), len(test.source.identities)) < LEAST_IDENTITIES:
        notes.append(
            f"{words.people} were not compared by embedding: that takes {LEAST_IDENTITIES} identities in both sets"
        )
    else:
        sets, halved, present = prepared([train, test], device)
        people, judged = _by_embedding(sets, calibrate(sets, halved, device=device), present, false_pairs, device)
        judged = {**_scored(sets, sorted(shared), present), **judged}
    suspects = _suspects(train.source, test.source, shared, judged, found, people)
    return Leaks(
        train=train.source,
        test=test.source,
        suspects=suspects,
        copies=found,
        people=people,
        words=words,
        notes=tuple(notes),
    )


def removal(leaks: Leaks, *, side: Side = "train") -> list[Edit]:
    """Edits that take what leaked out of one set: people, and copies of images of other people; doubts are kept."""
    train = side == "train"
    source, other = (leaks.train, leaks.test) if train else (leaks.test, leaks.train)
    lines: dict[tuple[str, str], Edit] = {}
    for suspect in [*leaks.leaked, *(each for each in leaks.suspects if not each.leaked)]:
        own, theirs = (suspect.train, suspect.test) if train else (suspect.test, suspect.train)
        name = source.identities[own]
        doubt = "" if suspect.leaked else "perhaps "
        reason = f"{doubt}{other.identities[theirs]} of the other set: {told(suspect, leaks.words)}"
        edit = Edit(
            action="drop" if suspect.leaked else "keep",
            identity=name,
            reason=reason if suspect.leaked else f"{reason}; to leave it out, write drop",
            more={"other": other.identities[theirs], "z": "" if np.isnan(suspect.z) else f"{suspect.z:.2f}"},
        )
        lines.setdefault(("identity", name), edit)
    gone = {name for (_, name), edit in lines.items() if edit.action == "drop"}
    for copy in leaks.copies:
        row, their_row = (copy.left, copy.right) if train else (copy.right, copy.left)
        name = source.identities[int(source.labels[row])]
        if copy.certain and name not in gone:
            reason = f"{copy.kind} as {other.keys[their_row]} of the other set"
            more = {"other": other.keys[their_row]}
            lines.setdefault(
                ("key", source.keys[row]),
                Edit(action="drop", key=source.keys[row], identity=name, reason=reason, more=more),
            )
    return list(lines.values())


def told(suspect: Suspect, words: Words = PHOTOS.words) -> str:
    """What speaks for one person, in a line."""
    parts = ["the same name"] if suspect.name else []
    if not np.isnan(suspect.z):
        nearest = "each other's nearest" if suspect.mutual else "not each other's nearest"
        rate = f"FAR {suspect.far:.1e}" if suspect.far > LEAST_FAR else f"FAR below {LEAST_FAR:g}"
        parts.append(f"z {suspect.z:.2f} ({rate}), {nearest}")
    if suspect.copies:
        parts.append(f"{suspect.copies} equal {words.picture}{'' if suspect.copies == 1 else 's'}")
    return ", ".join(parts)


def _by_embedding(
    sets: Sequence[Centres],
    calibration: Calibration,
    present: Sequence[NDArray[np.int64]],
    false_pairs: float,
    device: str,
) -> tuple[PeopleFound, dict[tuple[int, int], tuple[float, bool]]]:
    """The thresholds, and every pair of labels that reaches the lower one with its z and whether it is mutual."""
    compared = len(sets[0]) * len(sets[1])
    far, doubtful = (min(pairs / compared, 0.01) for pairs in (false_pairs, max(DOUBTFUL_PAIRS, false_pairs)))
    threshold = calibration.threshold(far)
    lower = calibration.threshold(doubtful)
    pairs = alike(sets[0], sets[1], threshold=lower, device=device)
    judged: dict[tuple[int, int], tuple[float, bool]] = {}
    for left, right, score, mutual in zip(pairs.left, pairs.right, pairs.scores, pairs.mutual, strict=True):
        pair = (int(present[0][left]), int(present[1][right]))
        judged[pair] = max(
            judged.get(pair, (-np.inf, False)), (float(score), bool(mutual)), key=lambda found: found[::-1]
        )
    found = PeopleFound(calibration=calibration, threshold=threshold, far=far, doubtful=lower, compared=compared)
    return found, judged


def prepared(both: Sequence[Seen], device: str) -> tuple[list[Centres], list[Centres], list[NDArray[np.int64]]]:
    """Centres and centres of halves of two sets against their common cohort, and the label of each centre."""
    readable = [_of_readable(seen) for seen in both]
    plain = [mean_directions(vectors, labels, len(present)) for vectors, labels, present in readable]
    chosen = cohort_of([len(present) for _, _, present in readable])
    cohort = np.concatenate([centres[rows] for (centres, _), rows in zip(plain, chosen, strict=True)])
    sets, halved, begin = [], [], 0
    for (vectors, labels, present), (centres, counts), rows in zip(readable, plain, chosen, strict=True):
        own = np.full(len(present), -1)
        own[rows] = begin + np.arange(len(rows))
        begin += len(rows)
        sets.append(relative(centres, counts, cohort, own, device=device))
        parts, sizes, of = halves(vectors, labels)
        halved.append(relative(parts, sizes, cohort, np.tile(own[of], 2), device=device))
    return sets, halved, [present for _, _, present in readable]


def _of_readable(seen: Seen) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors, labels without gaps, and the label in the source of each of these.

    An identity that falls into two people (`labels.find_mixtures`) is compared as two, which have one label there.
    """
    assert seen.vectors is not None
    rows = np.flatnonzero(seen.contents.readable)
    vectors = seen.vectors[rows]
    present, labels = np.unique(np.asarray(seen.source.labels)[rows], return_inverse=True)
    labels = labels.astype(np.int64)
    bounds = image_bounds(vectors, labels)
    mixtures = [] if bounds is None else find_mixtures(vectors, labels, bounds)
    for number, mixture in enumerate(mixtures, start=len(present)):
        labels[list(mixture.rows)] = number
    return vectors, labels, np.concatenate([present, present[[mixture.label for mixture in mixtures]]])


def _scored(
    sets: Sequence[Centres], pairs: Sequence[tuple[int, int]], present: Sequence[NDArray[np.int64]]
) -> dict[tuple[int, int], tuple[float, bool]]:
    """z of these pairs of labels, whatever it is; they are not called mutual."""
    first = [np.unique(labels, return_index=True) for labels in present]
    rows = [dict(zip(labels.tolist(), places.tolist(), strict=True)) for labels, places in first]
    known = [(left, right) for left, right in pairs if left in rows[0] and right in rows[1]]
    if not known:
        return {}
    one = sets[0].rows(np.array([rows[0][left] for left, _ in known]))
    other = sets[1].rows(np.array([rows[1][right] for _, right in known]))
    return {pair: (float(score), False) for pair, score in zip(known, one.scores(other), strict=True)}


def _same_names(train: Source, test: Source) -> set[tuple[int, int]]:
    by_name: dict[str, list[int]] = {}
    for label, name in enumerate(train.identities):
        by_name.setdefault(folded_name(name), []).append(label)
    return {
        (label, other) for other, name in enumerate(test.identities) for label in by_name.get(folded_name(name), [])
    }


def _suspects(
    train: Source,
    test: Source,
    shared: set[tuple[int, int]],
    judged: dict[tuple[int, int], tuple[float, bool]],
    copies: Sequence[Copy],
    people: PeopleFound | None,
) -> tuple[Suspect, ...]:
    equal = Counter((int(train.labels[copy.left]), int(test.labels[copy.right])) for copy in copies if copy.certain)
    found = []
    for pair in sorted(shared | judged.keys() | equal.keys()):
        z, mutual = judged.get(pair, (float("nan"), False))
        reached = people is not None and mutual and z >= people.threshold
        known = people is not None and not np.isnan(z)
        found.append(
            Suspect(
                train=pair[0],
                test=pair[1],
                name=pair in shared,
                z=z,
                far=max(people.calibration.far(z), LEAST_FAR) if people is not None and known else float("nan"),
                mutual=mutual,
                copies=equal[pair],
                leaked=pair in shared or reached,
            )
        )
    return tuple(sorted(found, key=lambda suspect: (not suspect.leaked, -np.nan_to_num(suspect.z, nan=-99.0))))
