"""A study as a picture: one panel for each figure, a dot for each seed, a bar for the mean (SVG, no library)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_ROW = 26
_PANEL_WIDTH = 240
_GAP = 36
_TOP = 84
_BOTTOM = 34
_PER_LINE = 3
_LONGEST_NAME = 48
_CHARACTER = 6.6  # width of a character at this size, on the safe side


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One figure. values: by row, one for each finished seed."""

    title: str
    values: Mapping[str, Sequence[float]]


def draw(title: str, rows: Sequence[str], panels: Sequence[Panel]) -> str:
    """The picture as SVG: rows below each other, panels beside each other, three in a line."""
    across = max(1, min(_PER_LINE, len(panels)))
    lines = max(1, math.ceil(len(panels) / _PER_LINE))
    line_height = _TOP - 40 + _ROW * len(rows) + _BOTTOM
    margin = 24 + _CHARACTER * max((len(short(row)) for row in rows), default=0)
    width = margin + across * (_PANEL_WIDTH + _GAP)
    height = 40 + lines * line_height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height}" viewBox="0 0 {width:g} {height}"'
        ' font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width:g}" height="{height}" fill="white"/>',
        f'<text x="12" y="26" font-size="16">{escape(title)}</text>',
    ]
    for index, panel in enumerate(panels):
        left = margin + (index % _PER_LINE) * (_PANEL_WIDTH + _GAP)
        top = _TOP + (index // _PER_LINE) * line_height
        if index % _PER_LINE == 0:
            parts += names(rows, margin - 12, top)
        parts += panel_marks(panel, rows, left, top)
    return "\n".join([*parts, "</svg>"]) + "\n"


def short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 2]}.."


def names(rows: Sequence[str], right: float, top: float) -> list[str]:
    """The names of the rows, cut where they are very long, with the whole name as a tooltip."""
    lines = []
    for index, row in enumerate(rows):
        place = f'x="{right:g}" y="{top + _ROW * (index + 0.5) + 4:g}" text-anchor="end"'
        lines.append(f"<text {place}>{escape(short(row))}<title>{escape(row)}</title></text>")
    return lines


def panel_marks(panel: Panel, rows: Sequence[str], left: float, top: float) -> list[str]:
    """Title, axis with a few round numbers, and the marks of every row."""
    low, high = bounds([value for values in panel.values.values() for value in values])
    bottom = top + _ROW * len(rows)

    def x(value: float) -> float:
        return left + _PANEL_WIDTH * (value - low) / (high - low)

    parts = [f'<text x="{left:g}" y="{top - 12:g}" font-weight="bold">{escape(panel.title)}</text>']
    for tick in ticks(low, high):
        parts.append(f'<line x1="{x(tick):.1f}" y1="{top:g}" x2="{x(tick):.1f}" y2="{bottom:g}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 16:g}" text-anchor="middle" fill="#666">{tick:.6g}</text>')
    for index, row in enumerate(rows):
        y = top + _ROW * (index + 0.5)
        values = panel.values.get(row, ())
        for value in values:
            parts.append(f'<circle cx="{x(value):.1f}" cy="{y:g}" r="4" fill="#1f6fb2" fill-opacity="0.55"/>')
        if values:
            mean = x(sum(values) / len(values))
            ends = f'x1="{mean:.1f}" y1="{y - 9:g}" x2="{mean:.1f}" y2="{y + 9:g}"'
            parts.append(f'<line {ends} stroke="#b2341f" stroke-width="2.5"/>')
    return parts


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that leave some room around the values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 0.5
    return low - room, high + room


def ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers between the ends of an axis."""
    power = 10.0 ** math.floor(math.log10(high - low))
    step = next(size * power for size in (0.2, 0.25, 0.5, 1, 2, 5) if (high - low) / (size * power) <= 5)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]
