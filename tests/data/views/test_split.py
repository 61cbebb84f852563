import numpy as np
import pytest
from small_sets import array_source, write_folder

from angulus.data import (
    FolderSource,
    InMemory,
    drop_shared,
    fingerprint,
    read_images,
    select,
    split_identities,
    subset,
)
from angulus.errors import DataError


def test_a_view_numbers_labels_anew_and_leaves_its_source_alone():
    source = array_source([2, 3, 1])
    before = source.labels.copy()
    view = select(source, np.array([5, 2, 3]))
    assert view.identities == ["person001", "person002"]
    assert view.labels.tolist() == [1, 0, 0]
    assert view.keys == ["person002/5", "person001/2", "person001/3"]
    assert np.array_equal(view.read(0), source.read(5))
    assert np.array_equal(source.labels, before)


def test_views_of_views_read_the_first_source():
    source = array_source([2, 3, 4])
    view = subset(subset(source, exclude=["person000"]), min_images=4)
    assert view.source is source
    assert view.identities == ["person002"]
    assert np.array_equal(read_images(view, np.array([1])), read_images(source, np.array([6])))
    assert [drop.reason for drop in view.account.drops] == ["excluded by name", "fewer than 4 images"]


def test_conditions_of_a_subset():
    source = array_source([1, 5, 9, 3, 7])
    assert subset(source, min_images=4).identities == ["person001", "person002", "person004"]
    assert subset(source, identities=["person003"], exclude=["nobody"]).labels.tolist() == [0, 0, 0]
    limited = subset(source, max_images_per_identity=4, max_identities=3, seed=1)
    assert len(limited.identities) == 3
    assert np.bincount(limited.labels).max() <= 4
    with pytest.raises(DataError, match="not in the data: nobody"):
        subset(source, identities=["nobody"])
    with pytest.raises(DataError, match=r"no example is left[\s\S]*fewer than 10 images"):
        subset(source, min_images=10)
    with pytest.raises(DataError, match="max_identities must be at least 1, got 0"):
        subset(source, max_identities=0)


def test_limits_keep_their_choice_when_identities_are_added():
    small, large = array_source([4] * 10), array_source([4] * 20)
    chosen = set(subset(small, max_images_per_identity=2, seed=3).keys)
    again = subset(large, max_images_per_identity=2, seed=3).keys
    assert chosen == {key for key in again if key.split("/")[0] < "person010"}


def test_parts_share_no_identity_and_hold_everything():
    source = array_source([3] * 200)
    parts = split_identities(source, {"train": 0.7, "check": 0.1, "test": 0.2}, seed=5)
    names = [name for part in parts.values() for name in part.identities]
    assert sorted(names) == source.identities
    assert sum(map(len, parts.values())) == 600
    assert len(parts["train"].identities) == pytest.approx(140, abs=25)
    assert "not in the part train" in parts["train"].account.lines()[1]


def test_adding_identities_never_moves_others():
    small = split_identities(array_source([2] * 40), {"train": 0.6, "test": 0.4})
    large = split_identities(array_source([2] * 90), {"train": 0.6, "test": 0.4})
    assert set(small["train"].identities) <= set(large["train"].identities)
    assert set(small["test"].identities) <= set(large["test"].identities)
    other = split_identities(array_source([2] * 40), {"train": 0.6, "test": 0.4}, seed=1)
    assert other["train"].identities != small["train"].identities


@pytest.mark.parametrize(
    ("count", "fractions", "sizes"),
    [
        (26, {"train": 0.8, "test": 0.2}, [21, 5]),
        (40, {"train": 0.8, "test": 0.2}, [32, 8]),
        (10, {"train": 0.8, "test": 0.2}, [8, 2]),
        (4, {"train": 0.8, "test": 0.2}, [2, 2]),
        (5, {"a": 1 / 2, "b": 1 / 2}, [3, 2]),
        (7, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, [3, 2, 2]),
        (100, {"train": 0.98, "test": 0.01}, [97, 2]),
        (100, {"train": 0.56, "tune": 0.14, "test": 0.30}, [56, 14, 30]),
        (199, {"train": 0.5}, [100]),
        (3, {"train": 0.8, "test": 0.2}, [2, 1]),
    ],
)
def test_exact_shares(count, fractions, sizes):
    parts = split_identities(array_source([2] * count), fractions, seed=3, shares="auto", fewest=2)
    assert [len(part.identities) for part in parts.values()] == sizes
    names = [name for part in parts.values() for name in part.identities]
    assert len(set(names)) == len(names)


