"""The shuffled order that is computed place by place."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angulus.data import Permutation
from angulus.data.index.permutation import key_of, mixed, permuted, uniform
from angulus.errors import DataError

KEYS = mixed(np.arange(20_000))


def deviation(counts, expected):
    """How many standard deviations chi-square lies above what chance gives."""
    freedom = counts.size - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_every_small_size_is_a_bijection(key):
    for size in range(1, 300):
        order = Permutation(size, key)
        examples = order(np.arange(size))
        assert sorted(examples.tolist()) == list(range(size))
        assert order.inverse(examples).tolist() == list(range(size))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 2**62), st.integers(0, 2**64 - 1), st.data())
def test_the_inverse_leads_back(size, key, data):
    order = Permutation(size, key)
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20)))
    examples = order(places)
    assert examples.dtype == np.int64
    assert 0 <= examples.min() <= examples.max() < size
    assert np.array_equal(order.inverse(examples), places)
    assert len(set(examples.tolist())) == len(set(places.tolist()))


def test_a_large_set_is_seen_once():
    examples = Permutation(2**20 + 7, 5)(np.arange(2**20 + 7))
    assert np.array_equal(np.sort(examples), np.arange(2**20 + 7))


def test_orders_depend_on_the_key_and_keep_the_shape():
    places = np.arange(40).reshape(4, 10)
    one, other = Permutation(42_000_000, 1)(places), Permutation(42_000_000, 2)(places)
    assert one.shape == (4, 10)
    assert not np.isin(one, other).any()
    assert key_of(0, 1) != key_of(1, 0)


def test_the_order_never_changes():
    """Published figures depend on it."""
    assert Permutation(42_000_000, key_of(0, 3))([0, 1, 41_999_999]).tolist() == [35342386, 2999089, 7026312]


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_of_a_few_come_equally_often(size):
    orders = permuted(np.arange(size)[None], np.array([[size]]), KEYS[:, None])
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == math.factorial(size)
    assert abs(deviation(counts, len(KEYS) / len(counts))) < 5


@pytest.mark.parametrize("size", [7, 16, 30, 100])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_place_holds_every_example_equally_often(size, place):
    examples = permuted(np.array([place % size]), np.array([size]), KEYS)
    assert abs(deviation(np.bincount(examples, minlength=size), len(KEYS) / size)) < 5


def test_neighbours_are_as_in_a_list_shuffled_by_numpy():
    size = 1_000_000
    examples = Permutation(size, 7)(np.arange(size))
    # pairs of neighbours in a grid of 20 x 20, and the difference of neighbours, as if drawn independently
    cells = examples[:-1] * 20 // size * 20 + examples[1:] * 20 // size
    assert abs(deviation(np.bincount(cells, minlength=400), (size - 1) / 400)) < 5
    assert abs(np.corrcoef(examples[:-1], examples[1:])[0, 1]) < 5 / math.sqrt(size)
    assert abs((np.diff(examples) > 0).mean() - 0.5) < 5 * math.sqrt(1 / 12 / size)
    # runs of the original order: a random order of n has one neighbour x, x + 1 on average
    assert np.count_nonzero(np.diff(examples) == 1) < 8


def test_epochs_have_nothing_to_do_with_each_other():
    size, places = 3_000_017, np.arange(200_000)
    epochs = [Permutation(size, key_of(0, epoch))(places) for epoch in range(4)]
    for first in range(4):
        for second in range(first):
            assert abs(np.corrcoef(epochs[first], epochs[second])[0, 1]) < 5 / math.sqrt(len(places))
    same = np.count_nonzero(epochs[0] == epochs[1])
    assert same < 5  # 200,000 / 3,000,017 are expected


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 500), st.integers(0, 2**63))
def test_many_sizes_and_keys_at_once(size, key):
    sizes = np.array([[size], [size + 1]])
    found = permuted(np.arange(size)[None], sizes, np.array([[key], [key + 1]], dtype=np.uint64))
    for row, one in zip(found, sizes[:, 0], strict=True):
        assert len(set(row.tolist())) == size
        assert 0 <= row.min() <= row.max() < one
    assert np.array_equal(permuted(np.arange(size), sizes[0], np.array([key], dtype=np.uint64)), found[0])


def test_numbers_between_0_and_1_are_even():
    numbers = uniform(np.arange(100_000), 3)
    assert 0 <= numbers.min() < numbers.max() < 1
    assert abs(deviation(np.bincount((numbers * 100).astype(int)), 1000)) < 5


@pytest.mark.parametrize("size", [0, -1, 2**62 + 1])
def test_sizes_out_of_range(size):
    with pytest.raises(DataError, match=rf"the size of a permutation must be in 1\.\.2\*\*62, got {size}"):
        Permutation(size)


def test_places_out_of_range():
    with pytest.raises(DataError, match=r"places must be in 0\.\.8, got 0 to 9"):
        Permutation(9)([0, 9])
    assert Permutation(9)([]).tolist() == []
