"""`angulus data leaks`: a page, a JSON file and a removal list about what of a test set is in a training set."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from angulus.data.views.edits import Edit, write_proposed
from angulus.evaluation import VerificationResult
from angulus.inspection.copies import Copy
from angulus.inspection.leaks import Leaks, Side, Suspect, told
from angulus.inspection.page import Figure, Section, figure, printable, render_page, write_whole
from angulus.inspection.report import told as copy_told

MOST_SHOWN = 60
_EACH = 5


def write_leaks(
    folder: Path,
    leaks: Leaks,
    edits: Sequence[Edit],
    *,
    side: Side,
    facts: Mapping[str, str],
    metrics: Mapping[str, VerificationResult] | None = None,
) -> Path:
    """Write leaks.html, leaks.json and removal.csv. metrics: by name, the test set whole and without what leaked.

    Returns the list, which has another name where somebody has edited the one that was there.
    """
    listed = write_proposed(folder / "removal.csv", edits, source=leaks.train if side == "train" else leaks.test)
    figures = {**facts, "removed_from": side, **leak_figures(leaks)}
    figures["metrics"] = {name: _without_curves(result) for name, result in (metrics or {}).items()}
    write_whole(folder / "leaks.json", printable(json.dumps(figures, indent=2, allow_nan=False)) + "\n")
    sections = [*_metrics(metrics or {}, leaks.words.many), _people(leaks), *_copies(leaks)]
    page = render_page(
        "Test set in the training set",
        list(leaks.notes),
        {**facts, **_headline(leaks, side)},
        sections,
        footer=leaks.words.footer,
    )
    write_whole(folder / "leaks.html", page)
    return listed


def leak_figures(leaks: Leaks) -> dict[str, Any]:
    """Everything found, ready for JSON."""
    people = leaks.people
    return {
        f"leaked_{leaks.words.people}": len({suspect.test for suspect in leaks.leaked}),
        f"copied_{leaks.words.many}": len({copy.right for copy in leaks.copies if copy.certain}),
        "embedding": None
        if people is None
        else {
            "pairs_of_identities": people.compared,
            "z": round(people.threshold, 4),
            "far": people.far,
            "far_counted_down_to": people.calibration.resolved,
            "impostor_pairs_counted": people.calibration.pairs,
            "halves_found": list(people.calibration.found(people.threshold)),
            "halves_found_of_5_images_or_more": list(people.calibration.found(people.threshold, 5)),
        },
        "suspects": [_figures(leaks, suspect) for suspect in leaks.suspects],
        "copies": [
            {
                "train": leaks.train.keys[copy.left],
                "test": leaks.test.keys[copy.right],
                "kind": copy.kind,
                "bits": copy.bits,
                "cosine": _number(copy.cosine),
                "agreement": _number(copy.agreement),
            }
            for copy in leaks.copies
        ],
        "notes": list(leaks.notes),
    }


def _figures(leaks: Leaks, suspect: Suspect) -> dict[str, Any]:
    return {
        "train": leaks.train.identities[suspect.train],
        "test": leaks.test.identities[suspect.test],
        "leaked": suspect.leaked,
        "same_name": suspect.name,
        "z": _number(suspect.z),
        "far": None if np.isnan(suspect.far) else float(f"{suspect.far:.3g}"),
        "mutual": suspect.mutual,
        "copies": suspect.copies,
    }


def _headline(leaks: Leaks, side: Side) -> dict[str, str]:
    people = len({suspect.test for suspect in leaks.leaked})
    images = int((~leaks.clean_test_rows()).sum())
    words = leaks.words
    what = f"{people:,} {words.people}, {images:,} of {len(leaks.test):,} test {words.many}"
    facts = {"leaked": f"{what}; removal.csv drops them from {side}"}
    if leaks.people is not None:
        judged = leaks.people
        found, of = judged.calibration.found(judged.threshold)
        facts["by embedding"] = (
            f"each other's nearest with z of at least {judged.threshold:.2f}, which an estimated {judged.far:.1e} of"
            f" pairs of two {words.people} reach: {judged.far * judged.compared:.2g} of {judged.compared:,} pairs by"
            f" chance ({judged.calibration.pairs:,} pairs inside both sets were counted, down to"
            f" {judged.calibration.resolved:.1e}; below, the tail is drawn on); {found:,} of {of:,} identities cut into"
            " two halves are found at this threshold"
        )
    return facts


def _metrics(metrics: Mapping[str, VerificationResult], many: str) -> list[Section]:
    if not metrics:
        return []
    rows = []
    for name, result in metrics.items():
        rows.append((name, f"{result.images:,}", "EER", f"{result.eer.rate:.3%}", "", f"{result.genuine:,}"))
        if result.accuracy is not None:
            rows.append((name, "", "accuracy over folds", f"{result.accuracy.mean:.2%}", "", ""))
        for point in result.points:
            if point.resolved:
                rows.append(
                    (name, "", f"TAR at FAR {point.target:g}", f"{point.tar:.2%}", _interval(result, point.target), "")
                )
    head = ("test set", many, "figure", "value", "95 % by people", "genuine pairs")
    return [Section(title="What the leak did to the figures", head=head, rows=rows)]


def _interval(result: VerificationResult, far: float | None) -> str:
    points = result.confidence.points if result.confidence is not None else ()
    found = next((point for point in points if point.target == far), None)
    return "" if found is None else f"{found.tar.low:.2%} to {found.tar.high:.2%}"


def _people(leaks: Leaks) -> Section:
    figures = []
    for suspect in leaks.suspects[:MOST_SHOWN]:
        items = [
            (source, int(row))
            for source, label in ((leaks.train, suspect.train), (leaks.test, suspect.test))
            for row in _spread_rows(source.labels, label)
        ]
        first = len(_spread_rows(leaks.train.labels, suspect.train))
        verdict = "leaked" if suspect.leaked else "perhaps"
        names = f"train {leaks.train.identities[suspect.train]}, test {leaks.test.identities[suspect.test]}"
        caption = f"{verdict}: {printable(names)}\n{told(suspect, leaks.words)}"
        figures.append(figure(items, caption, columns=first))
    more = f"{len(leaks.suspects) - MOST_SHOWN:,} more are in leaks.json." if len(leaks.suspects) > MOST_SHOWN else ""
    text = "First row: training set; below: test set. What is called perhaps is kept in removal.csv for you to decide."
    return Section(
        title=f"{leaks.words.people.capitalize()}: {len(leaks.leaked):,}", text=text, figures=figures, more=more
    )


def _copies(leaks: Leaks) -> list[Section]:
    sections = []
    for certain, title in (
        (True, f"{leaks.words.many.capitalize()} in both sets"),
        (False, f"Alike in both sets, not proved to be one {leaks.words.picture}"),
    ):
        chosen = [copy for copy in leaks.copies if copy.certain is certain]
        if chosen:
            figures = [_copy_figure(leaks, copy) for copy in chosen[:MOST_SHOWN]]
            sections.append(Section(title=f"{title}: {len(chosen):,}", figures=figures))
    return sections


def _copy_figure(leaks: Leaks, copy: Copy) -> Figure:
    names = f"train {leaks.train.keys[copy.left]}\ntest {leaks.test.keys[copy.right]}"
    items = [(leaks.train, copy.left), (leaks.test, copy.right)]
    return figure(items, f"{printable(names)}\n{copy_told(copy)}", played=2)


def _spread_rows(labels: np.ndarray, label: int) -> list[int]:
    rows = np.flatnonzero(labels == label)
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _EACH)).astype(int)].tolist()


def _without_curves(result: VerificationResult) -> dict[str, Any]:
    return {name: value for name, value in result.as_dict().items() if name not in ("roc", "histogram")}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
