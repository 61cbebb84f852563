"""One self-contained page: sections of text, bars, tables and pictures, nothing loaded from elsewhere.

Pictures and sounds are data inside the page, so that whoever holds the page holds photos of people, or their voices.
"""

import base64
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.data.examples import Source
from angulus.data.parts import rate_of
from angulus.data.picture_grid import montage
from angulus.errors import DataError
from angulus.evaluation.report.sounds import playable, sound_address
from angulus.speech.pictures import picture_of
from angulus.storage import in_words, publish

SHOWN_SIDE = 88
_QUALITY = 85
_PLAYED_SECONDS = 2.0
_FEW_VALUES = 6


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: what it counts, how many, and their share of the longest (0 to 1)."""

    label: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture as a data address ("" where it cannot be read), with a line below; sounds: addresses of WAV data."""

    picture: str
    caption: str
    sounds: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one heading holds; rows: of a table under `head`, texts or numbers."""

    title: str
    text: str = ""
    bars: Mapping[str, Sequence[Bar]] = field(default_factory=dict)
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figures: Sequence[Figure] = ()
    more: str = ""


def render_page(
    title: str, notes: Sequence[str], facts: Mapping[str, str], sections: Sequence[Section], *, footer: str
) -> str:
    """The page as text. footer: what whoever holds it must know."""
    from jinja2 import Environment, StrictUndefined  # here, so that looking at a set needs no template library

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("angulus.inspection").joinpath("page.html.j2").read_text("utf-8"))
    return template.render(title=title, notes=notes, facts=facts, sections=sections, footer=footer)


def write_whole(path: Path, content: str) -> None:
    """Write a text, whole or not at all. Raises DataError where the file cannot be written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(in_words(content).encode("utf-8", "surrogateescape"))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    publish(path)


def printable(text: str) -> str:
    """A name of a file that may hold bytes which are no UTF-8, as text that can stand in a page and in JSON."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def pictures(items: Sequence[tuple[Source, int]], *, columns: int = 8) -> str:
    """Images of sources side by side as one JPEG data address; unreadable ones are left out, "" without any."""
    shown = [picture for picture in (_thumbnail(source, index) for source, index in items) if picture is not None]
    if not shown:
        return ""
    content = BytesIO()
    Image.fromarray(montage(shown, min(columns, len(shown)))).save(content, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def figure(items: Sequence[tuple[Source, int]], caption: str, *, columns: int = 8, played: int = 0) -> Figure:
    """Examples side by side; the first `played` of them can be heard where they are recordings."""
    sounds = [_sound(source, index) for source, index in items[:played]]
    kept = [sound for sound in sounds if sound]
    return Figure(picture=pictures(items, columns=columns), caption=caption, sounds=kept)


def counted(values: NDArray[np.number], edges: Sequence[float], label: Callable[[float, float], str]) -> list[Bar]:
    """A histogram: bars of the values from one edge up to the next, the last edge included."""
    counts, _ = np.histogram(values, np.asarray(edges, dtype=np.float64))
    most = max(int(counts.max(initial=0)), 1)
    return [
        Bar(label=label(low, high), count=int(count), share=float(count) / most)
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def ranged(values: NDArray[np.number], bars: int, digits: int = 0) -> list[Bar]:
    """Each value that there is where they are few, as it is shown; else equal steps from the smallest to the largest.

    digits: behind the point; more where two edges would look alike.
    """
    if not len(values):
        return []
    shown, counts = np.unique(np.round(values.astype(np.float64), digits), return_counts=True)
    if len(shown) <= _FEW_VALUES:
        return [
            Bar(label=f"{value:,.{digits}f}", count=int(count), share=float(count / counts.max()))
            for value, count in zip(shown.tolist(), counts, strict=True)
        ]
    low, high = float(values.min()), float(values.max())
    digits = max(digits, math.ceil(-math.log10((high - low) / bars)))
    edges = np.linspace(low, high, bars + 1).tolist()
    return counted(values, edges, lambda one, other: f"{one:,.{digits}f} to {other:,.{digits}f}")


def _sound(source: Source, index: int) -> str:
    try:
        example = source.read(index)
    except DataError:
        return ""
    if example.ndim != 1:
        return ""
    rate = rate_of(source)
    file = playable(example[: int(_PLAYED_SECONDS * rate)], rate=rate)
    return "" if file is None else sound_address(file)


def _thumbnail(source: Source, index: int) -> NDArray[np.uint8] | None:
    try:
        picture = Image.fromarray(picture_of(source.read(index), rate=rate_of(source)))
    except DataError:
        return None
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)
