"""Enrol, search, remove over HTTP: people, strangers, look-alikes, the log, the operator's choices."""

from urllib.parse import quote

import pytest
from service_parts import Served, crop, encoded, sentence_of
from small_bundles import write_bundle

from angulus.errors import GalleryError, ServiceError
from angulus.gallery import Gallery, open_engine, read_key
from angulus.runtime import Recognizer
from angulus.serve.gallery_opening import open_roster
from angulus.serve.settings import Settings

TRICKS = ["AC/DC", "../../etc/passwd", "a/photos/b", "%2e%2e", "?x#y", "Zoë Ünal", "; drop table people"]


def with_gallery(folder, *, settings=None, records=None):
    recognizer = Recognizer(write_bundle(folder / "bundle"))
    roster = open_roster(folder / "gallery", recognizer.bundle)
    return Served(folder, recognizer=recognizer, gallery=roster, settings=settings, records=records)


@pytest.fixture
def served(tmp_path):
    made = with_gallery(tmp_path, settings=Settings(workers=2, fpir=0.05))
    yield made
    made.service.close()


def enrol(served, name, *photos, role="enrol", **words):
    files = [("photos", (f"{number}.png", photo)) for number, photo in enumerate(photos)]
    return served.ask("POST", "/v1/people", role=role, files=files, data={"name": name, "crops": "true", **words})


def search(served, photo, **words):
    files = {"photo": ("who.png", photo)}
    return served.ask("POST", "/v1/search", files=files, data={"crops": "true", **words}).json()


def test_three_people_are_found_and_a_stranger_is_unknown(served):
    assert search(served, crop(1))["decision"] == "unknown"
    for person, name in enumerate(("Ann", "Ben", "Cleo"), 1):
        made = enrol(served, name, crop(person), crop(person, 1))
        assert made.status_code == 201
        assert (made.json()["people"], len(made.json()["photos"])) == (person, 2)
        assert made.json()["lowest_score"] > 0.5
    found = search(served, crop(2))
    assert (found["decision"], found["person"]) == ("person", "Ben")
    best = found["candidates"][0]
    assert best["photo_score"] == pytest.approx(1, abs=1e-3)
    assert best["photo"] in [
        photo["id"] for photo in served.ask("GET", "/v1/people/Ben", role="enrol").json()["photos"]
    ]
    assert found["point"]["people"] == 3
    assert found["point"]["photos"] == 6
    assert found["point"]["fpir"]["estimate"] <= 0.05
    stranger = next(one for one in (search(served, crop(number)) for number in range(20, 60)) if one["score"] < 0.3)
    assert (stranger["decision"], stranger["candidates"], "person" in stranger) == ("unknown", [], False)


def test_what_is_noticed_at_enrolment(served):
    enrol(served, "Ann", crop(1), crop(1, 1))
    again = enrol(served, "Ann", crop(1))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "name_taken")
    twin = enrol(served, "Anna", crop(1), refuse_lookalikes="true")
    assert (twin.status_code, twin.json()["error"]["code"]) == (409, "look_alike")
    twin = enrol(served, "Anna", crop(1), crop(7)).json()
    assert [one["name"] for one in twin["lookalikes"]] == ["Ann"]
    assert twin["photos"][0]["same_as"] == ["Ann"]
    more = enrol(served, "Ann", crop(1), crop(1, 2), encoded([[[5] * 3] * 16] * 16), add="true").json()
    assert ["id" in photo for photo in more["photos"]] == [False, True, True]
    assert enrol(served, "Nobody", crop(1), add="true").status_code == 404
    assert enrol(served, "", crop(1)).status_code == 422
    assert "a name must have" in sentence_of(enrol(served, "x" * 300, crop(1)))
    assert "more than dots" in sentence_of(enrol(served, "..", crop(1)))
    assert enrol(served, "Dan", b"no image").status_code == 422
    assert enrol(served, "Dan", crop(3), role="read").status_code == 403


@pytest.mark.parametrize("name", TRICKS)
def test_names_are_data(served, name):
    assert enrol(served, name, crop(1), crop(1, 1)).status_code == 201
    path = f"/v1/people/{quote(name, safe='')}"
    person = served.ask("GET", path, role="enrol").json()
    assert person["name"] == name
    gone = served.ask("DELETE", f"{path}/photos/{person['photos'][0]['id']}", role="enrol").json()
    assert (gone["photos"], gone["person_removed"]) == (1, False)
    assert served.ask("DELETE", path, role="enrol").json()["name"] == name
    assert served.ask("GET", path, role="enrol").status_code == 404


