"""Several sets as one source: every image where it belongs, under its set's name."""

import numpy as np
import pytest
from small_sets import array_source, write_folder

from angulus.data import FolderSource, InMemory, UnionSource, account_of, fingerprint, join, keep_apart, select, subset
from angulus.errors import DataError


def union(**members):
    return UnionSource.of(members, join({name: member.identities for name, member in members.items()}))


@pytest.fixture
def both():
    return union(west=array_source([2, 3]), east=array_source([1, 1, 2]))


def test_every_example_is_that_of_its_set(both):
    west, east = both.members.values()
    assert len(both) == 9
    assert both.identities == ["person000", "person001", "person002"]
    assert both.labels.tolist() == [0, 0, 1, 1, 1, 0, 1, 2, 2]
    assert list(both.keys) == [f"west/{key}" for key in west.keys] + [f"east/{key}" for key in east.keys]
    assert both.keys[-1] == "east/person002/3"
    assert both.keys[4:6] == ["west/person001/4", "east/person000/0"]
    for index in range(9):
        expected = west.read(index) if index < 5 else east.read(index - 5)
        assert np.array_equal(both.read(index), expected)


def test_many_at_once_in_any_order(both):
    order = np.array([8, 0, 5, 4, 0])
    images = both.read_many(order)
    for image, index in zip(images, order, strict=True):
        assert np.array_equal(image.transpose(1, 2, 0), both.read(int(index)))
    assert np.array_equal(both.read_many(np.array([6, 7]))[1].transpose(1, 2, 0), both.read(7))
    with pytest.raises(DataError, match="at least 1 image, got 0"):
        both.read_many(np.array([], dtype=np.int64))


def test_sets_of_two_sizes_in_one_batch_are_named():
    both = union(west=array_source([2]), east=array_source([2], height=8))
    assert both.read_many(np.array([0, 1])).shape == (2, 3, 12, 10)
    with pytest.raises(DataError, match=r"west/person000/1 is 12x10 and east/person000/0 is 8x10"):
        both.read_many(np.array([1, 2]))


def test_each_set_is_fitted_in_its_own_way(tmp_path):
    west = FolderSource.open(write_folder(tmp_path / "west", {"Ada": 2}), size=(6, 5))
    east = FolderSource.open(write_folder(tmp_path / "east", {"Ada": 2}, height=8, width=9), size=(6, 5), fit="crop")
    both = union(west=west, east=east)
    assert both.read_many(np.arange(4)).shape == (4, 3, 6, 5)
    assert np.array_equal(both.read(3), east.read(1))
    assert both.read_bytes(2) == (tmp_path / "east" / "Ada" / "0000.png").read_bytes()


def test_views_and_memory_work_on_it(both):
    view = subset(both, min_images=3)
    assert view.identities == ["person000", "person001"]
    kept = InMemory.load(select(view, np.arange(len(view))[::-1]))
    assert np.array_equal(kept.read(0), both.read(6))
    assert kept.keys[0] == "east/person001/1"


def test_the_account_lists_every_set(tmp_path, both):
    account = account_of(subset(both, min_images=3))
    west = subset(both.members["west"], min_images=3)
    lines = account_of(union(west=west, east=both.members["east"])).lines()
    assert lines[:4] == [
        "west and east together: 7 images of 3 identities",
        "  west, ArraySource: 3 images of 1 identity",
        "    dropped 2 images of 1 identity: fewer than 3 images (person000, ...)",
        "  east, ArraySource: 4 images of 3 identities",
    ]
    assert "  2 people are in several sets (person000, person001)" in account.lines()
    assert account.lines()[-1].endswith("fewer than 3 images (person002, ...)")
    assert account.as_dict()["members"]["east"]["images"] == 4


def test_the_fingerprint_sees_every_set(tmp_path):
    west = FolderSource.open(write_folder(tmp_path / "west", {"Ada": 2}))
    drawn = array_source([2])
    mixed = union(drawn=drawn, west=west)
    before = fingerprint(mixed)
    (tmp_path / "west" / "Ada" / "0000.png").write_bytes(b"other")
    assert fingerprint(mixed) != before
    assert union(drawn=drawn, other=drawn).stamp(0, times=False) is None
    apart = UnionSource.of(mixed.members, keep_apart({name: one.identities for name, one in mixed.members.items()}))
    assert fingerprint(apart) != fingerprint(mixed)


def test_names_of_sets(both):
    with pytest.raises(DataError, match="at least 1 set, got 0"):
        union()
    with pytest.raises(DataError, match="a word without a slash, got 'a/b'"):
        union(**{"a/b": both.members["west"]})


def test_batches_are_read_straight_into_their_place(tmp_path):
    from angulus.data.loading.workers import read_batch

    west = subset(FolderSource.open(write_folder(tmp_path / "west", {"Ada": 3, "Bob": 1})), min_images=2)
    both = union(west=west, east=array_source([2]))
    view = select(both, np.array([4, 2, 0, 3]))
    images = read_batch(view, np.arange(4)).numpy()
    for row, image in enumerate(images):
        assert np.array_equal(image.transpose(1, 2, 0), view.read(row))
