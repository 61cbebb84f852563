import numpy as np
import pytest

from angulus.data import BalancedSampler, EpochSampler, Groups
from angulus.errors import DataError


def epoch_of(sampler, epoch):
    return [sampler.batch(epoch, index) for index in range(sampler.batches_per_epoch)]


def test_an_epoch_sees_every_example_once():
    sampler = EpochSampler(num_examples=23, batch_size=5, drop_last=False)
    sizes = [len(batch) for batch in epoch_of(sampler, 0)]
    assert sizes == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate(epoch_of(sampler, 0))) == list(range(23))


def test_the_rest_is_another_one_each_epoch():
    sampler = EpochSampler(num_examples=23, batch_size=5)
    assert sampler.batches_per_epoch == 4
    left = [set(range(23)) - set(np.concatenate(epoch_of(sampler, epoch)).tolist()) for epoch in range(3)]
    assert all(len(rest) == 3 for rest in left)
    assert left[0] != left[1]


def test_batches_depend_on_seed_epoch_and_index_alone():
    one = EpochSampler(num_examples=50, batch_size=8, seed=4)
    other = EpochSampler(num_examples=50, batch_size=8, seed=4)
    other.batch(9, 0)
    assert np.array_equal(one.batch(3, 2), other.batch(3, 2))
    assert not np.array_equal(one.batch(3, 2), one.batch(2, 2))
    assert not np.array_equal(one.batch(3, 2), EpochSampler(num_examples=50, batch_size=8, seed=5).batch(3, 2))
    given = one.batch(3, 2)
    given[:] = 0
    assert not np.array_equal(one.batch(3, 2), given)


def test_a_small_set_is_one_batch():
    sampler = EpochSampler(num_examples=6, batch_size=64)
    assert sampler.batches_per_epoch == 1
    assert sorted(sampler.batch(0, 0).tolist()) == list(range(6))


def test_position_counts_batches_over_epochs():
    sampler = EpochSampler(num_examples=20, batch_size=5)
    assert [sampler.position(step) for step in (0, 3, 4, 9)] == [(0, 0), (0, 3), (1, 0), (2, 1)]


def test_balanced_sampling_draws_identities_equally_often():
    labels = np.repeat(np.arange(6), [1, 2, 30, 4, 5, 18])
    sampler = BalancedSampler(groups=Groups.of_labels(labels), batch_size=6)
    seen = np.concatenate(epoch_of(sampler, 0))
    assert np.bincount(labels[seen]).tolist() == [10] * 6
    assert len(set(seen[labels[seen] == 2].tolist())) == 10  # no image twice while there are others
    assert np.bincount(labels[sampler.batch(0, 3)]).tolist() == [1] * 6
    assert not np.array_equal(sampler.batch(0, 0), sampler.batch(1, 0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_examples": 0}, "num_examples must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(DataError, match=message):
        EpochSampler(**{"num_examples": 9, "batch_size": 3, **setting})


def test_batches_out_of_range():
    sampler = EpochSampler(num_examples=9, batch_size=3)
    with pytest.raises(DataError, match=r"batch must be in 0\.\.2"):
        sampler.batch(0, 3)
