"""Pictures that are in a set twice are found, whatever was done to the second, and others are not."""

import io

import numpy as np
import pytest
from faces_drawn import face
from PIL import Image, ImageEnhance

from angulus.data import FolderSource
from angulus.inspection import Seen, find, find_copies, look_at, scan, suggested_edits, typical_spectrum
from angulus.inspection.copies import MOST_BITS
from angulus.inspection.registration import COPY, COPY_BY_HASH, MIDDLE, _correlation, agreement


def changed(picture, how):
    image = Image.fromarray(picture)
    width, height = image.size
    if how == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=75)
        return np.asarray(Image.open(buffer))
    return np.asarray(
        {
            "mirrored": lambda: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            "half": lambda: image.resize((width // 2, height // 2), Image.Resampling.BICUBIC),
            "darker": lambda: ImageEnhance.Brightness(image).enhance(0.7),
            "cut": lambda: image.crop((4, 4, width - 4, height - 4)).resize((width, height), Image.Resampling.BICUBIC),
        }[how]()
    )


@pytest.mark.parametrize("how", ["jpeg", "mirrored", "half", "darker", "cut"])
def test_copies_agree_and_other_photos_do_not(how):
    picture = face(3, 1, side=96)
    assert agreement(picture, changed(picture, how)) >= (0.97 if how == "cut" else COPY)
    assert agreement(picture, face(3, 2, side=96)) < COPY
    assert agreement(picture, face(4, 1, side=96)) < COPY


def laid_over(middle, picture):
    """The middle over every place of the picture, one after the other."""
    best = -1.0
    for top in range(picture.shape[0] - MIDDLE + 1):
        for left in range(picture.shape[1] - MIDDLE + 1):
            part = picture[top : top + MIDDLE, left : left + MIDDLE].astype(np.float64)
            one, other = part - part.mean(), middle - middle.mean(dtype=np.float64)
            lengths = np.linalg.norm(one) * np.linalg.norm(other)
            best = max(best, float((one * other).sum() / max(lengths, 1e-6)))
    return best


@pytest.mark.parametrize("shape", [(34, 34), (40, 37), (56, 41), (67, 68)])
def test_the_correlation_is_that_of_a_loop(shape):
    random = np.random.default_rng(shape[0])
    picture = random.random(shape, np.float32).cumsum(axis=0, dtype=np.float32) / 50
    for middle in (picture[:MIDDLE, -MIDDLE:], random.random((MIDDLE, MIDDLE), np.float32)):
        assert _correlation(middle, picture) == pytest.approx(laid_over(middle, picture), abs=1e-6)


@pytest.mark.parametrize("grey", [0.0, 0.3, 0.5, 1.0])
def test_nothing_is_like_an_even_picture(grey):
    """Silence in a spectrogram, a wall in a photo: rounding is no likeness."""
    even = np.full((MIDDLE + 9, MIDDLE + 4), grey, np.float32)
    middle = np.random.default_rng(0).random((MIDDLE, MIDDLE), np.float32)
    assert abs(_correlation(middle, even)) < 1e-3
    assert abs(_correlation(even[:MIDDLE, :MIDDLE], np.pad(middle, 3))) < 1e-3


def test_pictures_too_narrow_to_be_laid_over_each_other():
    assert -1 <= agreement(face(0), face(0)[:, :3]) <= 1


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Twelve people with two photos each, and copies of some: the same file, the same pixels, and changed ones."""
    root = tmp_path_factory.mktemp("people")
    for person in range(12):
        for photo in (1, 2):
            path = root / f"P{person:02d}" / f"{photo}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(face(person, photo, side=96)).save(path)
    (root / "P00" / "same.png").write_bytes((root / "P00" / "1.png").read_bytes())
    Image.fromarray(face(1, 1, side=96)).save(root / "P01" / "again.bmp")
    for person, how in ((2, "jpeg"), (3, "mirrored"), (4, "half")):
        Image.fromarray(changed(face(person, 1, side=96), how)).save(root / f"P{person + 1:02d}" / "other.png")
    (root / "P11" / "bad.png").write_bytes(b"nothing")
    source = FolderSource.open(root)
    return Seen(source=source, contents=scan(source, typical_spectrum(source)))


def test_all_kinds_are_found_and_nothing_else(seen):
    keys = seen.source.keys
    found = {(keys[copy.left], keys[copy.right]): copy for copy in find_copies(seen) if copy.certain}
    assert {pair: copy.kind for pair, copy in found.items()} == {
        ("P00/1.png", "P00/same.png"): "same bytes",
        ("P01/1.png", "P01/again.bmp"): "same pixels",
        ("P02/1.png", "P03/other.png"): "copy",
        ("P03/1.png", "P04/other.png"): "copy",
        ("P04/1.png", "P05/other.png"): "copy",
    }
    for copy in found.values():
        assert copy.bits <= MOST_BITS
        assert copy.kind != "copy" or copy.agreement >= COPY_BY_HASH


def test_embeddings_find_what_hashes_do_not(seen):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(len(seen.source), 64)).astype(np.float32)
    vectors[1] = vectors[0]  # P00's two photos
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with_model = Seen(source=seen.source, contents=seen.contents, vectors=vectors)
    (alike,) = [copy for copy in find_copies(with_model) if {copy.left, copy.right} == {0, 1}]
    assert (alike.kind, alike.certain) == ("alike", False)
    assert alike.cosine == pytest.approx(1.0)


def test_pairs_beyond_the_most_are_told_but_not_looked_at(seen):
    kinds = [copy.kind for copy in find_copies(seen, most=1)]
    assert kinds.count("copy") == 1
    assert kinds.count("not looked at") >= 2
    assert sorted(kinds, key=("same bytes", "same pixels", "copy", "alike", "not looked at").index) == kinds


def test_copies_across_two_sets(seen):
    found = {(copy.left, copy.right): copy.kind for copy in find_copies(seen, seen) if copy.certain}
    readable = np.flatnonzero(seen.contents.readable)
    assert {(row, row) for row in readable.tolist()} <= set(found)
    first, same = seen.source.keys.index("P00/1.png"), seen.source.keys.index("P00/same.png")
    assert found[first, same] == found[same, first] == "same bytes"


def test_only_the_same_pixels_are_dropped_unasked(tmp_path):
    for name in ("Ada", "Bob"):
        (tmp_path / name).mkdir()
        for photo in range(4):
            Image.fromarray(face(ord(name[0]), photo, side=96)).save(tmp_path / name / f"{photo}.png")
    (tmp_path / "Ada" / "same.png").write_bytes((tmp_path / "Ada" / "1.png").read_bytes())
    Image.fromarray(face(ord("B"), 2, side=96)).save(tmp_path / "Bob" / "again.jpg", quality=75)
    source = FolderSource.open(tmp_path)
    edits = suggested_edits(find(source, look_at(source)))
    assert {edit.key: edit.action for edit in edits} == {"Ada/same.png": "drop", "Bob/again.jpg": "keep"}
    assert "a copy, or the same moment; to leave it out, write drop" in edits[-1].reason
