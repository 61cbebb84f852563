"""Curves and histograms as inline SVG text: what a report draws, without any plotting library.

Colours, fonts and line styles are classes (`line-0`, `axis`, ...) that the report's style sheet defines.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from angulus.evaluation.protocols.verification import VerificationResult
from angulus.evaluation.rates.identification import RankPoint
from angulus.evaluation.rates.roc import ScoreHistogram

COLOURS = 8
_WIDTH, _HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 14, 52
_SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: its label, range, labelled ticks and the function that makes it linear (identity, log, probit)."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    transform: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Place of a value along the axis: 0 at the low end, 1 at the high end, values outside moved to the ends."""
        low, high = self.transform(self.low), self.transform(self.high)
        return (self.transform(min(max(value, self.low), self.high)) - low) / (high - low)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A named curve: x and y of the same length; `style` picks the colour, `marks` are points drawn as circles."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: int
    marks: tuple[tuple[float, float], ...] = ()


def roc_plot(results: Sequence[VerificationResult]) -> str:
    """TAR over FAR, FAR on a logarithmic axis down to the smallest one asked for that the impostor pairs resolve."""
    low = min(_smallest_far(result) for result in results)
    lines, lowest = [], 1.0
    for index, result in enumerate(results):
        far, tar = _upper_edge(result)
        lowest = min(lowest, float(tar.min()))
        marks = tuple(
            (point.far, point.tar) for point in result.points if point.target and point.target >= _smallest_far(result)
        )
        lines.append(Line(name=_name(result, index), x=far.tolist(), y=tar.tolist(), style=index, marks=marks))
    x = _log_axis("FAR (FMR): share of impostor pairs accepted", low, 1.0)
    y = linear_axis("TAR (TMR): share of genuine pairs accepted", lowest, 1.0, percent=True)
    return draw("ROC curve", x, y, lines)


def det_plot(results: Sequence[VerificationResult]) -> str:
    """FRR over FAR, both on normal-deviate axes, where normally distributed scores give a straight line."""
    low = min(_smallest_far(result) for result in results)
    edges = [_upper_edge(result) for result in results]
    rates = [result.eer.rate for result in results]
    x = _deviate_axis("FAR (FMR)", low, max(0.4, *rates))
    seen = np.concatenate([1 - tar[(tar < 1) & (far <= x.high)] for far, tar in edges])
    y = _deviate_axis("FRR (FNMR)", float(seen.min(initial=0.01)), max(float(seen.max(initial=0.01)), *rates))
    lines = []
    for index, (result, (far, tar)) in enumerate(zip(results, edges, strict=True)):
        shown = (far <= x.high) & (tar <= 1 - y.low)
        marks = ((result.eer.rate, result.eer.rate),) if min(x.low, y.low) <= result.eer.rate else ()
        frr = (1 - tar[shown]).tolist()
        lines.append(Line(name=_name(result, index), x=far[shown].tolist(), y=frr, style=index, marks=marks))
    return draw("DET curve", x, y, lines)


def histogram_plot(
    histogram: ScoreHistogram, thresholds: Sequence[tuple[float, str]] = (), *, scores: str = "cosine"
) -> str:
    """Share of each kind of pairs in each bin, with named thresholds as vertical lines."""
    shares = [counts / counts.sum() for counts in (histogram.impostor, histogram.genuine)]
    low, high = float(histogram.edges[0]), float(histogram.edges[-1])
    x = linear_axis(f"score ({scores})" if len(scores) < 20 else "score", low, high, pad=False)
    y = linear_axis("share of pairs", 0.0, float(max(share.max() for share in shares)), percent=True)
    steps = [
        _step_area(x, y, histogram.edges, share, style)
        for share, style in zip(shares, ("impostor", "genuine"), strict=True)
    ]
    dashes, texts = [], []
    for index, (value, name) in enumerate(thresholds):
        at = _x(x, value)
        top = _TOP + 12 + 15 * index
        side, shift = ("end", -5) if x.share(value) > 0.75 else ("start", 5)
        dashes.append(f'<line class="threshold" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        texts.append(
            f'<text class="tick halo" x="{at + shift:.1f}" y="{top}" text-anchor="{side}">{escape(name)}</text>'
        )
    return _frame("Score histogram", x, y, [*steps, *dashes, *texts])


