"""`angulus data report`: a page, a JSON file and a list of suggested edits about one set of images."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from angulus.data.examples import account_of
from angulus.data.views.edits import Edit, write_edits
from angulus.inspection.copies import MOST_BITS, Copy
from angulus.inspection.figures import data_figures, images_per_person
from angulus.inspection.findings import Findings
from angulus.inspection.page import (
    Bar,
    Figure,
    Section,
    counted,
    pictures,
    printable,
    ranged,
    render_page,
    write_whole,
)
from angulus.inspection.suggestions import copies_of

MOST_SHOWN = 24
_PER_PERSON = 4
_IMAGES_EDGES = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9)
_EXTREMES = 16


def write_data_report(folder: Path, title: str, found: Findings, edits: Sequence[Edit], facts: dict[str, str]) -> None:
    """Write report.html, report.json and edits.csv into a folder. facts: what was looked at, by name."""
    figures = data_figures(found, edits)
    shown = {**facts, **_headline(found, edits)}
    sections = [*_contents(found), *_copies(found), *_people(found), *_labels(found)]
    account = account_of(found.source)
    notes = [printable(line) for line in account.lines()[:6]]
    write_edits(folder / "edits.csv", edits, source=found.source)
    text = json.dumps({**facts, **figures}, indent=2, allow_nan=False)
    write_whole(folder / "report.json", printable(text) + "\n")
    page = render_page(title, notes, shown, sections)
    write_whole(folder / "report.html", page)


def _headline(found: Findings, edits: Sequence[Edit]) -> dict[str, str]:
    per_person = images_per_person(found)
    facts = {
        "images": f"{len(found.contents):,} of {len(found.source.identities):,} identities; "
        f"{int((per_person == 1).sum()):,} identities of one image, the largest of {int(per_person.max()):,}",
        "unreadable": f"{len(found.contents.problems):,}",
        "copies": f"{len(copies_of(found, certain=True, within=True)):,} within an identity, "
        f"{len(copies_of(found, certain=True, within=False)):,} across two",
    }
    if found.same is not None:
        sure = int((found.same.pairs.scores >= found.same.sure).sum())
        facts["identities that look like one person"] = f"{sure:,} pairs, and {len(found.same.pairs) - sure:,} perhaps"
        facts["identities that look like several"] = f"{len(found.mixtures):,}"
        facts["outlying images"] = f"{len(found.outliers):,}"
    else:
        facts["labels"] = "not looked at: give a model with --model"
    drops = sum(edit.action == "drop" for edit in edits)
    facts["suggested edits"] = f"{drops:,} to drop, {len(edits) - drops:,} for you to decide: edits.csv"
    return facts


def _contents(found: Findings) -> list[Section]:
    rows = found.contents.rows[found.contents.readable]
    kinds = [int((rows["format"] == number).sum()) for number in range(len(found.contents.formats))]
    shapes, counts = np.unique(rows["height"].astype(np.int64) << 32 | rows["width"], return_counts=True)
    common = np.argsort(-counts, kind="stable")[:6]
    bars = {
        "images per identity": counted(images_per_person(found), _IMAGES_EDGES, _whole_range),
        "format": [
            Bar(label=k, count=n, share=n / max(kinds)) for k, n in zip(found.contents.formats, kinds, strict=True)
        ],
        "height x width, commonest": [
            Bar(
                label=f"{shapes[place] >> 32} x {shapes[place] & 0xFFFFFFFF}",
                count=int(counts[place]),
                share=float(counts[place] / counts.max()),
            )
            for place in common
        ],
        "brightness (0 black, 255 white)": ranged(rows["brightness"], 12),
        "contrast (deviation of grey values)": ranged(rows["contrast"], 12),
        "blur (0 sharp, 1 blurred)": ranged(rows["blur"], 12, 2),
    }
    if (rows["bytes"] > 0).any():
        bars["kilobytes of a file"] = ranged(rows["bytes"][rows["bytes"] > 0] / 1000, 12, 1)
    sections = [Section(title="What is in it", bars=bars), _extremes(found)]
    if found.contents.problems:
        listed = [(printable(found.source.keys[row]), printable(problem)) for row, problem in found.contents.problems]
        sections.append(
            Section(title="Unreadable images", head=("image", "why"), rows=listed[:200], more=_rest(len(listed), 200))
        )
    return sections


def _extremes(found: Findings) -> Section:
    """Montages of the darkest, brightest, most blurred and flattest images."""
    rows = np.flatnonzero(found.contents.readable)
    values = found.contents.rows[rows]
    orders = {
        "darkest": values["brightness"],
        "brightest": -values["brightness"],
        "most blurred": -values["blur"],
        "least contrast": values["contrast"],
    }
    figures = []
    for name, keyed in orders.items():
        chosen = rows[np.argsort(keyed, kind="stable")[:_EXTREMES]]
        figures.append(Figure(picture=pictures([(found.source, int(row)) for row in chosen]), caption=name))
    drawn = np.random.default_rng(0).choice(rows, min(len(rows), 2 * _EXTREMES), replace=False)
    figures.insert(0, Figure(picture=pictures([(found.source, int(row)) for row in drawn]), caption="drawn at random"))
    return Section(title="How it looks", figures=figures)


def _copies(found: Findings) -> list[Section]:
    texts = {
        (False, True): (
            "One picture under two names",
            "One of both names is wrong, or they are one person. Nothing is dropped: decide in edits.csv.",
        ),
        (True, True): (
            "One picture twice in an identity",
            "The second of each pair is dropped by edits.csv.",
        ),
        (False, False): (
            "Alike under two names",
            "Found by the hash or the embedding, but no copies once laid over each other, or not looked at.",
        ),
    }
    sections = []
    for (within, certain), (title, text) in texts.items():
        chosen = copies_of(found, certain=certain, within=within)
        if chosen:
            figures = [_copy_figure(found, copy) for copy in chosen[:MOST_SHOWN]]
            more = _rest(len(chosen), MOST_SHOWN)
            sections.append(Section(title=f"{title}: {len(chosen):,}", text=text, figures=figures, more=more))
    if not sections:
        sections.append(
            Section(title="Copies", text=f"None: no two hashes within {MOST_BITS} bits proved to be one picture.")
        )
    return sections


def _copy_figure(found: Findings, copy: Copy) -> Figure:
    return Figure(
        picture=pictures([(found.source, copy.left), (found.source, copy.right)]),
        caption="\n".join(printable(found.source.keys[row]) for row in (copy.left, copy.right)) + "\n" + told(copy),
    )


def told(copy: Copy) -> str:
    """What speaks for a copy, in a line."""
    parts = [copy.kind, f"{copy.bits} bits differ"]
    parts += [f"cosine {copy.cosine:.3f}"] if copy.cosine == copy.cosine else []
    parts += [f"agreement {copy.agreement:.3f}"] if copy.agreement == copy.agreement else []
    return ", ".join(parts)


def _people(found: Findings) -> list[Section]:
    same = found.same
    if same is None:
        return [Section(title="Labels", text="; ".join(found.notes))] if found.notes else []
    halves, total = same.calibration.found(same.suspected)
    text = (
        f"{same.compared:,} pairs of identities were compared by the centres of their images (z, see "
        f"docs/know_your_data.md). Listed are pairs with z of at least {same.suspected:.2f}, which an estimated "
        f"{same.suspected_far:.1e} of pairs of two people reach: about {same.suspected_far * same.compared:.2g} "
        f"of those listed would be so by chance; from z = {same.sure:.2f} on, {same.sure_far * same.compared:.2g}. "
        f"Of {total:,} identities cut into two halves, {halves:,} halves find each other at z = {same.suspected:.2f}. "
        "Twins and relatives are found too. Nothing is merged: decide in edits.csv."
    )
    pairs, figures = same.pairs, []
    for left, right, score in list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.scores.tolist(), strict=True))[
        :MOST_SHOWN
    ]:
        names = [printable(found.source.identities[label]) for label in (left, right)]
        items = [(found.source, row) for label in (left, right) for row in _some_of(found, label)]
        doubt = "" if score >= same.sure else ", perhaps"
        caption = f"{names[0]} and {names[1]}\nz {score:.2f}{doubt}; the first row is the first"
        figures.append(Figure(picture=pictures(items, columns=len(_some_of(found, left))), caption=caption))
    title = f"Identities that look like one person: {len(pairs):,}"
    return [Section(title=title, text=text, figures=figures, more=_rest(len(pairs), MOST_SHOWN))]


def _labels(found: Findings) -> list[Section]:
    if found.same is None and not found.outliers:
        return []
    mixed = []
    for each in found.mixtures[:MOST_SHOWN]:
        own = [row for row in _some_of(found, each.label, 1000) if row not in each.rows]
        items = [(found.source, row) for row in [*own[:8], *each.rows[:8]]]
        caption = (
            f"{printable(found.source.identities[each.label])}: {each.images - len(each.rows)} images and then "
            f"{len(each.rows)}; mean cosine {each.across:.2f} across, at least {each.inside:.2f} inside"
        )
        mixed.append(Figure(picture=pictures(items, columns=max(1, len(own[:8]))), caption=caption))
    outlying = [
        Figure(
            picture=pictures([(found.source, row) for row in [each.row, *_others(found, each.label, each.row)]]),
            caption=f"{printable(found.source.keys[each.row])} (the first)\nmean cosine {each.similarity:.2f}; "
            f"nearest {printable(found.source.identities[label])}, {cosine:.2f}",
        )
        for each, (label, cosine) in list(zip(found.outliers, found.nearest, strict=True))[:MOST_SHOWN]
    ]
    return [
        Section(
            title=f"Identities that look like several people: {len(found.mixtures):,}",
            figures=mixed,
            more=_rest(len(found.mixtures), MOST_SHOWN),
        ),
        Section(
            title=f"Outlying images: {len(found.outliers):,}",
            text="Images that look like none of the others of their identity: wrong labels, other faces of the photo, "
            "or bad crops.",
            figures=outlying,
            more=_rest(len(found.outliers), MOST_SHOWN),
        ),
    ]


def _some_of(found: Findings, label: int, most: int = _PER_PERSON) -> list[int]:
    chosen = (np.asarray(found.source.labels) == label) & found.contents.readable
    return np.flatnonzero(chosen)[:most].tolist()


def _others(found: Findings, label: int, row: int) -> list[int]:
    return [other for other in _some_of(found, label, _PER_PERSON + 1) if other != row][:_PER_PERSON]


def _whole_range(low: float, high: float) -> str:
    return (
        f"{low:,.0f}"
        if high - low == 1
        else f"{low:,.0f} and more"
        if high >= 10**9
        else f"{low:,.0f} to {high - 1:,.0f}"
    )


def _rest(count: int, shown: int) -> str:
    return f"{count - shown:,} more are in report.json." if count > shown else ""
