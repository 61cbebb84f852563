"""A gallery in one file and back; files that are no such thing change nothing."""

import json

import numpy as np
import pytest
from gallery_people import KEY, opened, units

from angulus.errors import GalleryError
from angulus.gallery import Gallery, KeyedRotation, open_engine
from angulus.gallery.exchange import export_people, import_people


@pytest.fixture
def gallery(tmp_path):
    with Gallery(open_engine(tmp_path / "g", create=True, dim=32)) as found:
        found.add("Zoë", units(2), ["ab" * 32, ""], ["one", "two"], note="staff")
        found.add("Bob", units(1, seed=1))
        found.set_facts({"artefact": "x"})
        yield found


@pytest.fixture
def empty(tmp_path):
    with Gallery(open_engine(tmp_path / "empty", create=True, dim=32)) as found:
        yield found


def shown(gallery):
    return sorted(
        (one.name, one.note, one.added, *((photo.digest, photo.added, photo.note) for photo in one.photos))
        for one in gallery.people()
    )


@pytest.mark.parametrize("kind", ["encrypted", "postgres", "qdrant"])
def test_there_and_back(gallery, tmp_path, kind) -> None:
    assert export_people(gallery, tmp_path / "out.jsonl") == 2
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600
    with opened(kind, tmp_path / "other") as engine:
        other = Gallery(engine)
        assert import_people(other, tmp_path / "out.jsonl") == 2
        assert shown(other) == shown(gallery)
        for one in gallery.people():
            np.testing.assert_allclose(other.person(one.name).template, one.template, atol=1e-3)
        assert export_people(other, tmp_path / "again.jsonl") == 2
    with pytest.raises(GalleryError, match="is enrolled already"):
        import_people(gallery, tmp_path / "again.jsonl")


def lines_of(gallery, path):
    export_people(gallery, path)
    return path.read_text().splitlines()


def _without(line, name):
    read = json.loads(line)
    del read[name]
    return json.dumps(read)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [], "must begin with the format"),
        (lambda lines: ["[]"], "must begin with the format"),
        (lambda lines: lines[:-1], "cut short"),
        (lambda lines: lines[:2] + lines[3:], "must end after the 1 people"),
        (lambda lines: [*lines, lines[1]], "must end after the 2 people"),
        (lambda lines: [lines[0], "{", *lines[1:]], "line 2 of .* must be JSON"),
        (lambda lines: [lines[0], "7", *lines[1:]], "line 2 is no person"),
        (lambda lines: [lines[0], _without(lines[1], "photos"), *lines[2:]], "has no 'photos'"),
        (lambda lines: [lines[0], lines[1].replace("+00:00", "x"), *lines[2:]], "a date must be ISO 8601"),
        (lambda lines: [lines[0], lines[1].replace('"vector": "', '"vector": "@'), *lines[2:]], "is no person"),
        (
            lambda lines: [lines[0], lines[1].replace('"vector": "', '"vector": "AAAA'), *lines[2:]],
            "must have 64 bytes",
        ),
        (lambda lines: [lines[0], lines[1], lines[1], *lines[2:]], "is enrolled already"),
        (lambda lines: [lines[0].replace('{"artefact": "x"}', "7"), *lines[1:]], "the facts of a gallery"),
        (lambda lines: [lines[0].replace("32", "33"), *lines[1:]], "must have vectors of 32 dimensions"),
    ],
)
def test_odd_files_change_nothing(gallery, empty, tmp_path, change, says) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("\n".join(change(lines_of(gallery, path))))
    with pytest.raises(GalleryError, match=says):
        import_people(empty, path)
    assert empty.info().people == 0


def test_vectors_of_another_transform_are_refused(gallery, empty, tmp_path) -> None:
    gallery.reissue(KeyedRotation(KEY, 32))
    export_people(gallery, tmp_path / "out.jsonl")
    with pytest.raises(GalleryError, match="in the gallery's own transform, and has others"):
        import_people(empty, tmp_path / "out.jsonl")
    with pytest.raises(GalleryError, match="cannot be read"):
        import_people(empty, tmp_path / "none")


@pytest.mark.parametrize(("artefact", "fits"), [("x", True), (None, True), ("y", False), (7, False)])
def test_vectors_of_another_artefact_are_refused(gallery, empty, tmp_path, artefact, fits) -> None:
    export_people(gallery, tmp_path / "out.jsonl")
    empty.set_facts({"artefact": artefact})
    if fits:
        assert import_people(empty, tmp_path / "out.jsonl") == 2
        return
    with pytest.raises(GalleryError, match=f"must have vectors of the gallery's artefact '{artefact}', and has .* 'x'"):
        import_people(empty, tmp_path / "out.jsonl")
    assert empty.info().people == 0
