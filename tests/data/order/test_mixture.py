"""Batches with a fixed number of examples of every set, as a function of seed, epoch and number alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angulus.data import MixedSampler
from angulus.data.loading.batch_loader import batches, slice_of
from angulus.data.order.mixture import quotas, spread
from angulus.errors import DataError

SIZES = (5, 17, 40)


def sampler(weights=(1.0, 1.0, 2.0), batch_size=12, sizes=SIZES, seed=3):
    return MixedSampler(sets=np.repeat(np.arange(len(sizes)), sizes), weights=weights, batch_size=batch_size, seed=seed)


def stream(mixed, number, steps):
    """The examples of one set in the order in which they come."""
    found = [mixed.batch(*mixed.position(step)) for step in range(steps)]
    return np.concatenate([rows[mixed.sets[rows] == number] for rows in found])


@pytest.mark.parametrize(
    ("weights", "batch", "counts"),
    [
        ([1, 3], 128, [32, 96]),
        ([1, 1, 1], 10, [4, 3, 3]),
        ([1, 1000], 16, [1, 15]),
        ([1000, 1, 1], 3, [1, 1, 1]),
        ([0.7, 0.3], 10, [7, 3]),
        ([5], 4, [4]),
    ],
)
def test_quotas_by_hand(weights, batch, counts):
    assert quotas(weights, batch) == counts


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6), st.integers(6, 300))
def test_quotas_are_the_shares_but_for_rounding(weights, batch):
    counts = quotas(weights, batch)
    assert sum(counts) == batch
    assert min(counts) >= 1
    exact = np.array(weights) / np.sum(weights) * batch
    forced = int(np.sum(exact < 1))  # sets that are given one at the cost of the largest
    assert np.all(np.abs(np.array(counts) - exact) < 1 + forced)


@pytest.mark.parametrize("weights", [[], [1, 0], [1, -1], [float("nan"), 1], [float("inf"), 1]])
def test_weights_that_are_none(weights):
    with pytest.raises(DataError, match="the weight of every set must be above 0"):
        quotas(weights, 8)


def test_a_batch_that_is_too_small():
    with pytest.raises(DataError, match="a batch of 2 examples cannot hold one of each of 3 sets"):
        sampler(batch_size=2)


def test_a_set_without_examples_is_refused():
    with pytest.raises(DataError, match="every one of 2 sets needs an example"):
        MixedSampler(sets=np.zeros(4, dtype=np.int64), weights=(1, 1), batch_size=2)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 50), st.integers(1, 60))
def test_every_stretch_of_a_batch_has_its_share(counts, begin, length):
    pattern = spread(counts)
    assert np.bincount(pattern).tolist() == counts
    part = pattern[begin : begin + length]
    for number, count in enumerate(counts):
        assert abs(np.sum(part == number) - len(part) * count / sum(counts)) <= len(counts)


def test_every_batch_has_the_same_sets_in_the_same_places():
    mixed = sampler()
    assert mixed.counts == (3, 3, 6)
    assert mixed.batches_per_epoch == sum(SIZES) // 12
    for step in range(20):
        assert np.array_equal(mixed.sets[mixed.batch(*mixed.position(step))], mixed.pattern)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_set_is_gone_through_in_shuffled_rounds(number):
    mixed = sampler()
    size, first = SIZES[number], sum(SIZES[:number])
    rounds = stream(mixed, number, 80)
    rounds = rounds[: len(rounds) // size * size].reshape(-1, size)
    assert len(rounds) >= 10
    assert all(np.array_equal(np.sort(order), np.arange(first, first + size)) for order in rounds)
    assert len({tuple(order) for order in rounds}) > len(rounds) // 2


def test_a_batch_is_a_function_of_its_number():
    forward = [sampler().batch(*sampler().position(step)) for step in range(30)]
    mixed = sampler()
    for step in np.random.default_rng(0).permutation(30):
        assert np.array_equal(mixed.batch(*mixed.position(int(step))), forward[step])
    assert not np.array_equal(sampler(seed=4).batch(0, 0), forward[0])
    with pytest.raises(DataError, match=r"batch must be in 0\.\.4 of an epoch from 0, got 5 of 0"):
        mixed.batch(0, 5)


def test_a_set_smaller_than_its_share_comes_several_times_in_a_batch():
    mixed = sampler(sizes=(2, 30), weights=(3, 1), batch_size=8)
    rows = mixed.batch(0, 0)
    assert sorted(rows[mixed.pattern == 0].tolist()) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_slices_of_processes_and_a_resumed_run_are_the_global_batches(world):
    from small_sets import array_source

    mixed, source = sampler(), array_source(SIZES)
    expected = [mixed.batch(*mixed.position(step)) for step in range(10)]
    parts = [
        [batch.indices.numpy() for batch in batches(source, mixed, end_epoch=2, rank=rank, world_size=world)]
        for rank in range(world)
    ]
    assert all(
        np.array_equal(np.concatenate(row), rows) for row, rows in zip(zip(*parts, strict=True), expected, strict=True)
    )
    resumed = [batch.indices.numpy() for batch in batches(source, mixed, epoch=1, start=2, num_workers=2)]
    assert all(np.array_equal(row, rows) for row, rows in zip(resumed, expected[7:], strict=True))
    assert slice_of(12, 1, 2) == (6, 12)


def test_a_large_set_is_not_listed(monkeypatch):
    monkeypatch.setattr("angulus.data.order.mixture.LISTED", 10)
    sets = np.repeat([0, 1], [30, 7])
    sampler = MixedSampler(sets=sets, weights=(2.0, 1.0), batch_size=9, seed=3)
    seen = np.concatenate([sampler.batch(*sampler.position(step)) for step in range(5)])
    np.testing.assert_array_equal(np.sort(seen[sets[seen] == 0]), np.arange(30))  # 5 batches of 6
    np.testing.assert_array_equal(sampler.batch(1, 2), sampler.batch(1, 2))
    assert not sampler._orders.get(0)
