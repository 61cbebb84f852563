"""What an audit proposes: images to drop or to give to another identity, names with two people, people with two names.

    drop     far from the people of its name, and like nobody else
    relabel  far from the people of its name, and as near to another name as right images are to theirs
    split    several images of a name that are like each other and unlike the rest
    merge    two names whose centers are nearer to each other than half of the right images are to theirs

A confidence is the probability that the label is wrong, fitted to the set (see `rules`); that of a merge is the share
of right images that lie farther from the center of their name than the two centers from each other.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import Edit, Source
from angulus.purification.evidence import Angles, Evidence, degrees, nearest_other
from angulus.purification.identity_groups import Groups
from angulus.purification.rules import Verdict, decide

LEAST_GROUP = 3  # images that make a second person


@dataclass(frozen=True, kw_only=True)
class ImageFinding:
    """A proposal for one image. row: its place in the source.  angles in degrees.  confidence: in [0, 1].

    action: what is proposed at the angle of the audit.  proposal: what would be, were the image beyond it.
    to: the new identity of a proposal to relabel or split.
    """

    row: int
    key: str
    identity: str
    action: Literal["drop", "relabel", "split", "keep"]
    proposal: Literal["drop", "relabel", "split"]
    to: str
    suspicion: float
    angle: float
    other: str
    other_angle: float
    views: float
    center: int
    confidence: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class SplitFinding:
    """A name with two people: rows of the second one. angle: between the two centers, degrees."""

    identity: str
    to: str
    rows: tuple[int, ...]
    angle: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class MergeFinding:
    """Two names of one person; the first has more images. angle: between their centers, degrees."""

    identity: str
    other: str
    angle: float
    confidence: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """images: the most suspicious first, those within the angle with the action keep.  angle: beyond it images go."""

    images: tuple[ImageFinding, ...]
    splits: tuple[SplitFinding, ...]
    merges: tuple[MergeFinding, ...]
    angle: float

    def edits(self) -> list[Edit]:
        """The proposals as a list of changes; images that are kept are left out."""
        rows = [edit_of(found) for found in self.images if found.action != "keep"]
        return [*rows, *(merge_edit(found) for found in self.merges)]


def find(
    source: Source, evidence: Evidence, angles: Angles, verdict: Verdict, groups: Groups, *, most: int = 20_000
) -> Findings:
    """Proposals for the `most` most suspicious images, and for names."""
    typical = typical_angle(angles, verdict)
    counts = np.bincount(evidence.labels, minlength=len(source.identities))
    gone = spared(verdict, evidence.labels, counts)
    # several images that are like each other excuse each other under the other rules
    splits = find_splits(source, groups, decide(angles, "subcenter", "auto"), angles, typical)
    second = {row: found for found in splits for row in found.rows}
    order = np.argsort(-verdict.suspicion, kind="stable")
    order = order[(np.arange(len(order)) < most) | np.isin(order, list(second))]
    images = []
    for row in order.tolist():
        images.append(image_finding(source, evidence, angles, verdict, row, bool(gone[row]), second.get(row), typical))
    lonely = counts < 2
    merges = find_merges(source, groups, angles, verdict, lonely)
    return Findings(images=tuple(images), splits=tuple(splits), merges=tuple(merges), angle=verdict.angle)


def typical_angle(angles: Angles, verdict: Verdict) -> float:
    """Within this angle of their center lie nine of ten images that stay, degrees."""
    kept = angles.dominant_angle[~verdict.dropped]
    return float(np.quantile(kept[kept > 0], 0.9)) if (kept > 0).any() else 0.0


def spared(verdict: Verdict, labels: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """What goes, but of a name with two images only the more suspicious one: nobody knows which is wrong."""
    gone = verdict.dropped.copy()
    for label in np.flatnonzero((np.bincount(labels[gone], minlength=len(counts)) == 2) & (counts == 2)).tolist():
        rows = np.flatnonzero(labels == label)
        gone[rows[int(verdict.suspicion[rows].argmin())]] = False
    return gone


def image_finding(
    source: Source,
    evidence: Evidence,
    angles: Angles,
    verdict: Verdict,
    row: int,
    goes: bool,
    second: SplitFinding | None,
    typical: float,
) -> ImageFinding:
    label, other = int(evidence.labels[row]), int(evidence.other[row])
    name, other_name = source.identities[label], source.identities[other] if other >= 0 else ""
    angle, other_angle = float(angles.dominant_angle[row]), float(angles.other_angle[row])
    proposal: Literal["drop", "relabel", "split"] = "drop"
    to, reason = "", f"{angle:.0f} degrees from {name}"
    if second is not None:
        proposal, to, reason = "split", second.to, f"with {len(second.rows) - 1} more like it, {reason}"
    elif other >= 0 and other_angle <= typical and other_angle < angle:
        proposal, to, reason = "relabel", other_name, f"{reason}, {other_angle:.0f} from {other_name}"
    return ImageFinding(
        row=row,
        key=source.keys[row],
        identity=name,
        action=proposal if goes or second is not None else "keep",
        proposal=proposal,
        to=to,
        suspicion=float(verdict.suspicion[row]),
        angle=angle,
        other=other_name,
        other_angle=other_angle,
        views=float(evidence.agreement[row]),
        center=int(evidence.nearest[row]),
        confidence=float(verdict.fit.at(verdict.suspicion[row : row + 1])[0]),
        reason=reason,
    )


def find_splits(
    source: Source,
    groups: Groups,
    far: Verdict,
    angles: Angles,
    typical: float,
) -> list[SplitFinding]:
    """Groups of at least three images, most of them far from the others of their name, that are no other name's.

    far: which images are far from the dominant center of their name.
    """
    labels, found = np.asarray(source.labels), []
    taken = set(source.identities)
    for label in np.flatnonzero((groups.sizes >= LEAST_GROUP).sum(axis=1) > 1).tolist():
        members = np.flatnonzero(labels == label)
        first = int(groups.sizes[label].argmax())
        for place in np.flatnonzero(groups.sizes[label] >= LEAST_GROUP).tolist():
            rows = members[groups.group[members] == place]
            is_known = np.median(angles.other_angle[rows]) <= typical
            if place == first or is_known or far.dropped[rows].mean() <= 0.5:
                continue
            centers = groups.centers.directions[label].numpy()
            to = new_name(source.identities[label], taken)
            found.append(
                SplitFinding(
                    identity=source.identities[label],
                    to=to,
                    rows=tuple(rows.tolist()),
                    angle=float(degrees(centers[first] @ centers[place])),
                    confidence=float(far.fit.at(far.suspicion[rows]).mean()),
                )
            )
    return sorted(found, key=lambda one: -one.confidence)


def find_merges(
    source: Source, groups: Groups, angles: Angles, verdict: Verdict, lonely: NDArray[np.bool_]
) -> list[MergeFinding]:
    """Pairs of names with centers that are nearer than half of the right images are to theirs; the nearest first."""
    first = groups.sizes.argmax(axis=1)
    mains = groups.centers.directions[torch.arange(len(first)), torch.from_numpy(first)]
    names = torch.arange(len(first))
    other, cosine = nearest_other(mains, names, mains[:, None], 65536)
    between = degrees(cosine.numpy())
    right = np.sort(angles.dominant_angle[~verdict.dropped & ~lonely[np.asarray(source.labels)]])
    if not len(right):
        return []
    pairs: dict[tuple[int, int], float] = {}
    for label in np.flatnonzero(between <= np.median(right)).tolist():
        pair = sorted((label, int(other[label])), key=lambda one: (-int(groups.sizes[one].sum()), one))
        pairs[pair[0], pair[1]] = float(between[label])
    return [
        MergeFinding(
            identity=source.identities[one],
            other=source.identities[two],
            angle=angle,
            confidence=float(1 - np.searchsorted(right, angle) / len(right)),
        )
        for (one, two), angle in sorted(pairs.items(), key=lambda item: item[1])
    ]


def new_name(name: str, taken: set[str]) -> str:
    """The name with the next free number behind it, which is then taken."""
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    taken.add(f"{name} ({number})")
    return f"{name} ({number})"


def edit_of(found: ImageFinding) -> Edit:
    """A line of the list, with what was measured as further columns."""
    return Edit(
        action=found.action,
        key=found.key,
        identity=found.identity,
        to=found.to,
        reason=found.reason,
        more={
            "confidence": f"{found.confidence:.3f}",
            "suspicion": f"{found.suspicion:.1f}",
            "angle": f"{found.angle:.1f}",
            "other": found.other,
            "other_angle": f"{found.other_angle:.1f}",
            "views": f"{found.views:.3f}",
        },
    )


def merge_edit(found: MergeFinding) -> Edit:
    """The line that gives all images of the smaller name to the larger."""
    return Edit(
        action="merge",
        identity=found.other,
        to=found.identity,
        reason=f"centers {found.angle:.0f} degrees apart",
        more={"confidence": f"{found.confidence:.3f}"},
    )
