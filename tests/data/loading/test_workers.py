"""Batches arrive whole and stay as they are, whoever decodes them and wherever they lie."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from small_sets import ArraySource, array_source, picture, write_folder

from angulus.data import FolderSource, InMemory, convert, open_source, read_images, subset
from angulus.data.loading import workers as reading
from angulus.data.loading.workers import Places, read_batch, read_batches
from angulus.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture
def photos(tmp_path):
    """A folder of JPEGs, some of which simplejpeg leaves to Pillow."""
    root = tmp_path / "photos"
    for person in range(4):
        (root / f"p{person}").mkdir(parents=True)
        for number in range(5):
            options = {"xmp": b"<x/>"} if number == 2 else {"progressive": number == 3}
            Image.fromarray(picture((person, number), 24, 16)).save(root / f"p{person}/{number}.jpg", **options)
    return FolderSource.open(root)


def pieces_of(count, size):
    order = np.random.default_rng(0).permutation(count).astype(np.int64)
    return [order[begin : begin + size] for begin in range(0, count, size)]


@pytest.mark.parametrize("layout", ["folder", "packed", "rec", "tar", "parquet", "csv"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_every_layout_gives_the_pixels_of_read(photos, tmp_path, layout, num_workers):
    source = photos
    if layout == "parquet":
        pytest.importorskip("pyarrow")
    if layout != "folder":
        convert(photos, tmp_path / f"set.{layout}")
        source = open_source(tmp_path / f"set.{layout}")
    pieces = pieces_of(len(source), 6)
    for rows, images in zip(pieces, read_batches(source, pieces, num_workers=num_workers), strict=True):
        assert images.shape == (len(rows), 3, 24, 16)
        assert images.dtype == torch.uint8
        for row, index in enumerate(rows):
            assert np.array_equal(images[row].numpy().transpose(1, 2, 0), source.read(int(index)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_views_and_memory_give_the_same(photos, num_workers):
    kept = subset(photos, exclude=["p1"])
    rows = [np.array([3, 0, 14]), np.array([7])]
    expected = [read_images(kept, some) for some in rows]
    for source in (kept, InMemory.load(kept), subset(InMemory.load(photos), exclude=["p1"])):
        for images, wanted in zip(read_batches(source, rows, num_workers=num_workers), expected, strict=True):
            assert np.array_equal(images.numpy(), wanted)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_that_are_kept_are_not_written_over(photos, num_workers):
    pieces = pieces_of(len(photos), 2) * 4
    kept = list(read_batches(photos, pieces, num_workers=num_workers, prefetch=1))
    assert len(kept) == 40 > 2 + 3
    for rows, images in zip(pieces, kept, strict=True):
        assert np.array_equal(images.numpy(), read_images(photos, rows))


def test_a_part_of_a_batch_keeps_its_memory(photos):
    pieces = pieces_of(len(photos), 2) * 4
    kept = [images[1] for images in read_batches(photos, pieces, num_workers=1, prefetch=1)]
    for rows, image in zip(pieces, kept, strict=True):
        assert np.array_equal(image.numpy().transpose(1, 2, 0), photos.read(int(rows[1])))


@pytest.mark.parametrize("shared", [False, True])
def test_a_place_is_free_again_when_nothing_shows_it(shared):
    places = Places(2, 12, shared=shared)
    place = places.free.popleft()
    images = places.taken(place, (1, 3, 2, 2), (12, 4, 2, 1))
    part = images[0, 1]
    assert images.data_ptr() == places.memory[place].data_ptr()
    del images
    assert place not in places.free
    del part
    assert place in places.free


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_places_are_shared_however_workers_start(photos, monkeypatch, method):
    monkeypatch.setattr(reading, "get_start_method", lambda: method)
    pieces = pieces_of(len(photos), 5)
    for rows, images in zip(pieces, read_batches(photos, pieces, num_workers=1), strict=True):
        assert np.array_equal(images.numpy(), read_images(photos, rows))


def test_a_batch_larger_than_the_first_has_memory_of_its_own(photos):
    pieces = [np.array([0]), np.arange(20), np.array([5, 6]), *pieces_of(20, 1)]
    for rows, images in zip(pieces, read_batches(photos, pieces, num_workers=1, prefetch=1), strict=True):
        assert np.array_equal(images.numpy(), read_images(photos, rows))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_no_memory_is_taken_anew_for_a_steady_stream(photos, monkeypatch, num_workers):
    made = []
    copied = Places.copied
    monkeypatch.setattr(Places, "copied", lambda *given: made.append(1) or copied(*given))
    pieces = pieces_of(len(photos), 2) * 3
    for rows, images in zip(pieces, read_batches(photos, pieces, num_workers=num_workers), strict=True):
        assert len(images) == len(rows)
    assert not made


@dataclass(frozen=True, eq=False)
class Ragged(ArraySource):
    def read(self, index):
        return picture(index, 12 + (index == 5), 10)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_images_of_unlike_sizes_are_named(num_workers):
    source = Ragged(np.zeros(8, dtype=np.int64), ["Ada"])
    with pytest.raises(DataError, match=r"one size: Ada/4 is 12x10 and Ada/5 is 13x10 \(height x width\)"):
        list(read_batches(source, [np.arange(4), np.arange(4, 8)], num_workers=num_workers))


def test_an_image_of_unlike_size_is_named_where_it_is_decoded_too(photos):
    Image.fromarray(picture(1, 16, 24)).save(photos.root / "p2/3.jpg")
    with pytest.raises(DataError, match=r"p2/0.jpg is 24x16 and p2/3.jpg is 16x24"):
        read_batch(photos, np.arange(10, 15))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_first_image_of_all_may_be_the_damaged_one(tmp_path, num_workers):
    root = write_folder(tmp_path, {"Ada": 3})
    (root / "Ada/0001.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"^cannot read .*Ada/0001.png: its content is not an image"):
        list(read_batches(FolderSource.open(root), [np.array([1, 2])], num_workers=num_workers))


def test_no_batches_and_empty_ones():
    source = array_source([2])
    assert list(read_batches(source, [], num_workers=1)) == []
    with pytest.raises(DataError, match="a batch needs at least 1 image, got 0"):
        list(read_batches(source, [np.array([], dtype=np.int64)]))
