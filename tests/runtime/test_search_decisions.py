"""Searches answer with a person, with unknown, or that it cannot be told."""

import json
from dataclasses import dataclass

import pytest
from small_bundles import curves

from angulus.errors import BundleError
from angulus.runtime.identification import identify, search_point

SEARCHES = curves("0" * 64).searches


@dataclass(frozen=True)
class Hit:
    name: str
    score: float


HITS = [Hit("Ann", 0.71), Hit("Ben", 0.55), Hit("Cleo", 0.1)]


def test_the_threshold_is_that_of_the_gallery_and_moves_with_it():
    few, many = (search_point(SEARCHES, {1: people}, fpir=0.011) for people in (1, 10))
    assert few.threshold == pytest.approx(0.3)
    assert many.threshold == pytest.approx(0.4)
    assert many.fpir.estimate == pytest.approx(0.01)
    assert (many.people, many.photos) == (10, 10)


def test_a_person_and_a_stranger():
    point = search_point(SEARCHES, {1: 10}, fpir=0.011)
    found, unknown = identify(HITS, point), identify([Hit("Ann", 0.3)], point)
    assert (found.decision, found.person) == ("person", "Ann")
    assert [one.name for one in found.candidates] == ["Ann", "Ben"]
    assert (unknown.decision, unknown.person, unknown.candidates, unknown.score) == ("unknown", None, (), 0.3)
    assert json.loads(json.dumps(found.to_dict()))["fpir"]["estimate"] == pytest.approx(0.01)


def test_a_score_at_the_threshold_is_unknown():
    point = search_point(SEARCHES, {1: 10}, threshold=0.5)
    assert identify([Hit("Ann", 0.5)], point).decision == "unknown"
    assert point.wanted is None


@pytest.mark.parametrize(("searches", "said"), [(None, "no searches"), (SEARCHES, "FPIR must lie between")])
def test_what_the_calibration_cannot_tell_is_said(searches, said):
    found = identify(HITS, search_point(searches, {2: 1000}, fpir=1e-9))
    assert found.decision == "cannot tell"
    assert said in found.reason
    assert found.candidates == ()


def test_nobody_enrolled():
    assert identify([], search_point(SEARCHES, {}, fpir=0.01)).reason == "nobody is enrolled"


def test_one_of_both_is_asked_for():
    with pytest.raises(BundleError, match="one of them"):
        search_point(SEARCHES, {1: 1})
