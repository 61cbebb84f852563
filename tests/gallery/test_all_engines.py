"""Every engine stores the same people, finds the same ones, and forgets them."""

from dataclasses import replace

import numpy as np
import pytest
from gallery_people import ENGINES, crowd, nearest, opened, person, units

from angulus.errors import GalleryError
from angulus.gallery import template_of
from angulus.gallery.engines import UnknownPlaceError, everybody
from angulus.gallery.people import new_id


@pytest.fixture(params=ENGINES)
def engine(request, tmp_path):
    with opened(request.param, tmp_path) as found:
        yield found


def agree(engine, people, queries, k):
    """The oracle's best k, where scores lie more than 0.001 apart; every score exactly that of its person."""
    by_name = {each.name: each for each in people}
    for query, hits in zip(queries, engine.search(queries, k), strict=True):
        expected = nearest(people, query)
        assert len(hits) == min(k, len(people))
        for place, hit in enumerate(hits):
            assert hit.score == pytest.approx(dict(expected)[hit.name], abs=2e-5)
            assert by_name[hit.name].id == hit.person_id
            assert hit.name == expected[place][0] or abs(hit.score - expected[place][1]) < 1e-3


def test_who_is_put_is_read_back(engine) -> None:
    ann = person("Zoë Ω 李", units(3), digest="ab" * 32)
    ann = replace(ann, note="first\nsecond")
    engine.put(ann)
    for found in (engine.get(ann.id), engine.named(ann.name), *everybody(engine)):
        assert (found.id, found.name, found.note, found.added) == (ann.id, ann.name, ann.note, ann.added)
        np.testing.assert_allclose(found.template, ann.template, atol=5e-4)
        assert [photo.id for photo in found.photos] == [photo.id for photo in ann.photos]
        assert {photo.digest for photo in found.photos} == {"ab" * 32}
        np.testing.assert_allclose(
            [photo.vector for photo in found.photos], [photo.vector for photo in ann.photos], atol=5e-4
        )
    assert engine.holders("ab" * 32) == [ann.id]
    assert engine.holders("cd" * 32) == []
    assert (engine.count(), engine.photo_count(), engine.dim) == (1, 3, 32)
    assert engine.sizes() == {3: 1}
    assert engine.get(new_id()) is None
    assert engine.named("Bob") is None


def test_searches_find_whom_the_oracle_finds(engine) -> None:
    people = crowd(150, photos=2)
    engine.put_many(people)
    agree(engine, people, units(7, seed=1), 5)
    agree(engine, people, np.stack([each.template for each in people[:9]]), 1)
    assert engine.search(np.empty((0, 32), np.float32), 3) == []
    assert engine.memory() > 0


def test_an_empty_gallery_finds_nobody(engine) -> None:
    assert engine.search(units(2), 3) == [[], []]
    assert list(everybody(engine)) == []


def test_fewer_people_than_asked_for(engine) -> None:
    people = crowd(3)
    engine.put_many(people)
    agree(engine, people, -units(3), 10)  # all scores may be negative: rows of nobody must not win
    engine.drop(people[0].id)
    agree(engine, people[1:], -units(3), 10)


def test_removed_and_replaced_people(engine) -> None:
    people = crowd(60)
    engine.put_many(people)
    engine.search(units(1), 1)
    gone, changed = people[:20], people[20]
    for each in gone:
        assert engine.drop(each.id)
        assert not engine.drop(each.id)
    new = replace(changed, photos=person("x", units(2, seed=9)).photos, template=template_of(units(2, seed=9)))
    engine.put(new)
    left = [new, *people[21:]]
    agree(engine, left, np.stack([each.template for each in (*gone, changed, new)]), 5)
    back = [replace(each, id=new_id()) for each in gone[:10]]
    engine.put_many(back)
    agree(engine, [*left, *back], np.stack([each.template for each in gone]), 5)
    assert sorted(each.name for each in everybody(engine)) == sorted(each.name for each in [*left, *back])


def test_a_name_is_of_one_person(engine) -> None:
    ann, other = person("Ann", units(1)), person("Ann", units(1, seed=1))
    engine.put(ann)
    with pytest.raises(GalleryError, match="'Ann' is enrolled already"):
        engine.put(other)
    with pytest.raises(GalleryError, match="'Cy' is enrolled already"):
        engine.put_many([person("Cy", units(1)), person("Cy", units(1, seed=2))])
    assert engine.count() == 1
    engine.put(replace(ann, name="Bob"))
    engine.put(other)
    assert {each.name for each in everybody(engine)} == {"Ann", "Bob"}


