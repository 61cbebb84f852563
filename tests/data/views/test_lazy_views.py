"""Views on large sets: what they show is what lists would show, and they hold no lists."""

import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import array_source

from angulus.data import (
    EncodedSource,
    Groups,
    InMemory,
    batches,
    convert,
    counts_of,
    drop_shared,
    fingerprint,
    join_parts,
    open_source,
    select,
    split_identities,
    subset,
)
from angulus.data.examples import labels_of
from angulus.data.formats.byte_ranges import Blob
from angulus.data.index.rows import Picked, Ranges, kept_rows, rows_at, taken_rows
from angulus.data.index.strings import StringTable, encode_name, ends_of
from angulus.data.loading.contents import Pictures as Content
from angulus.data.order.blocks import BlockSampler
from angulus.data.order.sampling import EpochSampler
from angulus.data.views import cache
from angulus.data.views.split import positions


def table(names):
    text = np.frombuffer(b"".join(map(encode_name, names)), dtype=np.uint8)
    return StringTable(text, ends_of(names, len(names)))


def mark(view):
    content = (list(view.keys), view.labels.tolist(), list(view.identities))
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def test_recipes_choose_what_they_always_chose():
    counts = np.random.default_rng(3).integers(0, 9, 60)
    counts[:3] = [0, 1, 8]
    source = array_source(counts.tolist())
    whole = subset(source, exclude=["person005"], min_images=2, max_images_per_identity=5, seed=4)
    parts = split_identities(whole, {"train": 0.6, "dev": 0.1, "test": 0.2}, seed=7)
    assert [mark(view) for view in (whole, parts["train"], parts["test"])] == [
        "56e9c1ddfa83a9f3",
        "b00cc9bd7a260f2a",
        "edc475a99b6d68e4",
    ]
    assert mark(join_parts(whole, [parts["dev"], parts["train"]])) == "e05714edee656f0d"
    assert mark(subset(source, max_identities=9, seed=2)) == "988a8bdc3335e65a"
    assert mark(drop_shared(source, ["PERSON 007", "person009"])) == "dd65b5e99c6f3801"
    assert fingerprint(parts["train"]).startswith("bfd02659b4181732")
    assert fingerprint(source).startswith("8eac499931c186e8")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.data())
def test_rows_of_views_are_those_of_lists(keep, data):
    rows, naive = Ranges.whole(len(keep)), np.arange(len(keep))
    for _ in range(3):
        mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(naive), max_size=len(naive))), dtype=bool)
        rows, naive = kept_rows(rows, mask), naive[mask]
        assert len(rows) == len(naive)
        assert np.array_equal(rows_at(rows, np.arange(len(naive))), naive)
        if len(naive):
            some = np.array(data.draw(st.lists(st.integers(0, len(naive) - 1), max_size=20)), dtype=np.int64)
            assert np.array_equal(rows_at(rows, some), naive[some])
            assert np.array_equal(rows_at(taken_rows(rows, some), np.arange(len(some))), naive[some])


def test_a_view_of_few_ranges_is_small_whatever_its_length():
    keep = np.ones(3_000_000, dtype=bool)
    keep[1_000_000:1_500_000] = False
    rows = kept_rows(Ranges.whole(len(keep)), keep)
    assert isinstance(rows, Ranges)
    assert rows.starts.tolist() == [0, 1_500_000]
    scattered = kept_rows(rows, np.arange(2_500_000) % 2 == 0)
    assert isinstance(scattered, np.ndarray)
    assert scattered.dtype == np.uint32
    assert rows_at(scattered, np.array([500_001])).tolist() == [1_500_002]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=5), max_size=30), st.data())
def test_names_are_looked_up(names, data):
    for source in (names, table(names)):
        places = st.lists(st.integers(0, len(names) - 1), max_size=9) if names else st.just([])
        rows = np.array(data.draw(places), dtype=np.int64)
        picked = Picked(source, rows)
        expected = [names[row] for row in rows]
        assert list(picked) == picked[:] == expected
        assert picked == expected
        assert expected == picked
        assert picked != [*expected, "more"]
        assert picked[::-2] == expected[::-2]
        assert [picked[place] for place in range(len(rows))] == expected
        assert list(Picked(picked, np.arange(len(rows))[::-1])) == expected[::-1]
        assert positions(picked, 3).tolist() == [positions([name], 3)[0] for name in expected]


