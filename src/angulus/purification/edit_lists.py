"""From verdicts to a list of changes and to figures: what goes, why, and what is left of every identity."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data import Edit, Source, account_of, truth_of
from angulus.data.examples import noun_of
from angulus.errors import DataError
from angulus.purification.cleaning_scores import average_precision, best_f1, score_cleaning
from angulus.purification.evidence import Angles, Evidence
from angulus.purification.rules import Rule, Verdict


def drops_of(source: Source, evidence: Evidence, angles: Angles, verdict: Verdict) -> list[Edit]:
    """One change for each image that goes, the most suspicious first, with what was measured as further columns."""
    gone = np.flatnonzero(verdict.dropped)
    order = gone[np.argsort(-verdict.suspicion[gone], kind="stable")]
    return [drop_of(source, evidence, angles, verdict, int(row)) for row in order]


def drop_of(source: Source, evidence: Evidence, angles: Angles, verdict: Verdict, row: int) -> Edit:
    label, other = int(evidence.labels[row]), int(evidence.other[row])
    angle = angles.dominant_angle[row]
    name = source.identities[label]
    nearer = other >= 0 and angles.other_angle[row] < angle
    reason = f"{angle:.0f} degrees from the dominant center of {name}"
    if nearer:
        reason += f", {angles.other_angle[row]:.0f} from {source.identities[other]}"
    return Edit(
        action="drop",
        key=source.keys[row],
        identity=name,
        reason=reason,
        more={
            "suspicion": f"{verdict.suspicion[row]:.1f}",
            "angle": f"{angle:.1f}",
            "center": str(int(evidence.nearest[row])),
            "dominant": str(int(angles.dominant[label])),
            "other": source.identities[other] if other >= 0 else "",
            "other_angle": f"{angles.other_angle[row]:.1f}",
            "views": f"{evidence.agreement[row]:.3f}",
        },
    )


def check_left(source: Source, verdict: Verdict, rule: Rule) -> None:
    """Raise DataError where fewer than two identities would keep an image."""
    left = np.unique(np.asarray(source.labels)[~verdict.dropped])
    if len(left) >= 2:
        return
    low, middle = np.percentile(verdict.suspicion, [0, 50])
    raise DataError(
        f"the rule {rule} at {verdict.angle:.1f} degrees drops {int(verdict.dropped.sum())} of {len(source)} "
        f"{noun_of(source)}s and leaves {len(left)} of {len(source.identities)} identities (smallest {low:.1f}, "
        f"median {middle:.1f} degrees); take a larger --angle or --angle auto, or train the run longer"
    )


def summary_of(source: Source, angles: Angles, verdict: Verdict, rule: Rule, min_images: int = 1) -> dict[str, Any]:
    """What went and what is left, JSON-ready; scored where the noise was injected and the truth is known."""
    labels = np.asarray(source.labels)
    before = np.bincount(labels, minlength=len(source.identities))
    after = np.bincount(labels[~verdict.dropped], minlength=len(source.identities))
    small = (after > 0) & (after < min_images)
    emptied = [source.identities[int(label)] for label in np.flatnonzero((before > 0) & (after == 0))]
    dropped = int(verdict.dropped.sum())
    found: dict[str, Any] = {
        "rule": rule,
        "angle": verdict.angle,
        "estimated share of wrong labels": verdict.fit.share,
        "fitted angle": verdict.fit.angle,
        "images": len(source),
        "dropped": dropped,
        "identities": len(source.identities),
        "emptied": emptied,
        "too small": int(small.sum()),
        "subcenters": int(angles.counts.shape[1]),
        "share nearest to the dominant center": float(angles.is_dominant.mean()),
        "angles": histogram(angles.dominant_angle),
        "per identity": [
            {"identity": name, "images": int(images), "kept": int(kept)}
            for name, images, kept in zip(source.identities, before, after, strict=True)
        ],
        "sentence": (
            f"{account_of(source).origin}: {dropped:,} of {len(source):,} {noun_of(source)}s go (rule {rule}, beyond "
            f"{verdict.angle:.1f} degrees), and {len(emptied):,} of {len(source.identities):,} identities with them"
        ),
    }
    truth = truth_of(source)
    if truth is not None:
        found["scored"] = scored(verdict, truth.is_wrong)
    return found


def scored(verdict: Verdict, is_wrong: NDArray[np.bool_]) -> dict[str, float]:
    """Precision, recall and F1 of what goes, and figures of the order in which it goes."""
    best, at = best_f1(verdict.suspicion, is_wrong)
    return {
        **asdict(score_cleaning(verdict.dropped, is_wrong)),
        "average_precision": average_precision(verdict.suspicion, is_wrong),
        "best_f1": best,
        "best_angle": at,
    }


def histogram(angles: NDArray[np.float64]) -> dict[str, int]:
    """How many images lie in each ten degrees."""
    counts, _ = np.histogram(angles, bins=np.arange(0, 181, 10))
    return {f"{10 * place}": int(count) for place, count in enumerate(counts)}
