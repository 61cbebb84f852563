"""`angulus data report`: a page, a JSON file and a list of suggested edits about one set of images or recordings."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from angulus.data.examples import account_of
from angulus.data.views.edits import Edit, write_proposed
from angulus.inspection.copies import MOST_BITS, Copy
from angulus.inspection.figures import data_figures, images_per_person
from angulus.inspection.findings import Findings
from angulus.inspection.looks import Words
from angulus.inspection.page import (
    Bar,
    Figure,
    Section,
    counted,
    figure,
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
_PLAYED = 2
_NAMED = 5
_RELATIVES = {
    "image": "Twins and relatives are found too.",
    "recording": "Voices that are alike, and speakers of one room or microphone, are found too.",
}
_OUTLYING = {
    "image": "Images that look like none of the others of their identity: wrong labels, other faces of the photo, "
    "or bad crops.",
    "recording": "Recordings that sound like none of the others of their identity: wrong labels, other voices, another "
    "microphone, or next to no speech.",
}


def write_data_report(folder: Path, title: str, found: Findings, edits: Sequence[Edit], facts: dict[str, str]) -> Path:
    """Write report.html, report.json and edits.csv into a folder. facts: what was looked at, by name.

    Returns the list, which has another name where somebody has edited the one that was there.
    """
    figures = data_figures(found, edits)
    shown = {**facts, **_headline(found, edits)}
    sections = [*_contents(found), *_concerns(found), *_copies(found), *_people(found), *_labels(found)]
    account = account_of(found.source)
    notes = [printable(line) for line in account.lines()[:6]]
    listed = write_proposed(folder / "edits.csv", edits, source=found.source)
    text = json.dumps({**facts, **figures}, indent=2, allow_nan=False)
    write_whole(folder / "report.json", printable(text) + "\n")
    page = render_page(title, notes, shown, sections, footer=_words(found).footer)
    write_whole(folder / "report.html", page)
    return listed


def _headline(found: Findings, edits: Sequence[Edit]) -> dict[str, str]:
    per_person, words = images_per_person(found), _words(found)
    facts = {
        words.many: f"{len(found.contents):,} of {len(found.source.identities):,} identities; "
        f"{int((per_person == 1).sum()):,} identities of one {words.one}, the largest of {int(per_person.max()):,}",
        "unreadable": f"{len(found.contents.problems):,}",
        "copies": f"{len(copies_of(found, certain=True, within=True)):,} within an identity, "
        f"{len(copies_of(found, certain=True, within=False)):,} across two",
    }
    if found.same is not None:
        sure = int((found.same.pairs.scores >= found.same.sure).sum())
        facts[f"identities that look like one {words.person}"] = (
            f"{sure:,} pairs, and {len(found.same.pairs) - sure:,} perhaps"
        )
        facts["identities that look like several"] = f"{len(found.mixtures):,}"
        facts[f"outlying {words.many}"] = f"{len(found.outliers):,}"
    else:
        facts["labels"] = "not looked at: give a model with --model"
    drops = sum(edit.action == "drop" for edit in edits)
    facts["suggested edits"] = f"{drops:,} to drop, {len(edits) - drops:,} for you to decide: edits.csv"
    return facts


def _contents(found: Findings) -> list[Section]:
    rows = found.contents.rows[found.contents.readable]
    kinds = [int((rows["format"] == number).sum()) for number in range(len(found.contents.formats))]
    look, words = found.contents.look, _words(found)
    bars = {
        f"{words.many} per identity": counted(images_per_person(found), _IMAGES_EDGES, _whole_range),
        "format": [
            Bar(label=k, count=n, share=n / max(kinds)) for k, n in zip(found.contents.formats, kinds, strict=True)
        ],
        **_shapes(rows),
        **{each.title: ranged(rows[each.column], 12, each.digits) for each in look.measures if each.bars},
    }
    if (rows["bytes"] > 0).any():
        bars["kilobytes of a file"] = ranged(rows["bytes"][rows["bytes"] > 0] / 1000, 12, 1)
    sections = [Section(title="What is in it", bars=bars), _extremes(found)]
    if found.contents.problems:
        listed = [(printable(found.source.keys[row]), printable(problem)) for row, problem in found.contents.problems]
        sections.append(
            Section(
                title=f"Unreadable {words.many}",
                head=(words.one, "why"),
                rows=listed[:200],
                more=_rest(len(listed), 200),
            )
        )
    return sections


def _shapes(rows: np.ndarray) -> dict[str, list[Bar]]:
    """The commonest sizes of pictures; nothing for what has no height."""
    if "height" not in (rows.dtype.names or ()):
        return {}
    shapes, counts = np.unique(rows["height"].astype(np.int64) << 32 | rows["width"], return_counts=True)
    common = np.argsort(-counts, kind="stable")[:6]
    return {
        "height x width, commonest": [
            Bar(
                label=f"{shapes[place] >> 32} x {shapes[place] & 0xFFFFFFFF}",
                count=int(counts[place]),
                share=float(counts[place] / counts.max()),
            )
            for place in common
        ]
    }


def _extremes(found: Findings) -> Section:
    """Montages of the examples with the least and the most of what is measured, such as the darkest images."""
    rows = np.flatnonzero(found.contents.readable)
    values = found.contents.rows[rows]
    drawn = np.random.default_rng(0).choice(rows, min(len(rows), 2 * _EXTREMES), replace=False)
    figures = [figure([(found.source, int(row)) for row in drawn], "drawn at random")]
    for each in found.contents.look.extremes:
        if len(rows) and np.ptp(values[each.column]) == 0:
            continue  # nobody is shorter than the others
        keyed = -values[each.column] if each.largest else values[each.column]
        chosen = rows[np.argsort(keyed, kind="stable")[:_EXTREMES]]
        figures.append(figure([(found.source, int(row)) for row in chosen], each.title, played=_PLAYED))
    return Section(title="How it looks", figures=figures)


def _concerns(found: Findings) -> list[Section]:
    """What looks wrong in examples by themselves."""
    concerns, words = found.contents.concerns, _words(found)
    rows = [
        (
            each.what,
            f"{len(each.rows):,} {words.one if len(each.rows) == 1 else words.many}: they {each.sentence}",
            ", ".join(printable(found.source.keys[row]) for row in each.rows[:_NAMED]),
        )
        for each in concerns
    ]
    text = "Nothing is dropped for it. edits.csv lists those that may have to go; all are in report.json."
    return [Section(title="What looks wrong", text=text, head=("", "", "the first"), rows=rows)] if rows else []


def _copies(found: Findings) -> list[Section]:
    words = _words(found)
    texts = {
        (False, True): (
            f"One {words.picture} under two names",
            f"One of both names is wrong, or they are one {words.person}. Nothing is dropped: decide in edits.csv.",
        ),
        (True, True): (
            f"One {words.picture} twice in an identity",
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
            Section(
                title="Copies", text=f"None: no two hashes within {MOST_BITS} bits proved to be one {words.picture}."
            )
        )
    return sections


def _copy_figure(found: Findings, copy: Copy) -> Figure:
    names = "\n".join(printable(found.source.keys[row]) for row in (copy.left, copy.right))
    items = [(found.source, copy.left), (found.source, copy.right)]
    return figure(items, f"{names}\n{told(copy)}", played=2)


def told(copy: Copy) -> str:
    """What speaks for a copy, in a line."""
    parts = [copy.kind, f"{copy.bits} bits differ"]
    parts += [f"cosine {copy.cosine:.3f}"] if copy.cosine == copy.cosine else []
    parts += [f"agreement {copy.agreement:.3f}"] if copy.agreement == copy.agreement else []
    return ", ".join(parts)


def _people(found: Findings) -> list[Section]:
    same, words = found.same, _words(found)
    if same is None:
        return [Section(title="Labels", text="; ".join(found.notes))] if found.notes else []
    halves, total = same.calibration.found(same.suspected)
    text = (
        f"{same.compared:,} pairs of identities were compared by the centres of their {words.many} (z, see "
        f"docs/know_your_data.md). Listed are pairs with z of at least {same.suspected:.2f}, which an estimated "
        f"{same.suspected_far:.1e} of pairs of two {words.people} reach: about "
        f"{same.suspected_far * same.compared:.2g} of those listed would be so by chance; from z = "
        f"{same.sure:.2f} on, {same.sure_far * same.compared:.2g}. Of {total:,} identities cut into two "
        f"halves, {halves:,} halves find each other at z = {same.suspected:.2f}. "
        f"{_RELATIVES[words.one]} Nothing is merged: decide in edits.csv."
    )
    pairs, figures = same.pairs, []
    for left, right, score in list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.scores.tolist(), strict=True))[
        :MOST_SHOWN
    ]:
        names = [printable(found.source.identities[label]) for label in (left, right)]
        items = [(found.source, row) for label in (left, right) for row in _some_of(found, label)]
        doubt = "" if score >= same.sure else ", perhaps"
        caption = f"{names[0]} and {names[1]}\nz {score:.2f}{doubt}; the first row is the first"
        figures.append(figure(items, caption, columns=len(_some_of(found, left))))
    title = f"Identities that look like one {words.person}: {len(pairs):,}"
    return [Section(title=title, text=text, figures=figures, more=_rest(len(pairs), MOST_SHOWN))]


def _labels(found: Findings) -> list[Section]:
    if found.same is None and not found.outliers:
        return []
    mixed, words = [], _words(found)
    for each in found.mixtures[:MOST_SHOWN]:
        own = [row for row in _some_of(found, each.label, 1000) if row not in each.rows]
        items = [(found.source, row) for row in [*own[:8], *each.rows[:8]]]
        caption = (
            f"{printable(found.source.identities[each.label])}: {each.images - len(each.rows)} {words.many} and then "
            f"{len(each.rows)}; mean cosine {each.across:.2f} across, at least {each.inside:.2f} inside"
        )
        mixed.append(figure(items, caption, columns=max(1, len(own[:8]))))
    outlying = [
        figure(
            [(found.source, row) for row in [each.row, *_others(found, each.label, each.row)]],
            f"{printable(found.source.keys[each.row])} (the first)\nmean cosine {each.similarity:.2f}; "
            f"nearest {printable(found.source.identities[label])}, {cosine:.2f}",
            played=1,
        )
        for each, (label, cosine) in list(zip(found.outliers, found.nearest, strict=True))[:MOST_SHOWN]
    ]
    return [
        Section(
            title=f"Identities that look like several {words.people}: {len(found.mixtures):,}",
            figures=mixed,
            more=_rest(len(found.mixtures), MOST_SHOWN),
        ),
        Section(
            title=f"Outlying {words.many}: {len(found.outliers):,}",
            text=_OUTLYING[words.one],
            figures=outlying,
            more=_rest(len(found.outliers), MOST_SHOWN),
        ),
    ]


def _words(found: Findings) -> Words:
    return found.contents.look.words


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