def test_exact_shares_follow_the_order_of_the_hashes_and_auto_ends_at_a_thousand():
    small, large = array_source([2] * 999), array_source([2] * 1000)
    fractions = {"train": 0.6, "test": 0.4}
    exact, by_name = (split_identities(small, fractions, shares=how) for how in ("auto", "by_name"))
    moved = set(exact["train"].identities) ^ set(by_name["train"].identities)
    assert len(moved) == abs(len(exact["train"].identities) - len(by_name["train"].identities))
    same, auto = (split_identities(large, fractions, shares=how) for how in ("by_name", "auto"))
    assert same["train"].identities == auto["train"].identities


def test_fractions_below_one_leave_identities_out():
    parts = split_identities(array_source([1] * 100), {"train": 0.3, "test": 0.3})
    assert 40 < sum(len(part) for part in parts.values()) < 80


@pytest.mark.parametrize("fractions", [{}, {"train": 0.8, "test": 0.3}, {"train": -0.1}, {"train": 0.0, "test": 1.0}])
def test_fractions_that_make_no_sense(fractions):
    with pytest.raises(DataError, match="fractions must be positive and sum to at most 1"):
        split_identities(array_source([1] * 10), fractions)


def test_an_empty_part_is_an_error():
    with pytest.raises(DataError, match=r"the part test \(0.01 of 2 identities\) is empty with .*split_seed 0: add"):
        split_identities(array_source([1, 1]), {"train": 0.99, "test": 0.01})


def test_shared_names_are_dropped_whatever_their_spelling(tmp_path):
    source = FolderSource.open(write_folder(tmp_path, {"Ada_Lovelace": 2, "Alan_Turing": 1, "Grace-Hopper": 1}))
    view = drop_shared(source, ["ada lovelace", "GRACE_HOPPER", "Nobody"])
    assert view.identities == ["Alan_Turing"]
    assert "dropped 3 images of 2 identities: name shared with the other set" in view.account.lines()[1]


def test_pixels_in_memory_are_those_of_the_source():
    source = array_source([2, 3])
    memory = InMemory.load(source)
    assert memory.pixels.shape == (5, 3, 12, 10)
    assert np.array_equal(memory.read(4), source.read(4))
    assert np.array_equal(read_images(memory, np.array([3, 0])), read_images(source, np.array([3, 0])))
    view = select(memory, np.array([4, 1]))
    assert np.array_equal(read_images(view, np.array([0])), read_images(source, np.array([4])))
    assert fingerprint(memory) == fingerprint(source)


def test_memory_limit_is_kept():
    with pytest.raises(DataError, match="5 images need"):
        InMemory.load(array_source([5]), most_bytes=100)


def test_pixels_on_disk_are_used_until_the_source_changes(tmp_path):
    root = write_folder(tmp_path / "people", {"Ada": 2, "Bob": 1})
    kept = tmp_path / "kept"
    first = InMemory.load(FolderSource.open(root), folder=kept)
    again = InMemory.load(FolderSource.open(root), folder=kept)
    assert len(list(kept.iterdir())) == 1
    assert np.array_equal(first.pixels, again.pixels)
    assert read_images(again, np.array([0, 2])).flags.writeable
    InMemory.load(FolderSource.open(root, size=(8, 8)), folder=kept)
    assert len(list(kept.iterdir())) == 2


def test_an_unreadable_image_stops_the_decoding(tmp_path):
    root = write_folder(tmp_path / "people", {"Ada": 3})
    (root / "Ada" / "0001.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"Ada/0001.png"):
        InMemory.load(FolderSource.open(root), threads=2)


def check_pairs(pairs, labels):
    assert (pairs.first != pairs.second).all()
    assert np.array_equal(labels[pairs.first] == labels[pairs.second], pairs.same)
    low, high = np.minimum(pairs.first, pairs.second), np.maximum(pairs.first, pairs.second)
    assert len(set(zip(low.tolist(), high.tolist(), strict=True))) == len(pairs)
    for fold in np.unique(pairs.fold):
        inside = pairs.same[pairs.fold == fold]
        assert inside.sum() * 2 == len(inside)
