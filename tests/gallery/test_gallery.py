"""Enrolment with what is noticed at it, removal that pools anew, search that says which photo, and issuing anew."""

import numpy as np
import pytest
from gallery_people import KEY, nearest, opened, units

from angulus.errors import GalleryError
from angulus.gallery import Gallery, KeyedRotation, open_engine, template_of
from angulus.gallery.people import now


@pytest.fixture(params=["float16", "postgres", "qdrant"])
def gallery(request, tmp_path):
    with opened(request.param, tmp_path) as engine:
        yield Gallery(engine)


UNSEEN = "\u202e\u200b\u200c\u200d\u200e\u200f\u2060\u2066\ufeff\u00ad\u061c\u2028\ufe0f\u034f\u3164\U000e0041\ud800"


def near(vector, seed, much=0.3):
    """A unit vector beside another."""
    found = vector + much * units(1, len(vector), seed)[0]
    return found / np.linalg.norm(found)


def digest(number):
    return f"{number:064x}"


def test_photos_are_added_and_pooled(gallery) -> None:
    ann = units(3)
    first = gallery.add("Ann", ann[:2], notes=["passport", "door"], note="staff")
    second = gallery.add(" Ann ", ann[2:])
    assert (first.is_new, second.is_new) == (True, False)
    person = gallery.person("Ann")
    assert person.id == first.person.id == second.person.id
    assert [photo.id for photo in person.photos] == [*first.photo_ids, *second.photo_ids]
    assert [photo.note for photo in person.photos] == ["passport", "door", ""]
    assert person.note == "staff"
    np.testing.assert_allclose(person.template, template_of(ann), atol=1e-3)
    scores = [float(photo.vector @ person.template) for photo in person.photos]
    assert second.least_alike[1] == pytest.approx(min(scores), abs=1e-3)
    assert second.least_alike[0] == person.photos[int(np.argmin(scores))].id
    assert gallery.info().as_dict()["photos"] == 3


def test_duplicates_are_reported_and_not_added_twice(gallery) -> None:
    drawn = units(3)
    ann = gallery.add("Ann", drawn[:1], [digest(1)])
    again = gallery.add("Ann", drawn[:2], [digest(1), digest(2)])
    assert len(again.photo_ids) == 1
    assert [(each.photo, each.name, each.photo_id) for each in again.duplicates] == [(0, "Ann", ann.photo_ids[0])]
    assert again.duplicates[0].sentence() == f"photo 1 is enrolled already, as one of Ann since {now()[:10]}"
    bob = gallery.add("Bob", drawn[:1], [digest(1)])
    assert [each.name for each in bob.duplicates] == ["Ann"]
    assert len(bob.photo_ids) == 1
    with pytest.raises(GalleryError, match="'Cy' was not enrolled: photo 1 is enrolled already, as one of"):
        gallery.add("Cy", drawn[:1], [digest(1)], refuse_look_alikes=True)
    nothing = gallery.add("Ann", drawn[:1], [digest(1)])
    assert nothing.photo_ids == ()
    assert len(gallery.person("Ann").photos) == 2
    twice = gallery.add("Dan", np.stack([drawn[2], drawn[2]]), [digest(7), digest(7)])
    assert len(twice.photo_ids) == 1


def test_look_alikes(gallery) -> None:
    ann = units(1)[0]
    gallery.add("Ann", ann[None])
    twin = near(ann, 5)
    found = gallery.add("Bob", twin[None], look_alike=0.8)
    assert [each.name for each in found.look_alikes] == ["Ann"]
    assert found.look_alikes[0].score == pytest.approx(float(twin @ ann), abs=1e-3)
    assert found.look_alikes[0].sentence() == f"{twin @ ann:.2f} like Ann, enrolled {now()[:10]}"
    assert gallery.add("Cy", units(1, seed=8), look_alike=0.8).look_alikes == ()
    assert gallery.add("Ann", near(ann, 6)[None], look_alike=0.999).look_alikes == ()  # not like oneself
    with pytest.raises(GalleryError, match=r"'Dan' was not enrolled: 0\.\d\d like (Ann|Bob), enrolled"):
        gallery.add("Dan", near(ann, 7)[None], look_alike=0.7, refuse_look_alikes=True)
    assert gallery.info().people == 3
    assert found.as_dict()["look_alikes"][0]["name"] == "Ann"


def test_removal(gallery) -> None:
    drawn = units(4)
    ann = gallery.add("Ann", drawn[:2])
    gallery.add("Bob", drawn[2:3])
    assert gallery.remove_photo("Ann", ann.photo_ids[0])
    np.testing.assert_allclose(gallery.person("Ann").template, drawn[1], atol=1e-3)
    assert not gallery.remove_photo("Ann", ann.photo_ids[1])
    with pytest.raises(GalleryError, match="nobody in this gallery is named 'Ann'"):
        gallery.person("Ann")
    with pytest.raises(GalleryError, match="must have the photo that is removed"):
        gallery.remove_photo("Bob", "0" * 32)
    gallery.remove_person("Bob")
    with pytest.raises(GalleryError, match="nobody in this gallery is named 'Bob'"):
        gallery.remove_person("Bob")
    assert gallery.search(drawn, 3) == [[]] * 4