def test_a_person_is_removed_from_gallery_and_log(served):
    enrol(served, "Ann", crop(1))
    enrol(served, "Ben", crop(2))
    search(served, crop(1))
    search(served, crop(2))
    ident = served.ask("GET", "/v1/people/Ann", role="enrol").json()["person"]
    assert served.ask("DELETE", "/v1/people/Ann", role="read").status_code == 403
    assert served.ask("DELETE", "/v1/people/Ann", role="enrol").status_code == 200
    assert search(served, crop(1))["decision"] == "unknown"
    for path in (served.folder / "state").rglob("*"):
        if path.is_file() and path.name != ".lock":
            assert b"Ann" not in path.read_bytes()
            assert ident.encode() not in path.read_bytes()
    rows = served.ask("GET", "/v1/audit", role="admin").json()["lines"]
    assert [row.get("operation") for row in rows] == ["search", "remove", "search", None, "enrol", None]
    assert rows[2]["people"][0]["name"] == "Ben"
    assert served.ask("DELETE", "/v1/people/Ann", role="enrol").status_code == 404


def test_a_removal_that_ended_half_way_is_brought_to_its_end(tmp_path):
    served = with_gallery(tmp_path, records={"keep_crops": True})
    enrol(served, "Zo\u00eb", crop(1))
    enrol(served, "Ann", crop(2))
    (photo,) = served.ask("GET", "/v1/people/Ann", role="enrol").json()["photos"]
    served.service.gallery.drop("Zo\u00eb")  # as by the command line, or a service that was killed in between
    log, crops = tmp_path / "state" / "audit.jsonl", tmp_path / "state" / "crops"
    assert b"Zo" in log.read_bytes()
    done = served.ask("DELETE", "/v1/people/" + quote("Zoe\u0308"), role="enrol")
    assert (done.status_code, done.json()["photos"], done.json()["person_removed"]) == (200, 0, True)
    assert b"Zo" not in log.read_bytes()
    assert [path.stem for path in crops.glob("*.png")] == [photo["id"]]
    assert served.ask("DELETE", "/v1/people/Zo\u00eb", role="enrol").status_code == 404
    served.service.close()


def test_who_is_removed_during_a_search_is_in_no_line(served, monkeypatch):
    enrol(served, "Ann", crop(1))
    roster = served.service.gallery
    search_first = roster.search

    def searched(vector, most):
        found = search_first(vector, most)
        assert served.ask("DELETE", "/v1/people/Ann", role="enrol").status_code == 200
        return found

    monkeypatch.setattr(roster, "search", searched)
    assert search(served, crop(1))["decision"] in ("person", "unknown")
    assert b"Ann" not in (served.folder / "state" / "audit.jsonl").read_bytes()


