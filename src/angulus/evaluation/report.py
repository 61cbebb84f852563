"""A page that a person can read, print and pass on: every figure of a verification in one self-contained HTML file.

Pictures are inline SVG, photos inline PNG; nothing is loaded from elsewhere and no plotting library is needed.
"""

import base64
import logging
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.evaluate import VerificationResult
from angulus.evaluation.plots import COLOURS, Line, det_plot, histogram_plot, line_plot, roc_plot
from angulus.evaluation.roc import OperatingPoint

logger = logging.getLogger(__name__)

_PROTOCOL_TEXT = {
    "plain": "cosine of the embeddings; with folds, the threshold is chosen on all folds but one and tried on it.",
    "mean-centred": "plain and mirrored embedding side by side, the training folds' mean subtracted, cosine; 20,001"
    " thresholds from -1 to 1, chosen on nine folds and tried on the tenth (SphereFace's protocol).",
    "insightface": "plain and mirrored embedding added, then normalised; squared distance, thresholds from 0 to 4 by"
    " 0.01, chosen on nine folds and tried on the tenth.",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class PairImages:
    """Two photos side by side with a line below; each uint8 [h, w, 3] RGB or [h, w] grey."""

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    caption: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """A titled set of pairs, such as the hardest genuine ones, with a sentence on what they show."""

    title: str
    pairs: Sequence[PairImages]
    text: str = ""


def write_report(
    path: str | Path,
    title: str,
    results: Sequence[VerificationResult],
    *,
    galleries: Sequence[Gallery] = (),
    notes: Sequence[str] = (),
    curves: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write one HTML page about one or several verifications; returns its path.

    galleries: photos of pairs to look at. notes: sentences shown under the title. curves: per run its rows of numbers
    with "step" and "loss", as training writes them; rows without both are passed over. facts: name and value of what
    was tested (model, data, date), shown as a table.
    """
    if not results:
        raise EvaluationError("a report needs at least one result, got none")
    path = Path(path)
    page = render_report(title, results, galleries=galleries, notes=notes, curves=curves, facts=facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    logger.info("wrote the report %s", path)
    return path


def render_report(
    title: str,
    results: Sequence[VerificationResult],
    *,
    galleries: Sequence[Gallery] = (),
    notes: Sequence[str] = (),
    curves: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page of `write_report` as text."""
    from jinja2 import Environment, StrictUndefined  # here, so that evaluation itself needs numpy alone

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = _percent
    environment.filters["png"] = _png_address
    template = environment.from_string(files("angulus.evaluation").joinpath("report.html.j2").read_text("utf-8"))
    return template.render(
        title=title,
        results=[_shown(result, index) for index, result in enumerate(results)],
        roc=roc_plot(results),
        det=det_plot(results),
        loss=_loss_plot(curves or {}),
        runs=[(name, index % COLOURS) for index, name in enumerate(curves or {})],
        protocols={result.protocol: _PROTOCOL_TEXT[result.protocol] for result in results},
        galleries=galleries,
        notes=notes,
        facts=facts or {},
    )


def _shown(result: VerificationResult, index: int) -> dict[str, Any]:
    return {
        "name": result.name or f"result {index + 1}",
        "style": index % COLOURS,
        "figures": result,
        "histogram": histogram_plot(result.histogram, _thresholds(result)),
        "middle": _middle_point(result.points),
    }


def _thresholds(result: VerificationResult) -> list[tuple[float, str]]:
    point = _middle_point(result.points)
    marks = [(result.eer.threshold, f"EER {_percent(result.eer.rate)}")]
    return marks if point is None else [*marks, (point.threshold, f"FAR {point.target:g}")]


def _middle_point(points: Sequence[OperatingPoint]) -> OperatingPoint | None:
    """The smallest FAR asked for that the number of impostor pairs resolves: the one to quote."""
    resolved = [point for point in points if point.resolved]
    return resolved[-1] if resolved else None


def _loss_plot(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = []
    for index, (name, rows) in enumerate(curves.items()):
        rows = [row for row in rows if row.get("step") is not None and row.get("loss") is not None]
        stride = max(1, len(rows) // 400)
        x, y = ([float(row[key]) for row in rows[::stride]] for key in ("step", "loss"))
        lines.append(Line(name=name, x=x, y=y, style=index))
    return line_plot("Training loss", lines, x_label="step", y_label="loss") if any(line.x for line in lines) else ""


def _percent(rate: float) -> str:
    """Two digits after the point; more near 0 and 100 %, so that a rare error is not rounded away."""
    tail = min(rate, 1 - rate)
    return f"{rate:.2%}" if tail >= 1e-4 or tail == 0 else f"{rate:.4%}"


def _png_address(image: NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG file of an image uint8 [h, w] or [h, w, 3]."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise EvaluationError(f"images must be uint8 [h, w] or [h, w, 3], got {image.dtype} {list(image.shape)}")
    height, width = image.shape[:2]
    rows = image.reshape(height, -1)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # filter type 0 before each row
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if image.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
