"""A page recommends one threshold in plain words, and explains only the words that stand on it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from angulus.embeddings import EmbeddingSet
from angulus.evaluation.protocols.verification import verify
from angulus.evaluation.rates.identification import rate_search
from angulus.evaluation.report.glossary import fitting
from angulus.evaluation.report.page import Search, Sections, render_report
from angulus.evaluation.report.recommendation import (
    of_calibration,
    recommended,
    recommended_for_search,
    recommended_point,
)
from angulus.evaluation.scores.search import search_gallery
from angulus.evaluation.scores.subjects import SubjectScores
from angulus.evaluation.uncertainty.calibration import calibrate_threshold
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.search_intervals import search_confidence


def people(count: int, images: int = 6, noise: float = 0.9, dim: int = 16) -> EmbeddingSet:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(count), images)
    vectors = random.normal(size=(count, dim))[labels] + noise * random.normal(size=(len(labels), dim))
    return EmbeddingSet(embeddings=vectors.astype(np.float32), labels=labels)


@pytest.fixture(scope="module")
def result():
    return verify(people(60), intervals=True, fars=(0.1, 0.01, 1e-3, 1e-6))


def test_the_smallest_usual_far_that_the_counts_resolve_is_recommended(result):
    point = recommended_point(result)
    assert point is not None
    sure = [at for at in result.confidence.points if at.resolved and at.target in (0.01, 1e-3)]
    assert point.target == min(at.target for at in sure if at.far.high <= 10 * at.far.low)
    said = recommended(result)
    assert said.threshold == point.threshold
    assert re.fullmatch(
        r'Say "same person" above 0\.\d{3}: about 1 in [\d,]+ pairs of strangers passes \([\d.]+ to [\d.]+ on other '
        r"people of the same kind\), \d+ of 10+ pairs of one person do( \(\d+ to \d+\))?\.",
        said.sentence,
    )


def test_far_10_percent_is_never_recommended():
    few = verify(people(4, 3), intervals=True)
    assert recommended_point(few) is None
    said = recommended(few)
    assert said.threshold is None
    assert "No threshold can be recommended" in said.sentence
    assert "Measure more people" in said.sentence
    only = verify(people(60), fars=(0.1, 0.5))
    assert recommended(only).threshold is None


def test_without_intervals_it_says_that_it_does_not_know():
    said = recommended(verify(people(60)))
    assert said.threshold is not None
    assert "How sure this is was not computed" in said.sentence


def test_the_calibrated_threshold_comes_first(result):
    random = np.random.default_rng(1)
    rows = np.arange(4000) % 60
    other = (rows + 1 + random.integers(0, 58, 4000)) % 60
    same = np.arange(4000) % 4 == 0
    scores = np.where(same, 0.7, 0.1) + 0.15 * random.normal(size=4000)
    found = calibrate_threshold(
        SubjectScores.of_pairs(scores.astype(np.float32), same, rows, np.where(same, rows, other)), 0.01
    )
    said = recommended(result, [found])
    assert said == of_calibration(found)
    assert said.threshold == found.threshold
    assert "people who had no part in the choice" in said.sentence
    page = render_report("x", [result], sections=Sections(calibrated=[found]))
    assert f"above {found.threshold:.3f}" in page
    alone = render_report("x", [], sections=Sections(calibrated=[found]))
    assert f"above {found.threshold:.3f}" in alone
    assert "e-0" not in re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page + alone, flags=re.DOTALL)


def test_a_calibration_that_was_off_says_what_was_counted_and_not_what_was_asked_for():
    def between(low: float, estimate: float, high: float) -> Interval:
        return Interval(estimate=estimate, low=low, high=high, level=0.95, method="by hand")

    rows = np.arange(4000) % 60
    same = np.arange(4000) % 4 == 0
    scores = np.where(same, 0.7, 0.1) + 0.15 * np.random.default_rng(1).normal(size=4000)
    pairs = SubjectScores.of_pairs(scores.astype(np.float32), same, rows, np.where(same, rows, (rows + 7) % 60))
    found = replace(calibrate_threshold(pairs, 0.01), target=1e-4)
    off = of_calibration(replace(found, achieved=between(4.1e-5, 5.5e-5, 7.4e-5))).sentence
    assert "about 0.6 in 10,000 pairs of strangers passes (0.4 to 0.7 on other" in off
    right = of_calibration(replace(found, achieved=between(4.1e-5, 5.5e-5, 1.4e-4))).sentence
    assert "about 1 in 10,000 pairs of strangers passes (0.4 to 1.4 on other" in right
    high = of_calibration(replace(found, achieved=between(9e-5, 1.8e-4, 4e-4))).sentence
    assert "about 1.8 in 10,000 pairs of strangers passes (0.9 to 4.0 on other" in high
    none = of_calibration(replace(found, achieved=between(0, 0, 3e-5))).sentence
    assert "about none in 10,000 pairs of strangers passes (0.0 to 0.3 on other" in none


@pytest.mark.parametrize(
    ("low", "estimate", "high"), [(0.0425, 0.375, 0.8902), (0, 0, 0.08), (0.003, 0.02, 0.05), (0.001, 0.1, 0.95)]
)
def test_a_calibration_that_was_off_by_nobody_knows_how_much_recommends_no_threshold(low, estimate, high):
    rows = np.arange(4000) % 60
    same = np.arange(4000) % 4 == 0
    scores = np.where(same, 0.7, 0.1) + 0.15 * np.random.default_rng(1).normal(size=4000)
    pairs = SubjectScores.of_pairs(scores.astype(np.float32), same, rows, np.where(same, rows, (rows + 7) % 60))
    achieved = Interval(estimate=estimate, low=low, high=high, level=0.95, method="by hand")
    found = replace(calibrate_threshold(pairs, 0.01), achieved=achieved)
    said = of_calibration(found)
    assert said.threshold is None
    assert f"{estimate:.2%} of the pairs of strangers passed among 30 other people" in said.sentence
    nobody = replace(found, tar=Interval(estimate=0.0, low=0.0, high=0.3, level=0.95, method="by hand"))
    assert of_calibration(nobody).sentence.endswith("for FAR 0.01, no pair of one person passes.")


def test_the_page_shows_the_one_threshold_and_its_row(result):
    page = render_report("x", [result])
    point = recommended_point(result)
    assert f"above {point.threshold:.3f}" in page
    assert page.count('<tr class="advised">') == 1
    assert "yes; recommended" in page


def test_notes_of_a_result_stand_on_its_page(result):
    assert "Something is odd." in render_report("x", [replace(result, notes=("something is odd",))])


def terms(page: str) -> set[str]:
    return set(re.findall(r"<dt>(.*?)</dt>", page))


def test_the_glossary_has_the_words_of_its_page_and_no_others(result):
    plain = terms(render_report("x", [result]))
    assert {"FAR (FMR)", "TAR (TMR)", "EER", "AUC", "Protocol plain", "Mean over people"} <= plain
    assert not plain & {"CMC", "FPIR, TPIR", "p-value", "minDCF", "min Cllr"}
    costs = verify(people(20), costs=True)
    assert {"minDCF", "min Cllr"} <= terms(render_report("x", [costs]))
    assert fitting("<style>.FAR {}</style><p>Nothing at all</p>") == []


@pytest.mark.parametrize("count", [2, 3, 4])
def test_so_few_people_get_no_interval_and_no_threshold_however_many_their_photos_are(count):
    found = verify(people(count, images=120, noise=2.0), intervals=True, fars=(0.1, 0.01))
    assert found.confidence is not None
    assert found.confidence.people == count
    assert not found.confidence.says_something
    assert found.confidence.lines() == [f"no intervals: {count} people are too few to be drawn anew; it takes 5"]
    assert recommended(found).threshold is None
    page = render_report("few people", [found])
    assert f"No intervals: {count} people are too few" in page
    assert "intervals, made by drawing" not in page
    assert verify(people(5, images=20), intervals=True).confidence.says_something


def searched(known, unknown, fpirs=(0.1, 0.01, 1e-3)):
    """A search for the second images of `known` people and for `unknown` strangers."""
    one = people(known + unknown, 2, noise=0.5)
    vectors, labels = np.asarray(one.embeddings), np.asarray(one.labels)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    enrolled = (np.arange(len(labels)) % 2 == 0) & (labels < known)
    probes = np.arange(len(labels)) % 2 == 1
    found = search_gallery(
        vectors[probes], vectors[enrolled], probe_labels=labels[probes], gallery_labels=labels[enrolled]
    )
    sure = search_confidence(found, labels[probes], fpirs)
    return rate_search(found, labels[enrolled], fpirs=fpirs, ranks=(1,)), sure


def test_a_search_recommends_the_smallest_usual_fpir_that_its_strangers_resolve():
    result, sure = searched(100, 3000)
    point = next(point for point in result.points if point.target == 0.01)  # 3 of 3,000 are too few to tell
    for said in (recommended_for_search(result, sure), recommended_for_search(result)):
        assert (said.threshold, said.target_far) == (point.threshold, 0.01)
        assert re.fullmatch(
            r"Name somebody above 0\.\d{3}: about 1 in 100 strangers is taken for somebody( \([\d.]+ to [\d.]+ on "
            r"other people of the same kind\))?, \d+ of 10+ people who are enrolled are found( \(\d+ to \d+\))?\. "
            r"This holds for a gallery of 100 entries: a larger one takes more strangers for somebody\.",
            said.sentence,
        )
    page = render_report("Search", [], sections=Sections(searches=[Search(result=result, confidence=sure)]))
    assert recommended_for_search(result, sure).sentence in page


def test_fpir_10_percent_is_never_recommended_for_a_search():
    result, sure = searched(20, 60)
    said = recommended_for_search(result, sure)
    assert said.threshold is None
    assert "60 searches of strangers are too few to tell" in said.sentence
    loose = recommended_for_search(searched(100, 3000, fpirs=(0.1,))[0])
    assert loose.threshold is None
    assert loose.sentence.endswith("no FPIR from 0.001 to 0.01 was asked for; add --fpir 0.01.")