def test_a_removal_on_a_full_disk_can_be_asked_for_again(served, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    enrol(served, "Ann", crop(1))
    monkeypatch.setattr("angulus.serve.records.audit_log.write_lines", full)
    refused = served.ask("DELETE", "/v1/people/Ann", role="enrol")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_written")
    assert "the disk is full" in sentence_of(refused)
    monkeypatch.undo()
    assert served.ask("DELETE", "/v1/people/Ann", role="enrol").status_code == 200
    assert b"Ann" not in (served.folder / "state" / "audit.jsonl").read_bytes()
    assert enrol(served, "Ann", crop(1)).status_code == 201


def test_who_cannot_be_written_down_is_not_enrolled(served, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    enrol(served, "Ben", crop(2))
    for name, photo, words in (("Ann", crop(1), {}), ("Ben", crop(2, 1), {"add": "true"})):
        monkeypatch.setattr("angulus.serve.records.lines.os.write", full)
        refused = enrol(served, name, photo, **words)
        monkeypatch.undo()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_written")
    assert served.ask("GET", "/v1/people/Ann", role="enrol").status_code == 404
    assert len(served.ask("GET", "/v1/people/Ben", role="enrol").json()["photos"]) == 1
    assert search(served, crop(1))["point"]["photos"] == 1
    assert enrol(served, "Ann", crop(1)).json()["people"] == 2
    assert enrol(served, "Ben", crop(2, 1), add="true").status_code == 201


def test_a_gallery_that_is_gone_is_no_fault_of_who_asks(served, monkeypatch):
    monkeypatch.setattr("angulus.serve.roster.RETRY", 0.0)
    enrol(served, "Ann", crop(1))
    assert served.ask("GET", "/v1/health", role=None).json()["status"] == "ready"
    (served.folder / "gallery").rename(served.folder / "moved")
    health = served.ask("GET", "/v1/health", role=None)
    assert (health.status_code, health.json()["status"]) == (503, "no gallery")
    files = {"photo": ("who.png", crop(1))}
    for refused in (
        enrol(served, "Ben", crop(2)),
        served.ask("POST", "/v1/search", files=files, data={"crops": "true"}),
        served.ask("DELETE", "/v1/people/Ann", role="enrol"),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "gallery")
        assert str(served.folder) not in refused.text
    (served.folder / "moved").rename(served.folder / "gallery")
    assert served.ask("GET", "/v1/health", role=None).status_code == 200


def test_the_last_photo_takes_the_person_along(served):
    enrol(served, "Ann", crop(1))
    (photo,) = served.ask("GET", "/v1/people/Ann", role="enrol").json()["photos"]
    assert served.ask("DELETE", "/v1/people/Ann/photos/0000", role="enrol").status_code == 404
    assert served.ask("DELETE", f"/v1/people/Ann/photos/{photo['id']}", role="enrol").json()["person_removed"] is True
    assert served.ask("GET", "/v1/people", role="enrol").json()["total"] == 0
    assert served.service.gallery.size() == {}


def test_people_are_listed_in_pages(served):
    for number in range(5):
        enrol(served, f"P{number}", crop(number))
    first = served.ask("GET", "/v1/people?most=3", role="enrol").json()
    assert ([one["name"] for one in first["people"]], first["next"]) == (["P0", "P1", "P2"], "3")
    rest = served.ask("GET", f"/v1/people?most=3&after={first['next']}", role="enrol").json()
    assert ([one["name"] for one in rest["people"]], "next" in rest, rest["total"]) == (["P3", "P4"], False, 5)
    assert served.ask("GET", "/v1/people?most=0", role="enrol").status_code == 422
    refused = served.ask("GET", "/v1/people?after=P2", role="enrol")
    assert (refused.status_code, "after must be empty" in refused.text) == (422, True)
    assert served.ask("GET", "/v1/people", role="read").status_code == 403


def test_the_threshold_moves_with_the_gallery_and_what_cannot_be_told_is_said(served):
    enrol(served, "P0", crop(0))
    few = served.ask("GET", "/v1/operating-point").json()["search"]
    for number in range(1, 12):
        enrol(served, f"P{number}", crop(number))
    many = served.ask("GET", "/v1/operating-point").json()["search"]
    assert many["threshold"] > few["threshold"]
    strict = {"use": "search", "rate": 1e-8, "by": "B.", "reason": "safe"}
    refused = served.ask("PUT", "/v1/operating-point", role="admin", json=strict)
    assert refused.status_code == 422
    assert "FPIR must lie between" in sentence_of(refused)
    served.service.settings.__dict__["fpir"] = 1e-8
    unresolved = search(served, crop(1))
    assert (unresolved["decision"], unresolved["candidates"]) == ("cannot tell", [])
    assert "FPIR must lie between" in unresolved["reason"]


def test_the_operators_choice_holds_and_is_written_down(served):
    before = served.ask("GET", "/v1/operating-point").json()["verify"]
    assert (before["threshold"], before["source"]) == (0.5, "calibration")
    said = {"use": "verify", "threshold": 0.999999, "by": "B. Officer", "reason": "nobody may pass"}
    assert served.ask("PUT", "/v1/operating-point", role="enrol", json=said).status_code == 403
    points = served.ask("PUT", "/v1/operating-point", role="admin", json=said).json()
    assert points["verify"]["source"] == "chosen by hand"
    assert [(one["by"], one["key"], one["holds"]) for one in points["choices"]] == [("B. Officer", "a-admin", True)]
    assert served.verify(crop(1), crop(1, 1)).json()["decision"] == "different"
    rate = {"use": "verify", "rate": 0.01, "by": "C.", "reason": "again"}
    points = served.ask("PUT", "/v1/operating-point", role="admin", json=rate).json()
    assert points["verify"]["source"] == "wanted FAR"
    assert [one["holds"] for one in points["choices"]] == [True, False]
    for wrong in ({"rate": 1e-9}, {}, {"rate": 0.1, "threshold": 0.1}, {"threshold": "x"}):
        body = {"use": "verify", "by": "C.", "reason": "r", **wrong}
        assert served.ask("PUT", "/v1/operating-point", role="admin", json=body).status_code == 422
    kinds = [row["operation"] for row in served.ask("GET", "/v1/audit", role="admin").json()["lines"]]
    assert kinds.count("choose") == 2


def test_the_calibration_for_the_page(served):
    enrol(served, "Ann", crop(1))
    found = served.ask("GET", "/v1/calibration").json()
    assert (found["people"], found["smallest_far"]) == (1, pytest.approx(1 / 300_000))
    assert len(found["fpir"]["estimate"]) == len(found["search_thresholds"])
    many = served.ask("GET", "/v1/calibration?people=1000").json()
    assert many["fpir"]["estimate"][2] > found["fpir"]["estimate"][2]
    assert served.ask("GET", "/v1/calibration?people=x").status_code == 422


def test_crops_are_kept_only_where_that_was_asked_for(tmp_path, served):
    enrol(served, "Ann", crop(1))
    assert search(served, crop(1))["candidates"][0]["crop"] is False
    other = with_gallery(tmp_path / "other", records={"keep_crops": True})
    enrol(other, "Ann", crop(1))
    enrol(other, "Ben", crop(2))
    best = search(other, crop(1))["candidates"][0]
    picture = other.ask("GET", f"/v1/people/Ann/photos/{best['photo']}/crop")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert other.ask("GET", f"/v1/people/Ben/photos/{best['photo']}/crop").status_code == 404
    assert other.ask("GET", "/v1/people/Ann/photos/..%2F..%2Fkeys/crop").status_code == 404
    other.ask("DELETE", "/v1/people/Ann", role="enrol")
    (kept,) = (tmp_path / "other" / "state" / "crops").iterdir()
    (kept.parent / f"{'0' * 32}.png").write_bytes(b"left by a service that was killed")
    other.ledger.crops.keep_only(other.service.gallery.photo_ids)
    assert list(kept.parent.iterdir()) == [kept]
    other.service.close()


def test_a_gallery_of_another_artefact_is_refused(tmp_path, served):
    served.service.close()
    other = Recognizer(write_bundle(tmp_path / "other.bundle", seed=1))
    with pytest.raises(ServiceError, match="vectors of another artefact"):
        open_roster(tmp_path / "gallery", other.bundle)


def test_what_another_process_enrols_is_counted(tmp_path, served, monkeypatch):
    monkeypatch.setattr("angulus.serve.roster.RECOUNT", 0.0)
    enrol(served, "Ann", crop(1))
    vector = served.service.recognizer.take_crops([crop(9)])[0].face.vector
    with Gallery(open_engine(tmp_path / "gallery")) as other:
        other.add("Zoe", vector[None])
    assert served.service.gallery.size() == {1: 2}
    assert search(served, crop(9))["person"] == "Zoe"


def test_an_encrypted_gallery(tmp_path):
    pytest.importorskip("cryptography")
    bundle = Recognizer(write_bundle(tmp_path / "bundle")).bundle
    (tmp_path / "key").write_text("5a" * 32)
    roster = open_roster(tmp_path / "gallery", bundle, key=read_key(tmp_path / "key"))
    other = Served(tmp_path, bundle=tmp_path / "bundle", gallery=roster, settings=Settings(workers=1, fpir=0.05))
    enrol(other, "Annabelle", crop(1))
    assert search(other, crop(1))["person"] == "Annabelle"
    other.service.close()
    assert all(b"Annabelle" not in path.read_bytes() for path in (tmp_path / "gallery").rglob("*") if path.is_file())
    with pytest.raises(GalleryError):
        open_roster(tmp_path / "gallery", bundle)
    again = open_roster(tmp_path / "gallery", bundle, key=read_key(tmp_path / "key"))
    assert again.people == 1
    again.close()
