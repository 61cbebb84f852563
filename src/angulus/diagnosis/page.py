"""One page about a run: the recommendation on top, what was found, and pictures: angles, loss, rates, norms, gap."""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from angulus.diagnosis.examination import NOT_AS_WRITTEN
from angulus.diagnosis.findings import Diagnosis
from angulus.diagnosis.histograms import counts_of
from angulus.diagnosis.records import Record, Row
from angulus.diagnosis.wording import worded
from angulus.errors import AngulusError
from angulus.evaluation.report.plots import COLOURS, Line, line_plot, linear_axis, map_plot
from angulus.storage import in_words
from angulus.text_files import printable
from angulus.training.recording.counters import OTHER, OWN, Bins
from angulus.whole_files import reason_of, write_beside

Picture = dict[str, Any]


def write_page(path: Path, title: str, record: Record, found: Diagnosis) -> None:
    """Write the page, whole or not at all. Raises AngulusError where it cannot be written."""
    try:
        content = page_of(title, record, found)
    except NOT_AS_WRITTEN as error:
        sentence = f"{path} is not written: lines of the record are not as a run writes them ({error!r:.80})"
        raise AngulusError(sentence) from error
    try:
        write_beside(path, lambda partial: partial.write_text(printable(in_words(content)), encoding="utf-8"))
    except OSError as error:
        raise AngulusError(f"{path} cannot be written: {reason_of(error)}") from error


def page_of(title: str, record: Record, found: Diagnosis) -> str:
    """The page as text; nothing in it is loaded from elsewhere."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("angulus.diagnosis").joinpath("page.html.j2").read_text("utf-8"))
    return template.render(
        title=title, found=found, pictures=pictures_of(record), facts=facts_of(record), colours=range(COLOURS)
    )


def facts_of(record: Record) -> Mapping[str, str]:
    """What the run is, in a few lines."""
    train, held = record.start.get("train"), record.start.get("held_out")
    facts = {"loss": f"{record.setting('margin.name', '?')}, scale {record.setting('margin.scale', '?')}"}
    if train:
        facts["trained on"] = f"{train['people']:,} people with {train['images']:,} images"
        in_folds = record.setting("evaluation.hold_out") == "folds"
        nobody = "nobody; verified in folds, by networks that have not seen those they are verified on"
        facts["held out"] = (
            f"{held['people']:,} people with {held['images']:,} images" if held else nobody if in_folds else "nobody"
        )
    if record.stretches:
        last = record.stretches[-1]
        facts["came to"] = f"epoch {last['epoch']:g}, loss {last['loss']:.3f}, own cosine {last['own']:.2f}"
    return {name: worded(text, record) for name, text in facts.items()}


def pictures_of(record: Record) -> list[Picture]:
    """Those that the record has something for, each with a title, a drawing and a line below."""
    rows = record.stretches
    drawn = [
        angles(rows, "own", OWN, "Angle to the own class", "should fall towards 0 degrees; 90 is nothing in common"),
        angles(rows, "other", OTHER, "Angle to the nearest other class", "should stay clearly above the own angle"),
        curves("Loss", logged_lines(record), "each class's mean is in diagnosis.jsonl"),
        curves("Own and nearest cosine", cosine_lines(rows), "the gap between the two is what verification lives on"),
        curves(
            "Share of the softmax on the own class",
            [line_of("share", rows, "mass", 0)],
            "near 1 from the first epochs on, nothing more is learned: the scale is too large",
        ),
        curves("Equal error rate", gap_lines(record), "the distance of the two is the gap to people never seen"),
        curves("Length of an embedding", [line_of("mean length", rows, "length", 0)], ""),
        curves(
            "Length of the gradient",
            [part_line(rows, part, style) for style, part in enumerate(("first", "last", "backbone", "head"))],
            "before clipping, of the first weights, the last, the whole network and the head",
        ),
        curves("Learning rate", [line_of("rate", rows, "rate", 0)], ""),
    ]
    return [picture for picture in drawn if picture is not None]


def angles(rows: Sequence[Row], name: str, bins: Bins, title: str, caption: str) -> Picture | None:
    """Histograms of angles over the epochs, a column for each stretch."""
    kept = [row for row in rows if sum(counts_of(row, name))]
    if not kept:
        return None
    edges = [bins.low + (bins.high - bins.low) * k / bins.count for k in range(bins.count + 1)]
    degrees = [math.degrees(math.acos(min(1.0, max(-1.0, edge)))) for edge in edges]
    shares = np.array([[count / sum(counts_of(row, name)) for count in counts_of(row, name)] for row in kept])
    ends = [float(row["epoch"]) for row in kept]
    starts = [0.0, *ends[:-1]]
    x = linear_axis("epoch", starts[0], ends[-1], pad=False)
    y = linear_axis("degrees", 0.0, 180.0, pad=False)
    return {
        "title": title,
        "svg": map_plot(title, x, y, [*starts, ends[-1]], degrees, shares),
        "caption": caption,
        "names": [],
    }


def curves(title: str, lines: Sequence[Line | None], caption: str) -> Picture | None:
    kept = [line for line in lines if line is not None and len(line.x)]
    if not kept:
        return None
    names = [(line.style, line.name) for line in kept] if len(kept) > 1 else []
    return {
        "title": title,
        "svg": line_plot(title, kept, x_label="epoch", y_label=title),
        "caption": caption,
        "names": names,
    }


def line_of(name: str, rows: Sequence[Row], key: str, style: int) -> Line | None:
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    return Line(name=name, x=[x for x, _ in points], y=[y for _, y in points], style=style)


def part_line(rows: Sequence[Row], part: str, style: int) -> Line:
    kept = [row for row in rows if row.get("slopes")]
    return Line(name=part, x=[row["epoch"] for row in kept], y=[row["slopes"][part] for row in kept], style=style)


def logged_lines(record: Record) -> list[Line | None]:
    return [line_of("loss", record.logged, "loss", 0)]


def cosine_lines(rows: Sequence[Row]) -> list[Line | None]:
    probed = [{"epoch": row["epoch"], "other": row["probed"]["other"]} for row in rows if row.get("probed")]
    return [line_of("own class", rows, "own", 0), line_of("nearest other class", probed, "other", 1)]


def gap_lines(record: Record) -> list[Line | None]:
    return [
        line_of("people held out", record.judged, "held-out/eer", 0),
        line_of("people trained on", record.judged, "trained/eer", 1),
    ]
