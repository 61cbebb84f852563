"""A page that a person can read, print and pass on: every figure of a verification in one self-contained HTML file.

Pictures are inline SVG, photos inline PNG; nothing is loaded from elsewhere and no plotting library is needed.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.protocols.step_figures import STEP_COLUMNS
from angulus.evaluation.protocols.verification import VerificationResult
from angulus.evaluation.rates.identification import Identification, RankPoint
from angulus.evaluation.rates.ranking import TIE_RULE
from angulus.evaluation.rates.roc import OperatingPoint
from angulus.evaluation.report.deployment import deployment_note, deployment_rows, few_people, strictest_point
from angulus.evaluation.report.glossary import fitting
from angulus.evaluation.report.plots import COLOURS, Line, cmc_plot, det_plot, histogram_plot, line_plot, roc_plot
from angulus.evaluation.report.png import png_address
from angulus.evaluation.report.recommendation import Recommendation, of_calibration, recommended, recommended_for_search
from angulus.evaluation.report.retrievals import Retrieval
from angulus.evaluation.report.sounds import playable, sound_address
from angulus.evaluation.uncertainty.breakdown import Breakdown
from angulus.evaluation.uncertainty.calibration import CalibratedThreshold
from angulus.evaluation.uncertainty.comparison import Comparison
from angulus.evaluation.uncertainty.search_intervals import SearchConfidence
from angulus.plain_numbers import one_in, percent, plain, span
from angulus.speech.pictures import picture_of
from angulus.storage import in_words
from angulus.text_files import printable
from angulus.whole_files import reason_of, remedy_of, write_beside

logger = logging.getLogger(__name__)

_PROTOCOL_TEXT = {
    "plain": "cosine of the embeddings; with folds, the threshold is chosen on all folds but one and tried on it.",
    "mean-centred": "plain and mirrored embedding side by side, the training folds' mean subtracted, cosine; 20,001"
    " thresholds from -1 to 1, chosen on nine folds and tried on the tenth (SphereFace's protocol).",
    "insightface": "plain and mirrored embedding added, then normalised; squared distance, thresholds from 0 to 4 by"
    " 0.01, chosen on nine folds and tried on the tenth.",
}

_GLOSSARY_PLACE = "<!-- glossary -->"
_GLOSSARY = """{% if words %}
<h2>How to read this page</h2>
<dl>
{% for term, text in words %}
<dt>{{ term }}</dt><dd>{{ text }}</dd>
{% endfor %}
</dl>
{% endif %}"""


@dataclass(frozen=True, kw_only=True, eq=False)
class PairImages:
    """Two photos side by side with a line below; each uint8 [h, w, 3] RGB or [h, w] grey.

    left_sound, right_sound: of recordings, whose spectrograms are shown, files that a browser plays.
    """

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    caption: str = ""
    left_sound: bytes | None = None
    right_sound: bytes | None = None


def shown_pair(left: NDArray[Any], right: NDArray[Any], caption: str, *, rate: int) -> PairImages:
    """Two examples as a page shows them: images as they are, recordings as spectrograms that can be played.

    rate: samples a second of recordings.
    """
    sides = [(picture_of(side, rate=rate), playable(side, rate=rate)) for side in (left, right)]
    return PairImages(
        left=sides[0][0], right=sides[1][0], caption=caption, left_sound=sides[0][1], right_sound=sides[1][1]
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """A titled set of pairs, such as the hardest genuine ones, with a sentence on what they show."""

    title: str
    pairs: Sequence[PairImages]
    text: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """A search with the CMC at many ranks, and its intervals where there are some."""

    result: Identification
    curve: Sequence[RankPoint] = ()
    confidence: SearchConfidence | None = None
    notes: Sequence[str] = ()

    @property
    def advice(self) -> Recommendation:
        """The threshold to use for this search."""
        return recommended_for_search(self.result, self.confidence, self.notes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sections:
    """What a page shows beside verifications: searches, retrievals, groups, calibrated thresholds, tests."""

    searches: Sequence[Search] = ()
    retrievals: Sequence[Retrieval] = ()
    breakdowns: Sequence[Breakdown] = ()
    calibrated: Sequence[CalibratedThreshold] = ()
    comparisons: Sequence[Comparison] = ()


def write_report(
    path: str | Path,
    title: str,
    results: Sequence[VerificationResult],
    *,
    galleries: Sequence[Gallery] = (),
    notes: Sequence[str] = (),
    curves: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    facts: Mapping[str, str] | None = None,
    sections: Sections | None = None,
) -> Path:
    """Write one HTML page about verifications, searches or calibrated thresholds; returns its path.

    galleries: photos of pairs to look at. notes: sentences shown under the title. curves: per run its rows of numbers
    with "step" and "loss", as training writes them; rows without both are passed over. facts: name and value of what
    was tested (model, data, date), shown as a table. sections: what else is shown.
    """
    shown = sections or Sections()
    if not (results or curves or shown.searches or shown.retrievals or shown.calibrated):
        raise EvaluationError("a report needs at least one result, got none")
    path = Path(path)
    page = render_report(
        title, results, galleries=galleries, notes=notes, curves=curves, facts=facts, sections=sections
    )
    try:
        write_beside(path, lambda partial: partial.write_text(printable(in_words(page)), encoding="utf-8"))
    except OSError as error:
        raise EvaluationError(
            f"the report {path} could not be written: {reason_of(error)}; {remedy_of(error)}"
        ) from error
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
    sections: Sections | None = None,
) -> str:
    """The page of `write_report` as text."""
    from jinja2 import Environment, StrictUndefined  # here, so that evaluation itself needs numpy alone

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["sound"] = sound_address
    environment.filters["percent"] = percent
    environment.filters["png"] = png_address
    environment.filters["span"] = span
    environment.filters["plain"] = plain
    environment.filters["one_in"] = one_in
    drawn = [result for result in results if len(result.roc)]
    told = [*notes, *(note for result in results for note in result.notes)]
    shown = sections or Sections()
    curves_of_searches = [(search.result.name or "search", search.curve) for search in shown.searches if search.curve]
    template = environment.from_string(files("angulus.evaluation.report").joinpath("page.html.j2").read_text("utf-8"))
    page = template.render(
        title=title,
        results=[_shown(result, index) for index, result in enumerate(results)],
        deployed=_deployed(results, shown.calibrated),
        calibrated=[(found, of_calibration(found, told)) for found in shown.calibrated],
        roc=roc_plot(drawn) if drawn else "",
        det=det_plot(drawn) if drawn else "",
        loss=_loss_plot(curves or {}),
        runs=[(name, index % COLOURS) for index, name in enumerate(curves or {})],
        galleries=galleries,
        notes=notes,
        facts=facts or {},
        step_columns=STEP_COLUMNS,
        ties=TIE_RULE,
        sections=shown,
        cmc=cmc_plot(curves_of_searches) if curves_of_searches else "",
        retrieval_cmc=cmc_plot([(one.name, one.curve) for one in shown.retrievals]) if shown.retrievals else "",
    )
    protocols = {result.protocol: _PROTOCOL_TEXT[result.protocol] for result in results}
    words = environment.from_string(_GLOSSARY).render(words=fitting(page, protocols.items()))
    return page.replace(_GLOSSARY_PLACE, words)


def _shown(result: VerificationResult, index: int) -> dict[str, Any]:
    return {
        "name": result.name or f"result {index + 1}",
        "style": index % COLOURS,
        "figures": result,
        "histogram": _histogram(result) if len(result.histogram.edges) else "",
        "middle": _middle_point(result),
    }


def _histogram(result: VerificationResult) -> str:
    return histogram_plot(result.histogram, _thresholds(result), scores=result.scores)


def _deployed(
    results: Sequence[VerificationResult], calibrated: Sequence[CalibratedThreshold] = ()
) -> list[dict[str, Any]]:
    """What the first block shows: all pairs, where a page has such results, since a list holds fewer impostors."""
    chosen = [(index, result) for index, result in enumerate(results) if result.compared == "all pairs"]
    return [
        {
            **{"name": result.name or f"result {index + 1}", "style": index % COLOURS, "figures": result},
            **{"rows": deployment_rows(result), "few": few_people(result)},
            **{"advice": recommended(result, calibrated), "note": "" if calibrated else deployment_note(result)},
        }
        for index, result in chosen or list(enumerate(results))
    ]


def _thresholds(result: VerificationResult) -> list[tuple[float, str]]:
    point = _middle_point(result)
    marks = [(result.eer.threshold, f"EER {percent(result.eer.rate)}")]
    return marks if point is None else [*marks, (point.threshold, f"FAR {plain(point.target or 0.0)}")]


def _middle_point(result: VerificationResult) -> OperatingPoint | None:
    """The smallest FAR asked for that the set resolves, by its intervals where there are some: the one to quote."""
    if result.confidence is not None and result.confidence.points:
        return strictest_point(result)
    resolved = [point for point in result.points if point.resolved]
    return resolved[-1] if resolved else None


def _loss_plot(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = []
    for index, (name, rows) in enumerate(curves.items()):
        rows = [row for row in rows if row.get("step") is not None and row.get("loss") is not None]
        stride = max(1, len(rows) // 400)
        x, y = ([float(row[key]) for row in rows[::stride]] for key in ("step", "loss"))
        lines.append(Line(name=name, x=x, y=y, style=index))
    return line_plot("Training loss", lines, x_label="step", y_label="loss") if any(line.x for line in lines) else ""
