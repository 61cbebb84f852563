"""`angulus gallery`: people enrolled from crops, found, unknown, shown, removed, renamed; keys and wrong places."""

import hashlib
import json
import re
import sqlite3

import pytest
from faces_drawn import face
from PIL import Image
from small_bundles import SIDE, write_bundle

from angulus.cli import main
from angulus.gallery import Gallery, open_engine


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for person in (1, 2, 3, 4):
        (tmp_path / "people" / f"P{person}").mkdir(parents=True)
        for number in (0, 1):
            picture = Image.fromarray(face(person, number, side=SIDE))
            picture.save(tmp_path / f"{person}{number}.png")
            if person < 4:
                picture.save(tmp_path / "people" / f"P{person}" / f"{number}.png")
    (tmp_path / "people" / "P4").rmdir()
    write_bundle(tmp_path / "b")
    (tmp_path / "key").write_text("ab" * 32)
    (tmp_path / "other").write_text("cd" * 32)
    return tmp_path


def said(capsys, *words):
    status = main(["gallery", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def made(capsys, *more):
    assert said(capsys, "create", "g", "--bundle", "b", "--fpir", "0.1", *more)[0] == 0
    status, out, err = said(capsys, "add", "g", "--people", "people", "--bundle", "b", "--crops", *more)
    assert (status, err) == (0, "")
    return out


def test_people_are_enrolled_found_unknown_and_removed(capsys, home):
    assert "3 of 3 people enrolled" in made(capsys)
    status, out, _ = said(capsys, "search", "g", "10.png", "--bundle", "b", "--crops", "--json", "a.json")
    assert status == 0
    assert re.search(r"gallery of 3 people: threshold 0\.\d+; 1 in", out)
    assert "10.png: P1   score" in out
    assert json.loads((home / "a.json").read_text())["answers"][0]["person"] == "P1"
    status, out, _ = said(capsys, "search", "g", "40.png", "--bundle", "b", "--crops", "--threshold", "0.99")
    assert status == 1
    assert "40.png: UNKNOWN   best score" in out
    assert "P1 is removed" in said(capsys, "remove", "g", "P1")[1]
    status, out, _ = said(capsys, "search", "g", "10.png", "--bundle", "b", "--crops", "--threshold", "0.99")
    assert (status, "UNKNOWN" in out) == (1, True)
    assert "P2 is Bea now" in said(capsys, "rename", "g", "P2", "Bea")[1]
    _, out, _ = said(capsys, "show", "g")
    assert [line.split(":")[0] for line in out.splitlines()] == ["Bea", "P3"]


def test_one_person_more_photos_duplicates_and_look_alikes(capsys, home):
    made(capsys)
    _, out, _ = said(capsys, "add", "g", "P1", "40.png", "--bundle", "b", "--crops", "--alike", "-1")
    assert "P1: 1 photo enrolled (more photos, 3 in all)" in out
    assert "least like the others scores" in out
    assert "note: this is" in out
    _, out, _ = said(capsys, "add", "g", "Eve", "10.png", "--bundle", "b", "--crops", "--alike", "0.9")
    assert "photo 1 is enrolled already, as one of P1" in out
    status, _, err = said(capsys, "add", "g", "Mallory", "11.png", "--bundle", "b", "--crops", "--refuse-alike")
    assert status == 2
    assert "'Mallory' was not enrolled" in err
    _, out, _ = said(capsys, "show", "g", "P1")
    photos = re.findall(r"photo ([0-9a-f]+)", out)
    assert len(photos) == 3
    assert f"photo {photos[0]} of P1 is removed" in said(capsys, "remove", "g", "P1", "--photo", photos[0])[1]


def test_photos_without_a_face_are_told(capsys, home):
    made(capsys)
    (home / "bad.png").write_bytes(b"nothing")
    status, out, _ = said(capsys, "add", "g", "Zoe", "bad.png", "--bundle", "b", "--crops")
    assert status == 1
    assert "Zoe was not enrolled: no photo has a face" in out
    assert "left out: bad.png" in out
    status, out, _ = said(capsys, "search", "g", "bad.png", "--bundle", "b", "--crops")
    assert status == 3
    assert "bad.png: CANNOT TELL" in out


def test_info_says_how_the_threshold_moves(capsys, home):
    made(capsys)
    _, out, _ = said(capsys, "info", "g", "--bundle", "b")
    assert "3 people, 6 photos, 8 dimensions" in out
    assert "a search aims at FPIR 0.1" in out
    moved = [float(value) for value in re.findall(r"people: threshold (\d\.\d+)", out)[1:]]
    assert moved == sorted(moved)
    assert len(moved) >= 2


def test_an_empty_gallery_has_no_rate_below_zero(capsys, home):
    assert said(capsys, "create", "g", "--bundle", "b", "--fpir", "0.1")[0] == 0
    _, out, _ = said(capsys, "info", "g", "--bundle", "b", "--json", "a.json")
    assert "0 people, 0 photos" in out
    search = json.loads((home / "a.json").read_text())["search"]
    assert search["people"] == 0
    assert "-0.0" not in json.dumps(search) + out


def test_a_gallery_needs_a_place(capsys, home):
    before = sorted(home.iterdir())
    status, _, err = said(capsys, "create", "", "--bundle", "b")
    assert (status, "a gallery must have a place" in err) == (2, True)
    assert sorted(home.iterdir()) == before


def test_a_gallery_without_a_wanted_rate_aims_at_the_usual_one(capsys, home):
    made(capsys)
    with Gallery(open_engine("g")) as gallery:
        gallery.set_facts({"fpir": None})
    status, out, _ = said(capsys, "info", "g", "--bundle", "b")
    assert (status, "a search aims at FPIR 0.01" in out) == (0, True)


def test_a_key_and_a_transform_are_needed_again(capsys, home):
    keys = ("--key-file", "key", "--transform-key-file", "other")
    assert "3 of 3" in made(capsys, *keys)
    digest = hashlib.sha256((home / "10.png").read_bytes()).hexdigest()
    assert digest.encode() not in b"".join(path.read_bytes() for path in (home / "g").iterdir())
    search = ("search", "g", "10.png", "--bundle", "b", "--crops")
    assert "10.png: P1" in said(capsys, *search, *keys)[1]
    for wrong, sentence in (
        ((), "encrypted"),
        (("--key-file", "other"), "key"),
        (("--key-file", "key"), "open it the way it was made"),
        (("--key-file", "b/model.onnx"), "key"),
    ):
        status, _, err = said(capsys, *search, *wrong)
        assert status == 2
        assert sentence in err
    assert "have new templates" in said(capsys, "reissue", "g", *keys, "--new-transform-key-file", "key")[1]
    new = ("--key-file", "key", "--transform-key-file", "key")
    assert "10.png: P1" in said(capsys, *search, *new)[1]


def test_the_key_may_come_from_the_environment(capsys, home, monkeypatch):
    monkeypatch.setenv("ANGULUS_GALLERY_KEY", "ab" * 32)
    made(capsys)
    monkeypatch.delenv("ANGULUS_GALLERY_KEY")
    assert said(capsys, "show", "g")[0] == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("search", "nothing", "10.png", "--bundle", "b"), "there is no gallery in nothing"),
        (("search", "g", "--bundle", "b"), "name at least one photo"),
        (("search", "g", "gone.png", "--bundle", "b", "--crops"), "gone.png is not there"),
        (("search", "g", "10.png", "--bundle", "c", "--crops"), "vectors of another artefact"),
        (("search", "g", "10.png", "--bundle", "b", "--fpir", "0.1", "--threshold", "0.5"), "not both"),
        (("add", "g", "Ann", "--bundle", "b"), "give a name and photos"),
        (("add", "g", "--people", ".", "--bundle", "b"), "is in no sub-folder"),
        (("add", "g", "", "10.png", "--bundle", "b", "--crops"), "1 to 200"),
        (("create", "g", "--bundle", "b"), "g"),
        (("remove", "g", "Nobody"), "nobody in this gallery is named 'Nobody'"),
        (("remove", "g", "P1", "--photo", "00"), "must have the photo that is removed"),
        (("rename", "g", "P1", "P2"), "P2"),
        (("show", "g", "--key-file", "key"), "key"),
        (("show", "people"), "there is no gallery in people"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(capsys, home, words, sentence):
    made(capsys)
    write_bundle(home / "c", seed=1)
    before = said(capsys, "show", "g")[1]
    status, _, err = said(capsys, *words)
    assert status == 2
    assert sentence in err
    assert said(capsys, "show", "g")[1] == before


def test_people_travel_in_a_file(capsys, home):
    made(capsys)
    assert "3 people: out.jsonl, not encrypted" in said(capsys, "export", "g", "out.jsonl")[1]
    assert said(capsys, "create", "h", "--bundle", "b", "--key-file", "key")[0] == 0
    assert "3 people enrolled" in said(capsys, "load", "h", "out.jsonl", "--key-file", "key")[1]
    search = ("search", "h", "10.png", "--bundle", "b", "--crops", "--key-file", "key")
    assert "10.png: P1" in said(capsys, *search)[1]


def test_what_others_wrote_moves_no_terminal(capsys, home):
    made(capsys)
    link = sqlite3.connect(home / "g" / "gallery.db")
    with link:
        link.execute("UPDATE people SET note = CAST('x' || char(27) || '[2J' || char(10) || char(8238) AS BLOB)")
        link.execute("UPDATE photos SET note = CAST('y' || char(155) || '31m' AS BLOB)")
    link.close()
    _, out, _ = said(capsys, "show", "g", "P1")
    assert ": x\\x1b[2J\\n\\u202e" in out
    assert ": y\\x9b31m" in out
    assert not set(out) & set("\x1b\u202e\x9b")
