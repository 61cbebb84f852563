"""The service does the same over every kind of gallery: enrol, find, list, remove."""

from contextlib import ExitStack

import pytest
from gallery_people import KEY, opened
from service_parts import Served, crop
from small_bundles import write_bundle

from angulus.gallery import Gallery, KeyedRotation
from angulus.gallery.gallery import ARTEFACT
from angulus.runtime import Recognizer
from angulus.serve.gallery_opening import open_roster
from angulus.serve.roster import Roster
from angulus.serve.settings import Settings

KINDS = ("float16", "int8", "encrypted", "faiss:Flat", "postgres", "postgres hnsw", "qdrant")


def served_over(roster, recognizer, folder):
    return Served(folder, recognizer=recognizer, gallery=roster, settings=Settings(workers=2, fpir=0.05))


@pytest.fixture(params=[*KINDS, "float16 turned", "postgres turned", "qdrant turned", "cut"])
def served(request, tmp_path):
    kind = request.param.removesuffix(" turned").replace("cut", "float16")
    recognizer = Recognizer(write_bundle(tmp_path / "bundle"))
    artefact = recognizer.bundle.artefact
    keep = artefact.dim - 2 if request.param == "cut" else None
    transform = KeyedRotation(KEY, artefact.dim, keep) if request.param.endswith(("turned", "cut")) else None
    with ExitStack() as stack:
        dim = artefact.dim if transform is None else transform.keep
        engine = stack.enter_context(opened(kind, tmp_path, dim))
        gallery = Gallery(engine, transform)
        gallery.set_facts({ARTEFACT: artefact.name})
        made = served_over(Roster(gallery), recognizer, tmp_path)
        stack.callback(made.service.close)
        yield made


def enrol(served, name, *photos, **words):
    files = [("photos", (f"{number}.png", photo)) for number, photo in enumerate(photos)]
    return served.ask("POST", "/v1/people", role="enrol", files=files, data={"name": name, "crops": "true", **words})


def search(served, photo):
    return served.ask("POST", "/v1/search", files={"photo": ("who.png", photo)}, data={"crops": "true"}).json()


@pytest.mark.grid
def test_whoever_is_enrolled_is_found_listed_and_removed(served):
    for number in range(12):
        assert enrol(served, f"P{number}", crop(number), crop(number, 1)).status_code == 201
    found = search(served, crop(5))
    assert (found["decision"], found["person"]) == ("person", "P5")
    assert found["candidates"][0]["photo_score"] == pytest.approx(1, abs=2e-3)
    assert (found["point"]["people"], found["point"]["photos"]) == (12, 24)

    listed, after = [], ""
    while after is not None:
        page = served.ask("GET", "/v1/people", role="enrol", params={"most": 5, "after": after}).json()
        listed, after = [*listed, *page["people"]], page.get("next")
        assert page["total"] == 12
    assert sorted(one["name"] for one in listed) == sorted(f"P{number}" for number in range(12))
    assert {one["photos"] for one in listed} == {2}

    twin = enrol(served, "Twin", crop(5)).json()
    assert [one["name"] for one in twin["lookalikes"]][:1] == ["P5"]
    assert twin["photos"][0]["same_as"] == ["P5"]
    assert enrol(served, "P5", crop(3)).status_code == 409
    assert served.ask("DELETE", "/v1/people/Twin", role="enrol").status_code == 200
    assert served.ask("DELETE", "/v1/people/P5", role="enrol").json()["photos"] == 2
    assert search(served, crop(5)).get("person") != "P5"
    assert served.ask("GET", "/v1/people", role="enrol").json()["total"] == 11


def test_places_of_galleries_that_the_service_is_started_with(tmp_path):
    recognizer = Recognizer(write_bundle(tmp_path / "bundle"))
    rotation = KeyedRotation(KEY, recognizer.bundle.artefact.dim)
    for place, options in ((tmp_path / "plain", {}), (tmp_path / "turned", {"transform": rotation})):
        for _ in range(2):  # made, and opened again
            roster = open_roster(place, recognizer.bundle, **options)
            assert roster.facts()[ARTEFACT] == recognizer.bundle.artefact.name
            roster.close()
