"""The page of an audit of labels: one HTML file with the photos that matter, a threshold to move and actions to choose.

Nothing is loaded from elsewhere. The page counts anew and shades the photos as the reader moves the angle, and saves
the list with the actions as the reader left them. It holds photos of people and belongs into no repository.
"""

import base64
import json
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.data import Source
from angulus.data.examples import noun_of
from angulus.data.parts import rate_of
from angulus.purification.evidence import Evidence
from angulus.purification.findings import Findings, ImageFinding
from angulus.purification.rules import Verdict
from angulus.speech.pictures import picture_of
from angulus.training.storage.atomic_files import write_text

SIDE = 72  # pixels of a photo on the page
KEPT = 4  # photos of the right people beside a suspicious one
LOWEST = -60  # degrees; the combined rule goes below zero
NAMES = 200  # rows of the table of identities


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What the page shows. made_for: digest of the set, for the saved list.  shown: suspicious images with photos."""

    title: str
    source: Source
    findings: Findings
    verdict: Verdict
    evidence: Evidence
    figures: dict[str, Any]
    made_for: str
    shown: int


def write_page(path: Path, page: Page) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render(page))


def render(page: Page) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("angulus.purification").joinpath("audit.html.j2").read_text("utf-8"))
    kept = kept_rows(page)
    shown = page.findings.images[: page.shown]
    return template.render(
        title=page.title,
        noun=noun_of(page.source),
        figures=page.figures,
        angle=slider_value(page.findings.angle),
        lowest=LOWEST,
        shown=[card(page, number, found, kept) for number, found in enumerate(shown)],
        splits=[split_card(page, found, kept) for found in page.findings.splits[: page.shown]],
        merges=[merge_card(page, found, kept) for found in page.findings.merges[: page.shown]],
        names=identities_table(page),
        data=safe_json(data_of(page)),
    )


def slider_value(angle: float) -> int:
    """The angle as the slider has it: whole degrees within its ends."""
    return int(np.clip(round(angle), LOWEST, 180))


def kept_rows(page: Page) -> dict[str, list[int]]:
    """For each name the images that are surely right, the least suspicious first."""
    order = np.argsort(page.verdict.suspicion, kind="stable")
    wanted = {found.identity for found in page.findings.images[: page.shown]}
    wanted |= {found.other for found in page.findings.images[: page.shown]}
    wanted |= {name for found in page.findings.splits for name in (found.identity,)}
    wanted |= {name for found in page.findings.merges for name in (found.identity, found.other)}
    found: dict[str, list[int]] = defaultdict(list)
    for row in order.tolist():
        name = page.source.identities[int(page.source.labels[row])]
        if name in wanted and len(found[name]) < KEPT:
            found[name].append(row)
    return found


def card(page: Page, number: int, found: ImageFinding, kept: dict[str, list[int]]) -> dict[str, Any]:
    others = [row for row in kept.get(found.identity, []) if row != found.row]
    return {
        "number": number,
        "found": found,
        "photo": photo(page.source, found.row),
        "kept": [photo(page.source, row) for row in others],
        "others": [photo(page.source, row) for row in kept.get(found.other, [])[:2]] if found.other else [],
    }


def split_card(page: Page, found: Any, kept: dict[str, list[int]]) -> dict[str, Any]:
    second = [photo(page.source, row) for row in found.rows[: 2 * KEPT]]
    inside = set(found.rows)
    first = [photo(page.source, row) for row in kept.get(found.identity, []) if row not in inside]
    return {"found": found, "first": first, "second": second}


def merge_card(page: Page, found: Any, kept: dict[str, list[int]]) -> dict[str, Any]:
    photos = [[photo(page.source, row) for row in kept.get(name, [])] for name in (found.identity, found.other)]
    return {"found": found, "first": photos[0], "second": photos[1]}


def identities_table(page: Page) -> list[dict[str, Any]]:
    """Names with the most images that go; the others are in the JSON's list alone."""
    labels = np.asarray(page.source.labels)
    images = np.bincount(labels, minlength=len(page.source.identities))
    gone = np.bincount(labels[page.verdict.dropped], minlength=len(page.source.identities))
    order = np.lexsort((images, -gone / np.maximum(images, 1), -gone))[:NAMES]
    return [
        {"name": page.source.identities[label], "label": label, "images": int(images[label]), "gone": int(gone[label])}
        for label in order.tolist()
        if gone[label]
    ]


def data_of(page: Page) -> dict[str, Any]:
    """What the script of the page works on: images by degree, in all and by name, and the lines of the list."""
    suspicion = np.clip(page.verdict.suspicion, LOWEST, 180)
    labels = np.asarray(page.source.labels)
    return {
        "madeFor": page.made_for,
        "lowest": LOWEST,
        "histogram": by_degree(suspicion).tolist(),
        "names": {str(row["label"]): sparse(suspicion[labels == row["label"]]) for row in identities_table(page)},
        "images": [
            [one.key, one.identity, one.proposal, one.to, round(one.suspicion, 1), one.reason, round(one.confidence, 3)]
            for one in page.findings.images
        ],
        "merges": [[one.other, one.identity, round(one.angle, 1)] for one in page.findings.merges],
    }


def by_degree(suspicion: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many images lie in each degree from the lowest to 180."""
    return np.bincount(np.floor(suspicion - LOWEST).astype(np.int64), minlength=181 - LOWEST)


def sparse(suspicion: NDArray[np.float64]) -> list[list[int]]:
    """(degree, images) for degrees with images."""
    counts = by_degree(suspicion)
    return [[int(place) + LOWEST, int(counts[place])] for place in np.flatnonzero(counts)]


def photo(source: Source, row: int) -> str:
    """An image as a small JPEG inside the page."""
    image = Image.fromarray(picture_of(source.read(row), rate=rate_of(source)))
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    file = BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def safe_json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever the names of the images are."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=True)
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escape)
    return Markup(text)
