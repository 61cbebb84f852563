"""The HTML page: self-contained, well-formed, and showing the figures it was given."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.protocols.verification import verify
from angulus.evaluation.rates.retrieval import retrieve
from angulus.evaluation.report.page import Gallery, PairImages, Sections, render_report, write_report
from angulus.evaluation.report.plots import Line, det_plot, histogram_plot, line_plot, linear_axis, roc_plot
from angulus.evaluation.report.png import encode_png
from angulus.evaluation.report.retrievals import Retrieval
from angulus.evaluation.scores.pairs import draw_pairs
from angulus.evaluation.scores.search_tasks import MSMT17

VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Checks that every tag is closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def results():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 6)
    found = EmbeddingSet(embeddings=random.normal(size=(30, 8))[labels] + random.normal(size=(180, 8)), labels=labels)
    return [
        verify(found, draw_pairs(labels, per_fold=20), name="drawn <pairs>", fars=(0.1, 1e-3)),
        verify(found, name="all pairs"),
    ]


def photo(seed, grey=False):
    shape = (20, 16) if grey else (20, 16, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_page_holds_everything_and_loads_nothing(tmp_path, results):
    gallery = Gallery(
        title="Hard ones", text="Look.", pairs=[PairImages(left=photo(0), right=photo(1), caption="0.5 <a>")]
    )
    path = write_report(
        tmp_path / "out" / "report.html",
        "Test & report",
        results,
        galleries=[gallery],
        notes=["A note."],
        curves={"run": [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "tar": 0.5}]},
        facts={"model": "tiny"},
    )
    page = path.read_text()
    checker = Balance()
    checker.feed(page)
    assert checker.open == []
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|@import|<script", page)
    for text in ("Test &amp; report", "drawn &lt;pairs&gt;", "Hard ones", "A note.", "Training loss", "0.5 &lt;a&gt;"):
        assert text in page
    assert f"{results[0].accuracy.mean:.2%}" in page
    assert "too few impostor pairs for this FAR" in page
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_drawings_are_wellformed_and_free_of_nan(results):
    curve = Line(name="a & b", x=[0, 1, 2], y=[1, float("nan"), 3], style=0)
    drawings = [
        roc_plot(results),
        det_plot(results),
        histogram_plot(results[0].histogram, [(0.2, "EER <1%")]),
        line_plot("loss", [curve], x_label="step", y_label="loss"),
        line_plot("empty", [], x_label="step", y_label="loss"),
    ]
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "nan" not in drawing
        assert "inf" not in drawing


@pytest.mark.parametrize(
    ("genuine", "impostor"), [((1, 0.01), (0, 0.01)), ((0, 0.5), (0, 0.5)), ((0, 0.01), (1, 0.01)), ((1, 0), (1, 0))]
)
def test_perfect_useless_and_constant_scores_can_be_drawn(genuine, impostor):
    random = np.random.default_rng(0)
    labels = np.array([0, 0, 1, 1, 2, 2])
    angle = np.where(np.arange(6) % 2, genuine[0], impostor[0]) + random.normal(size=6) * genuine[1]
    found = EmbeddingSet(embeddings=np.stack([np.cos(angle), np.sin(angle)], axis=1), labels=labels)
    page = render_report("edge", [verify(found)])
    assert "nan" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.37, 1.02), (0, 0.083), (0.984, 1.0), (3, 3), (0, 12_000)])
def test_ticks_are_few_round_and_distinct(low, high):
    for pad in (True, False):
        ticks = linear_axis("x", low, high, pad=pad).ticks
        assert 3 <= len(ticks) <= 10
        assert len({text for _, text in ticks}) == len(ticks)
        for value, text in ticks:
            assert float(text.replace(",", "")) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("grey", [False, True])
def test_png_is_read_back_the_same(grey):
    image = photo(3, grey)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(image)))), image)


def test_bad_images_and_empty_reports(tmp_path, results):
    with pytest.raises(EvaluationError, match=r"uint8 \[h, w\] or \[h, w, 3\], got float64"):
        encode_png(np.zeros((4, 4)))
    with pytest.raises(EvaluationError, match="at least one result"):
        write_report(tmp_path / "report.html", "none", [])
    gallery = Gallery(title="bad", pairs=[PairImages(left=np.zeros((4, 4, 4), np.uint8), right=photo(0))])
    with pytest.raises(EvaluationError, match="images must be uint8"):
        write_report(tmp_path / "report.html", "bad", results, galleries=[gallery])
    assert list(tmp_path.iterdir()) == []


def test_images_in_the_page_are_real_pngs(results):
    page = render_report(
        "one", results[:1], galleries=[Gallery(title="g", pairs=[PairImages(left=photo(5), right=photo(6))])]
    )
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(sources[1])))), photo(6))


def test_a_retrieval_has_its_ranks_map_and_curve():
    random = np.random.default_rng(0)
    labels, cameras = np.repeat(np.arange(6), 4), np.tile([0, 0, 1, 2], 6)
    found = EmbeddingSet(
        embeddings=random.normal(size=(6, 4))[labels] + random.normal(size=(24, 4)),
        labels=labels,
        columns={"camera": cameras},
    )
    result = retrieve(found, rule=MSMT17)
    sections = Sections(retrievals=[Retrieval(name="passers <by>", result=result)])
    page = render_report("searched", [], sections=sections)
    Balance().feed(page)
    text = re.sub(r"<[^>]+>", " ", page)
    for rate in (result.recall(1), result.recall(5), result.mean_average_precision, result.mean_inverse_penalty):
        assert f"{100 * rate:.2f}%" in text
    assert "passers &lt;by&gt;" in page
    assert "own camera took of its person counts neither for nor against it" in text
    assert "CMC of the queries" in text
    for term in ("Mean average precision", "how many one must look through"):
        assert term in text
    assert "Search in a gallery" not in text