def test_names_change_hands_within_one_change(engine) -> None:
    ann, bob = person("Ann", units(1)), person("Bob", units(1, seed=1))
    engine.put_many([ann, bob])
    engine.put_many([replace(ann, name="Cy"), replace(bob, name="Ann")])  # in this order, and not in the other
    assert engine.named("Ann").id == bob.id
    with pytest.raises(GalleryError, match="'Ann' is enrolled already"):
        engine.put_many([replace(ann, name="Ann"), replace(bob, name="Dan")])
    ann = replace(ann, name="Cy")
    engine.put_many([replace(ann, note="first"), replace(ann, note="second")])
    assert (engine.get(ann.id).note, engine.count()) == ("second", 2)


def test_pages(engine) -> None:
    people = crowd(13)
    engine.put_many(people)
    names, after, pages = [], "", 0
    while after is not None:
        found, after = engine.page(after, 4)
        assert len(found) <= 4
        names += [each.name for each in found]
        pages += 1
    assert (sorted(names), pages) == (sorted(each.name for each in people), 4)
    whole, after = engine.page("", 13)
    assert ([each.name for each in whole], after) == (names, None)
    engine.put(replace(whole[5], note="changed"))  # who is there keeps the place
    assert [each.name for each in engine.page("", 13)[0]] == names
    for odd in ("P2", "-1", "1 ", "9" * 30, "\u0661"):
        with pytest.raises(UnknownPlaceError, match="after must be empty, or what the page before gave"):
            engine.page(odd, 4)


@pytest.mark.parametrize("most", [0, -1, 10**6])
def test_pages_of_odd_sizes(engine, most) -> None:
    engine.put_many(crowd(3))
    with pytest.raises(GalleryError, match="a page must have 1 to 10,000 people"):
        engine.page("", most)


def test_an_error_of_the_caller_is_the_callers(engine) -> None:
    def people():
        yield from crowd(300)
        raise ZeroDivisionError("midway")

    with pytest.raises(ZeroDivisionError, match="midway"):
        engine.put_many(people())


def test_sizes(engine) -> None:
    assert engine.sizes() == {}
    people = [person("Ann", units(2)), person("Bob", units(1)), person("Cy", units(2, seed=3))]
    engine.put_many(people)
    assert (engine.sizes(), engine.photo_count()) == ({2: 2, 1: 1}, 5)
    engine.put(replace(people[0], photos=people[0].photos[:1]))
    engine.drop(people[1].id)
    assert engine.sizes() == {1: 1, 2: 1}


def test_facts(engine) -> None:
    engine.set_facts({"artefact": "ab12", "fpir": 0.01, "list": [1, {"a": None}]})
    engine.set_facts({"fpir": None, "more": True})
    assert engine.facts() == {"artefact": "ab12", "list": [1, {"a": None}], "more": True}
    with pytest.raises(GalleryError, match="must be JSON"):
        engine.set_facts({"x": float("nan")})
    with pytest.raises(GalleryError, match="plain characters"):
        engine.set_facts({"\n": 1})


@pytest.mark.parametrize(
    ("queries", "k", "says"),
    [
        (units(1), 0, "k must be 1 to 1,000, got 0"),
        (units(1, 31), 1, "32 dimensions, got 31"),
        (2 * units(1), 1, "length 1, got one of length 2"),
        (np.full((1, 32), np.nan, np.float32), 1, "finite"),
    ],
)
def test_odd_queries(queries, k, says, tmp_path) -> None:
    with opened("float16", tmp_path) as engine, pytest.raises(GalleryError, match=says):
        engine.search(queries, k)


def test_odd_people(engine) -> None:
    ann = person("Ann", units(2))
    for odd in (
        replace(ann, id="../x"),
        replace(ann, name="A\x00"),
        replace(ann, photos=()),
        replace(ann, template=2 * ann.template),
        replace(ann, added="yesterday"),
        replace(ann, photos=(ann.photos[0], ann.photos[0])),
    ):
        with pytest.raises(GalleryError):
            engine.put(odd)
    assert engine.count() == 0