def test_names_far_apart():
    names = table([f"name{number}" for number in range(10_000)])
    assert names.many(np.array([9_999, 0])) == [b"name9999", b"name0"]
    with pytest.raises(IndexError):
        Picked(names, np.array([3]))[1]


def test_nothing_is_copied_where_nothing_is_dropped():
    source = array_source([3, 4])
    view = subset(source)
    assert subset(view, min_images=3) is view
    assert subset(view, max_images_per_identity=4) is view
    assert split_identities(view, {"train": 1.0})["train"].rows.ends.tolist() == [7]
    assert view.account.drops == ()


def test_identities_without_an_image_vanish():
    view = subset(array_source([2, 0, 3]))
    assert view.identities == ["person000", "person002"]
    assert view.labels.tolist() == [0, 0, 1, 1, 1]
    assert view.indices.tolist() == [0, 1, 2, 3, 4]
    assert view.account.lines()[1] == "  dropped 1 identity: without an image"


def test_labels_and_counts_without_an_array_of_all():
    source = array_source([3, 1, 4])
    view = select(source, np.array([7, 4, 0, 1, 6]))
    for one in (view, InMemory.load(view)):
        assert labels_of(one, np.array([4, 2])).tolist() == [1, 0]
        assert counts_of(one).tolist() == [2, 3]
    assert "labels" not in vars(view)


def test_groups_of_images_that_lie_together_need_no_order():
    groups = Groups.of(select(array_source([3, 1, 4]), np.array([0, 1, 4, 5, 6])))
    assert groups.order is None
    assert (groups.starts.tolist(), groups.counts.tolist()) == ([0, 2], [2, 3])
    mixed = Groups.of_labels([2, 0, 2, 5])
    assert mixed.order.dtype == np.uint8
    assert (mixed.order.tolist(), mixed.labels.tolist()) == ([1, 0, 2, 3], [0, 2, 5])


@pytest.fixture
def packed(tmp_path):
    images = [bytes([number]) * (number + 1) for number in range(40)]
    source = EncodedSource.of(images, labels=np.repeat(np.arange(10), 4), identities=[f"p{one}" for one in range(10)])
    convert(source, tmp_path / "set.packed")
    return open_source(tmp_path / "set.packed")


def test_a_worker_gets_the_files_and_no_view(packed):
    view = subset(packed, max_images_per_identity=2)
    assert len(pickle.dumps(view.source)) < 2000
    assert pickle.loads(pickle.dumps(view)).keys == view.keys


def test_large_sets_have_a_fingerprint_in_binary_form(packed, monkeypatch):
    small = fingerprint(packed)
    monkeypatch.setattr(cache, "_LARGE", 10)
    view = select(packed, np.arange(39))
    marks = {small, fingerprint(packed), fingerprint(view), fingerprint(replace(packed, content=Content(fit="crop")))}
    assert len(marks) == 4
    assert fingerprint(packed) == fingerprint(subset(packed))


def test_blocks_are_fetched_ahead(packed, monkeypatch):
    asked = []
    monkeypatch.setattr(Blob, "will_need", lambda self, offset, length: asked.append((offset, length)))
    view = select(packed, np.arange(8, 40))
    view = replace(view, source=Pictures(packed))
    sampler = BlockSampler(num_examples=32, batch_size=8, block=8, window=1)
    stream = batches(view, sampler)
    next(stream)
    assert len(asked) == 2
    list(stream)
    offsets = packed.records.offsets
    assert sorted(asked) == [(int(offsets[at]), int(offsets[at + 8] - offsets[at])) for at in (8, 16, 24, 32)]
    assert list(batches(packed_pictures := Pictures(packed), EpochSampler(num_examples=40, batch_size=8)))
    assert len(packed_pictures) == 40


class Pictures:
    """The packed set, with a grey picture for each image."""

    def __init__(self, packed):
        self.packed, self.labels, self.identities = packed, packed.labels, packed.identities
        self.keys, self.will_need = packed.keys, packed.will_need

    def __len__(self):
        return len(self.packed)

    def read(self, index):
        return np.full((2, 2, 3), index, dtype=np.uint8)


def test_reading_ahead_is_only_a_hint(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    Blob.find(tmp_path / "a").will_need(2, 100)
    Blob.find(tmp_path / "a").will_need(2, 0)