def test_renaming(gallery) -> None:
    gallery.add("Ann", units(1))
    gallery.add("Bob", units(1, seed=1))
    assert gallery.rename("Ann", "Zoe\u0308").name == "Zo\u00eb"
    assert gallery.search(units(1), 1)[0][0].name == "Zo\u00eb"
    with pytest.raises(GalleryError, match="'Bob' is enrolled already"):
        gallery.rename("Zo\u00eb", "Bob")


def test_a_search_says_which_photo(gallery) -> None:
    drawn = units(6)
    ann, bob = gallery.add("Ann", drawn[:3]), gallery.add("Bob", drawn[3:])
    found = gallery.search(drawn, 2)
    expected = [*ann.photo_ids, *bob.photo_ids]
    for place, hits in enumerate(found):
        assert hits[0].photo_id == expected[place]
        assert hits[0].photo_score == pytest.approx(1, abs=1e-5)
        people = list(gallery.people())
        assert [(hit.name, pytest.approx(hit.score, abs=1e-4)) for hit in hits] == nearest(people, drawn[place])
    assert gallery.search(drawn[0], 1)[0][0].name == "Ann"


def test_notes_have_lines(gallery) -> None:
    gallery.add("Ann", units(1), notes=["at the\r\ndoor"], note="one\ntwo")
    assert (gallery.person("Ann").note, gallery.person("Ann").photos[0].note) == ("one\ntwo", "at the\ndoor")


@pytest.mark.parametrize(
    ("name", "vectors", "more", "says"),
    [
        ("", units(1), {}, "1 to 200 characters, got 0"),
        ("x" * 201, units(1), {}, "1 to 200 characters, got 201"),
        ("a\nb", units(1), {}, "U[+]000A"),
        *((f"An{sign}n", units(1), {}, f"U[+]{ord(sign):04X}") for sign in UNSEEN),
        ("Ann", np.empty((0, 32), np.float32), {}, "at least one photo"),
        ("Ann", units(1, 16), {}, "32 dimensions, got 16"),
        ("Ann", 1.1 * units(1), {}, "length 1.1"),
        ("Ann", "no", {}, "must be numbers"),
        ("Ann", units(2), {"digests": [digest(1)]}, "one for each of the 2 photos, got 1"),
        ("Ann", units(1), {"digests": ["xyz"]}, "SHA-256"),
        ("Ann", units(1), {"notes": ["x" * 2001]}, "at most 2,000 characters"),
        *(("Ann", units(1), {"notes": [f"a{sign}"]}, f"U[+]{ord(sign):04X}") for sign in "\x1b\r\t\0\x9b\u2028\ud800"),
        ("Ann", units(1), {"note": "\x1b[2J"}, "a note must have no control characters, got U[+]001B"),
        ("Ann", np.stack([units(1)[0], -units(1)[0]]), {}, "must not cancel each other"),
    ],
)
def test_odd_enrolments(tmp_path, name, vectors, more, says) -> None:
    with Gallery(open_engine(tmp_path, create=True, dim=32)) as gallery:
        with pytest.raises(GalleryError, match=says):
            gallery.add(name, vectors, **more)
        assert gallery.info().people == 0


@pytest.mark.parametrize("kind", ["float16", "encrypted", "faiss:HNSW32", "postgres hnsw"])
def test_all_vectors_are_issued_anew(tmp_path, kind) -> None:
    drawn = units(40)
    with opened(kind, tmp_path) as engine:
        gallery = Gallery(engine)
        for number, vector in enumerate(drawn):
            gallery.add(f"p{number}", np.stack([vector, near(vector, number)]))
        before = [[(hit.name, hit.score) for hit in hits] for hits in gallery.search(drawn, 3)]
        for transform in (KeyedRotation(KEY, 32), KeyedRotation(bytes(32), 32), None, KeyedRotation(KEY, 32, keep=24)):
            gallery.reissue(transform)
            found = gallery.search(drawn, 3)
            assert [hits[0].name for hits in found] == [mine[0][0] for mine in before]
            if transform is None or transform.is_lossless:
                scores = [[hit.score for hit in hits] for hits in found]
                np.testing.assert_allclose(scores, [[score for _, score in mine] for mine in before], atol=2e-3)
        assert engine.dim == 24
        assert gallery.dim == 32
        gallery.add("new", units(1, seed=77))
        assert gallery.search(units(1, seed=77), 1)[0][0].name == "new"
        with pytest.raises(GalleryError, match="cannot be undone; enrol the photos again"):
            gallery.reissue(None)
        for other in (None, KeyedRotation(bytes(32), 32, keep=24), KeyedRotation(KEY, 32)):
            with pytest.raises(GalleryError, match="stored with another transform or key"):
                Gallery(engine, other)
        assert Gallery(engine, KeyedRotation(KEY, 32, keep=24)).info().transform["keep"] == 24


def test_a_transform_from_the_beginning(tmp_path) -> None:
    engine = open_engine(tmp_path, create=True, dim=32)
    with Gallery(engine, KeyedRotation(KEY, 32)) as gallery:
        gallery.add("Ann", units(1))
        assert gallery.search(units(1), 1)[0][0].score == pytest.approx(1, abs=1e-4)
        assert abs(float(gallery.person("Ann").template @ units(1)[0])) < 0.9  # what is stored is turned
        with pytest.raises(GalleryError, match="set by reissue"):
            gallery.set_facts({"transform": None})
    with open_engine(tmp_path) as engine, pytest.raises(GalleryError, match="another transform or key"):
        Gallery(engine)