def cmc_plot(curves: Sequence[tuple[str, Sequence[RankPoint]]]) -> str:
    """Share of known probes whose mate is among the first k, over k on a logarithmic axis."""
    most = max(point.rank for _, points in curves for point in points)
    lowest = min(point.rate for _, points in curves for point in points)
    ticks = tuple((float(k), f"{k:,}") for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= most)
    x = Axis(label="rank k", low=1.0, high=float(max(most, 2)), ticks=ticks, transform=math.log10)
    y = linear_axis("CMC: mate among the first k", lowest, 1.0, percent=True)
    lines = [
        Line(name=name, x=[point.rank for point in points], y=[point.rate for point in points], style=index)
        for index, (name, points) in enumerate(curves)
    ]
    return draw("CMC curve", x, y, lines)


def line_plot(title: str, lines: Sequence[Line], *, x_label: str, y_label: str) -> str:
    """Plain curves on linear axes, such as a loss over the steps."""
    finite = [(x, y) for line in lines for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    xs, ys = zip(*finite, strict=True) if finite else ((0.0, 1.0), (0.0, 1.0))
    x = linear_axis(x_label, min(xs), max(xs), pad=False)
    y = linear_axis(y_label, min(0.0, *ys), max(ys))
    return draw(title, x, y, lines)


def draw(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """Axes and curves."""
    return _frame(title, x, y, [_polyline(x, y, line) for line in lines])


def map_plot(
    title: str, x: Axis, y: Axis, x_edges: Sequence[float], y_edges: Sequence[float], shares: NDArray[np.float64]
) -> str:
    """Shares [columns, rows] as rectangles between the edges, the darker the larger: histograms side by side."""
    most = float(shares.max(initial=0.0)) or 1.0
    cells = [
        _cell(x, y, (x_edges[column], x_edges[column + 1]), (y_edges[row], y_edges[row + 1]), float(share) / most)
        for (column, row), share in np.ndenumerate(shares)
        if share > 0
    ]
    return _frame(title, x, y, [f'<g class="map">{"".join(cells)}</g>'])


def linear_axis(label: str, low: float, high: float, *, percent: bool = False, pad: bool = True) -> Axis:
    """About seven round ticks; with `pad` the range grows to the outer ticks."""
    if high <= low:
        high = low + 1.0
    step = _round_step((high - low) / 7)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step * (100 if percent else 1)) + 1e-9))
    values = [round(index * step, 12) for index in range(first, last + 1)]
    if pad:
        low, high = values[0], values[-1]
    ticks = tuple(
        (value, f"{value:.{digits}%}" if percent else f"{value:,.{digits}f}")
        for value in values
        if low <= value <= high
    )
    return Axis(label=label, low=low, high=high, ticks=ticks)


def _log_axis(label: str, low: float, high: float) -> Axis:
    first = math.floor(math.log10(low) + 1e-9)
    last = max(math.ceil(math.log10(high) - 1e-9), first + 1)
    ticks = tuple((10.0**power, _power(power)) for power in range(first, last + 1))
    return Axis(label=label, low=10.0**first, high=10.0**last, ticks=ticks, transform=math.log10)


def _deviate_axis(label: str, low: float, high: float) -> Axis:
    low = max((share for share in _SHARES if share <= low), default=_SHARES[0])
    high = min((share for share in _SHARES if share >= high and share > low), default=_SHARES[-1])
    axis = Axis(label=label, low=low, high=high, ticks=(), transform=NormalDist().inv_cdf)
    kept: list[float] = []
    for share in (share for share in _SHARES if low <= share <= high):
        if not kept or axis.share(share) - axis.share(kept[-1]) > 0.12:  # closer labels would overlap
            kept.append(share)
    return replace(axis, ticks=tuple((share, f"{share * 100:g}%") for share in kept))


