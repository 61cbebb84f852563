"""From what was found in a set to a list of edits: what is beyond doubt is done, the rest is left to the reader.

    drop    what cannot be read; of images with the same pixels (recordings with the same samples) within one identity,
            all but the first
    keep    everything else, with what speaks against it: change the word to what the reason proposes, and the line acts

A `keep` for an example would also hold it back from a merge of its identity; examples are therefore not listed where a
line speaks of their whole identity.
"""

import numpy as np

from angulus.data.views.edits import Edit
from angulus.inspection.copies import SAME, Copy
from angulus.inspection.findings import Findings


def suggested_edits(found: Findings) -> list[Edit]:
    """The lines of edits.csv, one for each example or identity that something is said of."""
    source = found.source
    lines: dict[tuple[str, str], Edit] = {}

    def say(edit: Edit) -> None:
        name = ("key", edit.key) if edit.key else ("identity", edit.identity)
        lines.setdefault(name, edit)

    for row, problem in found.contents.problems:
        say(Edit(action="drop", key=source.keys[row], identity=_name(found, row), reason=f"unreadable: {problem}"))
    for copy in found.copies:
        if copy.kind in SAME and source.labels[copy.left] == source.labels[copy.right]:
            reason = f"{copy.kind} as {source.keys[copy.left]}"
            say(Edit(action="drop", key=source.keys[copy.right], identity=_name(found, copy.right), reason=reason))
    for edit in _merges(found):
        say(edit)
    spoken = {edit.identity for kind, edit in ((name[0], edit) for name, edit in lines.items()) if kind == "identity"}
    for edit in [*_copies_across(found), *_concerns(found), *_splits(found), *_outliers(found), *_alike(found)]:
        if edit.identity not in spoken:
            say(edit)
    return list(lines.values())


def _merges(found: Findings) -> list[Edit]:
    if found.same is None:
        return []
    pairs, edits = found.same.pairs, []
    names, counts = found.source.identities, np.bincount(found.source.labels, minlength=len(found.source.identities))
    for left, right, score in zip(pairs.left.tolist(), pairs.right.tolist(), pairs.scores.tolist(), strict=True):
        small, large = (left, right) if counts[left] < counts[right] else (right, left)
        sure = "" if score >= found.same.sure else "perhaps "
        reason = f"{sure}one {found.contents.look.words.person}: z {score:.2f}; to make them one, write merge"
        more = {"z": f"{score:.2f}"}
        edits.append(Edit(action="keep", identity=names[small], to=names[large], reason=reason, more=more))
    return edits


def _copies_across(found: Findings) -> list[Edit]:
    """One picture or recording under two names: one of the two is wrong, or they are one person."""
    return [
        Edit(
            action="keep",
            key=found.source.keys[copy.right],
            identity=_name(found, copy.right),
            reason=f"{copy.kind} as {found.source.keys[copy.left]}, another identity; to leave it out, write drop",
        )
        for copy in found.copies
        if copy.certain and found.source.labels[copy.left] != found.source.labels[copy.right]
    ]


def _concerns(found: Findings) -> list[Edit]:
    """What looks wrong in examples by themselves; the first thing that is said of each."""
    return [
        Edit(
            action="keep",
            key=found.source.keys[row],
            identity=_name(found, row),
            reason=f"{concern.what} (those listed {concern.sentence}); to leave it out, write drop",
        )
        for concern in found.contents.concerns
        if concern.act
        for row in concern.rows.tolist()
    ]


def _alike(found: Findings) -> list[Edit]:
    """Changed copies within one identity: photos taken a moment apart can be as alike, so the reader decides."""
    words = found.contents.look.words
    otherwise = "the same moment" if words.one == "image" else "the same words"
    return [
        Edit(
            action="keep",
            key=found.source.keys[copy.right],
            identity=_name(found, copy.right),
            reason=f"agrees to {copy.agreement:.3f} with {found.source.keys[copy.left]}: a copy, or {otherwise}; "
            "to leave it out, write drop",
        )
        for copy in copies_of(found, certain=True, within=True)
        if copy.kind not in SAME
    ]


def _splits(found: Findings) -> list[Edit]:
    edits = []
    taken, words = set(found.source.identities), found.contents.look.words
    for mixture in found.mixtures:
        name = found.source.identities[mixture.label]
        other = next(each for each in (f"{name} ({number})" for number in range(2, 10_000)) if each not in taken)
        taken.add(other)
        reason = (
            f"with {len(mixture.rows)} of {mixture.images} {words.many} perhaps a second {words.person} (mean cosine "
            f"{mixture.across:.2f} to the others, {mixture.inside:.2f} inside); write split in all of these lines"
        )
        edits += [
            Edit(action="keep", key=found.source.keys[row], identity=name, to=other, reason=reason)
            for row in mixture.rows
        ]
    return edits


def _outliers(found: Findings) -> list[Edit]:
    edits = []
    for outlier, (label, cosine) in zip(found.outliers, found.nearest, strict=True):
        likely = found.source.identities[label]
        verb = "looks" if found.contents.look.words.one == "image" else "sounds"
        reason = f"{verb} unlike the others (mean cosine {outlier.similarity:.2f}); nearest {likely} ({cosine:.2f})"
        edits.append(
            Edit(
                action="keep",
                key=found.source.keys[outlier.row],
                identity=found.source.identities[outlier.label],
                to=likely,
                reason=f"{reason}; write drop or relabel",
            )
        )
    return edits


def _name(found: Findings, row: int) -> str:
    return found.source.identities[int(found.source.labels[row])]


def copies_of(found: Findings, *, certain: bool, within: bool) -> list[Copy]:
    """The copies that are beyond doubt or not, within one identity or across two."""
    labels = found.source.labels
    return [
        copy
        for copy in found.copies
        if copy.certain is certain and (labels[copy.left] == labels[copy.right]) is np.bool_(within)
    ]
