"""What was found in a set of images or recordings, as plain values for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from angulus.data.views.edits import Edit
from angulus.inspection.copies import Copy
from angulus.inspection.findings import Findings


def data_figures(found: Findings, edits: Sequence[Edit]) -> dict[str, Any]:
    """What the report counts, ready for JSON."""
    contents, rows = found.contents, found.contents.rows[found.contents.readable]
    per_person = images_per_person(found)
    keys, names = found.source.keys, found.source.identities
    words = contents.look.words
    measures = ["bytes", *(measure.column for measure in contents.look.measures)]
    spread = {name: _spread(rows[name]) for name in measures if len(rows)}
    return {
        words.many: len(contents),
        "identities": len(names),
        "unreadable": [{"key": keys[row], "problem": problem} for row, problem in contents.problems],
        f"{words.many}_per_identity": {**_spread(per_person), f"one_{words.one}": int((per_person == 1).sum())},
        "formats": {kind: int((rows["format"] == number).sum()) for number, kind in enumerate(contents.formats)},
        **spread,
        "concerns": [
            {
                "what": each.what,
                "sentence": f"{len(each.rows):,} {each.sentence}",
                "keys": [keys[row] for row in each.rows],
            }
            for each in contents.concerns
        ],
        "copies": [_copy_figures(found, copy) for copy in found.copies],
        "same_person": _same_figures(found),
        "several_people": [
            {
                "identity": names[each.label],
                words.many: each.images,
                "part": [keys[row] for row in each.rows],
                "across": round(each.across, 4),
                "inside": round(each.inside, 4),
            }
            for each in found.mixtures
        ],
        "outliers": [
            {
                "key": keys[each.row],
                "identity": names[each.label],
                "similarity": round(each.similarity, 4),
                "nearest": names[label],
                "nearest_cosine": round(cosine, 4),
            }
            for each, (label, cosine) in zip(found.outliers, found.nearest, strict=True)
        ],
        "edits": {action: sum(edit.action == action for edit in edits) for action in ("drop", "keep")},
        "notes": list(found.notes),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    low, first, middle, third, high = np.quantile(values, [0, 0.05, 0.5, 0.95, 1]).tolist()
    return {"least": low, "5%": first, "median": middle, "95%": third, "most": high, "mean": float(values.mean())}


def _copy_figures(found: Findings, copy: Copy) -> dict[str, Any]:
    keys, labels = found.source.keys, found.source.labels
    known = {name: getattr(copy, name) for name in ("cosine", "agreement")}
    return {
        "left": keys[copy.left],
        "right": keys[copy.right],
        "one_identity": bool(labels[copy.left] == labels[copy.right]),
        "kind": copy.kind,
        "bits": copy.bits,
        **{name: round(value, 4) for name, value in known.items() if value == value},
    }


def _same_figures(found: Findings) -> dict[str, Any] | None:
    same = found.same
    if same is None:
        return None
    names = found.source.identities
    halves, total = same.calibration.found(same.suspected)
    return {
        "pairs_compared": same.compared,
        "impostor_pairs_counted": same.calibration.pairs,
        "far_counted_down_to": same.calibration.resolved,
        "sure": {"z": round(same.sure, 4), "far": same.sure_far},
        "suspected": {"z": round(same.suspected, 4), "far": same.suspected_far},
        "halves_found": [halves, total],
        "pairs": [
            {"left": names[left], "right": names[right], "z": round(score, 4), "mutual": mutual}
            for left, right, score, mutual in zip(
                same.pairs.left.tolist(),
                same.pairs.right.tolist(),
                same.pairs.scores.tolist(),
                same.pairs.mutual.tolist(),
                strict=True,
            )
        ],
    }


def images_per_person(found: Findings) -> np.ndarray:
    """Examples of each identity [c]."""
    return np.bincount(found.source.labels, minlength=len(found.source.identities))