def _smallest_far(result: VerificationResult) -> float:
    """The smallest FAR asked for that is resolved; without any, what one impostor pair makes."""
    resolved = [point.target for point in result.points if point.resolved and point.target]
    return min(resolved) if resolved else min(1 / result.impostors, 0.5)


def _upper_edge(result: VerificationResult) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FAR from the smallest resolved to 1, and the largest TAR at each, so that no line hangs from the first point."""
    low = min(_smallest_far(result), *(point.far for point in result.points if point.resolved), 1.0)
    far, tar = result.roc.far, result.roc.tar
    last = np.append(far[1:] > far[:-1], True) & (far >= low) & (far > 0)
    return far[last], tar[last]


def _power(power: int) -> str:
    return f"{10.0**power:g}" if power >= -3 else f"1e{power}"


def _round_step(step: float) -> float:
    scale = 10.0 ** math.floor(math.log10(step))
    return scale * next(nice for nice in (1, 2, 5, 10) if nice >= step / scale - 1e-9)


def _name(result: VerificationResult, index: int) -> str:
    return result.name or f"result {index + 1}"


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def _polyline(x: Axis, y: Axis, line: Line) -> str:
    points = [
        f"{_x(x, a):.1f},{_y(y, b):.1f}"
        for a, b in zip(line.x, line.y, strict=True)
        if math.isfinite(a) and math.isfinite(b)
    ]
    circles = "".join(f'<circle cx="{_x(x, a):.1f}" cy="{_y(y, b):.1f}" r="3.2"/>' for a, b in line.marks)
    shown = " ".join(dict.fromkeys(points))
    return (
        f'<g class="line-{line.style % COLOURS}"><title>{escape(line.name)}</title>'
        f'<polyline points="{shown}"/>{circles}</g>'
    )


def _cell(x: Axis, y: Axis, across: tuple[float, float], along: tuple[float, float], share: float) -> str:
    left, right = (_x(x, value) for value in across)
    high, low = sorted(_y(y, value) for value in along)
    return (
        f'<rect x="{left:.1f}" y="{high:.1f}" width="{right - left + 0.3:.1f}" height="{low - high + 0.3:.1f}" '
        f'fill-opacity="{share**0.6:.2f}"/>'
    )


def _step_area(x: Axis, y: Axis, edges: NDArray[np.float64], shares: NDArray[np.float64], style: str) -> str:
    base = f"{_y(y, 0):.1f}"
    tops = " ".join(
        f"L{_x(x, float(edges[index])):.1f},{_y(y, float(share)):.1f} H{_x(x, float(edges[index + 1])):.1f}"
        for index, share in enumerate(shares)
    )
    return f'<path class="area {style}" d="M{_x(x, float(edges[0])):.1f},{base} {tops} V{base} Z"/>'


def _frame(title: str, x: Axis, y: Axis, content: Sequence[str]) -> str:
    """The picture with grid, ticks and axis labels around its content."""
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value, text in x.ticks:
        at = _x(x, value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{floor}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{floor + 18}" text-anchor="middle">{text}</text>')
    for value, text in y.ticks:
        at = _y(y, value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + floor) / 2
    labels = [
        f'<text class="label" x="{middle_x}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(x.label)}</text>',
        f'<text class="label" transform="translate(15 {middle_y}) rotate(-90)" text-anchor="middle">'
        f"{escape(y.label)}</text>",
    ]
    axes = f'<path class="axis" d="M{_LEFT},{_TOP} V{floor} H{right}"/>'
    body = "".join([*parts, *content, axes, *labels])
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{body}</svg>'
