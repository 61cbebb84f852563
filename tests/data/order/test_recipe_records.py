"""Every way of sampling: what an epoch holds, and that a run which resumes goes on with the same examples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import array_source

from angulus.config import load
from angulus.data import (
    PK,
    SAMPLINGS,
    BalancedSampler,
    Blocks,
    BlockSampler,
    EpochSampler,
    Groups,
    PKSampler,
    Weighted,
    WeightedSampler,
    batches,
    select,
)
from angulus.data.order import sampling
from angulus.errors import ConfigError, DataError

few_processors = pytest.mark.filterwarnings("ignore:This DataLoader will create")
COUNTS = [3, 1, 7, 2, 12, 5]
WAYS = {**{name: kind() for name, kind in SAMPLINGS.items() if name != "weighted"}, "pk": PK(images=2)}
WAYS |= {"weighted": Weighted(identity_power=0.5), "blocks": Blocks(block=4, window=3)}


def epoch_of(sampler, epoch=0):
    return np.concatenate([sampler.batch(epoch, index) for index in range(sampler.batches_per_epoch)])


@pytest.fixture
def unlisted(monkeypatch):
    """Small sets are treated as those of millions."""
    monkeypatch.setattr(sampling, "LISTED", 0)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 400), st.integers(5, 50), st.integers(0, 3), st.integers(1, 40), st.integers(1, 9))
def test_blocks_show_every_example_once(count, batch, epoch, block, window):
    sampler = BlockSampler(num_examples=count, batch_size=batch, drop_last=False, block=block, window=window)
    seen = epoch_of(sampler, epoch)
    assert sorted(seen.tolist()) == list(range(count))
    # a window of the order holds whole blocks and nothing else
    short = sampler.num_blocks * block - count
    done = 0
    while done < count:
        size = window * block
        for end in (size, size - short):
            blocks = np.unique(seen[done : done + end] // block)
            whole = sum(min((one + 1) * block, count) - one * block for one in blocks.tolist())
            if whole == len(seen[done : done + end]):
                break
        else:
            pytest.fail("a window holds a part of a block")
        done += end


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.integers(3, 50), st.integers(1, 20), st.integers(1, 5))
def test_blocks_are_announced_before_they_are_read(count, batch, block, window):
    sampler = BlockSampler(num_examples=count, batch_size=batch, block=block, window=window, drop_last=False)
    announced = []
    for index in range(sampler.batches_per_epoch):
        announced += [row for begin, end in sampler.upcoming(2, index) for row in range(begin, end)]
        assert set(sampler.batch(2, index).tolist()) <= set(announced)
    assert sorted(announced) == list(range(count))


def test_records_of_a_window_are_well_mixed():
    sampler = BlockSampler(num_examples=10_000, batch_size=100, block=100, window=20)
    blocks = sampler.batch(0, 0) // 100
    assert len(set(blocks.tolist())) >= 18
    assert not np.array_equal(sampler.batch(0, 0), sampler.batch(1, 0))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.integers(3, 50), st.integers(0, 5))
def test_uniform_shows_every_example_once(count, batch, epoch):
    for listed in (0, 2**20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sampling, "LISTED", listed)
            seen = epoch_of(EpochSampler(num_examples=count, batch_size=batch, drop_last=False), epoch)
        assert sorted(seen.tolist()) == list(range(count))


def test_a_million_examples_are_not_listed():
    small, large = (EpochSampler(num_examples=count, batch_size=8) for count in (2**20 - 1, 2**20))
    rng = np.random.default_rng([0, 0])
    assert np.array_equal(small.batch(0, 0), rng.permutation(2**20 - 1)[:8])
    assert np.array_equal(large.batch(0, 0), sampling._shuffled(2**20, sampling.key_of(0, 0))(np.arange(8)))


def test_orders_of_small_sets_stay_as_they_were():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(7), [1, 2, 9, 4, 5, 8, 3]))
    uniform = EpochSampler(num_examples=32, batch_size=8, seed=5)
    balanced = BalancedSampler(groups=Groups.of_labels(labels), batch_size=8, seed=5)
    assert uniform.batch(3, 1).tolist() == [15, 30, 16, 7, 20, 25, 12, 4]
    assert balanced.batch(3, 1).tolist() == [10, 15, 14, 24, 31, 19, 26, 0]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 30), st.booleans(), st.booleans())
def test_balanced_identities_come_equally_often(counts, batch, shuffled, listed):
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(1).permutation(labels) if shuffled else labels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "LISTED", 2**20 if listed else 0)
        seen = epoch_of(BalancedSampler(groups=Groups.of_labels(labels), batch_size=batch, drop_last=False))
    assert len(seen) == len(labels)
    drawn = np.bincount(labels[seen], minlength=len(counts))
    assert drawn.max() - drawn.min() <= 1
    for label, count in enumerate(counts):
        times = np.bincount(seen[labels[seen] == label], minlength=len(labels))[labels == label]
        assert times.max() - times.min() <= 1, count


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=20), st.integers(1, 5), st.integers(0, 2), st.booleans())
def test_p_by_k(counts, images, epoch, shuffled):
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(1).permutation(labels) if shuffled else labels
    sampler = PKSampler(groups=Groups.of_labels(labels), identities=3, images=images)
    assert sampler.batches_per_epoch == max(1, len(labels) // (3 * images))
    for index in range(sampler.batches_per_epoch):
        rows = sampler.batch(epoch, index).reshape(3, images)
        people = labels[rows]
        assert (people == people[:, :1]).all()
        assert len(set(people[:, 0].tolist())) == 3
        for row, person in zip(rows, people[:, 0], strict=True):
            times = np.unique(row, return_counts=True)[1]
            assert len(times) == min(images, counts[person])
            assert times.max() - times.min() <= 1


def test_p_by_k_goes_through_all_identities_and_their_images():
    labels = np.repeat(np.arange(8), 6)
    sampler = PKSampler(groups=Groups.of_labels(labels), identities=4, images=2)
    assert sorted(epoch_of(sampler).tolist()) == list(range(48))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=60).filter(lambda values: sum(values) > 1e-6))
def test_weighted_examples_come_as_often_as_their_weight_says(weights):
    sampler = WeightedSampler.of_images(weights, batch_size=7, drop_last=False)
    expected = len(weights) * np.array(weights) / sum(weights)
    for epoch in range(3):
        times = np.bincount(epoch_of(sampler, epoch), minlength=len(weights))
        assert (abs(times - expected) < 2).all()
        assert (times[np.array(weights) == 0] == 0).all()


def test_weights_hold_on_average():
    weights = np.array([0.2, 1, 3, 0.05, 0.5, 1, 1, 1])
    sampler = WeightedSampler.of_images(weights, batch_size=8)
    times = np.bincount(np.concatenate([epoch_of(sampler, epoch) for epoch in range(1000)]), minlength=8)
    assert np.allclose(times / times.sum(), weights / weights.sum(), atol=0.015)
    first = np.bincount([sampler.batch(epoch, 0)[0] for epoch in range(2000)], minlength=8) / 2000
    assert np.allclose(first, weights / weights.sum(), atol=0.05)  # whatever the place in the epoch


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_identities_weighted_by_a_power_of_their_images(power):
    source = array_source([size * 50 for size in COUNTS])
    sampler = Weighted(identity_power=power).sampler(source, batch_size=10, seed=3)
    drawn = np.bincount(source.labels[epoch_of(sampler)])
    wanted = np.array(COUNTS, dtype=float) ** power
    assert (abs(drawn - len(source) * wanted / wanted.sum()) < 2).all()
    times = np.bincount(epoch_of(sampler), minlength=len(source))
    for label in range(len(COUNTS)):
        own = times[source.labels == label]
        assert own.max() - own.min() <= 3  # each less than two from its share


def test_weights_from_a_file(tmp_path):
    source = select(array_source([4, 4, 4]), np.arange(4, 12))  # person001 and person002
    file = tmp_path / "weights.csv"
    file.write_text("identity,weight\nperson001,3\nperson002,1\nperson009,5\n")
    sampler = Weighted(weights=file).sampler(source, batch_size=4, seed=0)
    assert np.bincount(source.labels[epoch_of(sampler)]).tolist() == [6, 2]
    file.write_text("key,weight\nperson001/4,1\n")
    assert set(epoch_of(Weighted(weights=file, unlisted=0.0).sampler(source, batch_size=4, seed=0))) == {0}
    with pytest.raises(DataError, match=r"must give every key a weight, and 7 of 8 are missing, such as person001/5"):
        Weighted(weights=file).sampler(source, batch_size=4, seed=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,weight\na,1\n", r"must have the columns identity \(or key\) and weight; it has name, weight"),
        ("identity,weight\na,1\na,2\n", r"line 3: 'a' stands twice; every identity has one weight"),
        ("key,weight\na,much\n", r"line 2: the weight of 'a' must be a number from 0, got 'much'"),
        ("key,weight\na,-1\n", r"line 2: the weight of 'a' must be a number from 0, got '-1'"),
        ("key,weight\na,nan\n", r"line 2: the weight of 'a' must be a number from 0, got 'nan'"),
        (None, "no manifest at .*does not exist"),
    ],
)
def test_files_of_weights_that_are_wrong(tmp_path, text, message):
    file = tmp_path / "weights.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=message):
        Weighted(weights=file).sampler(array_source([2]), batch_size=1, seed=0)


@few_processors
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("large", [False, True])
def test_a_run_resumes_on_other_processes_with_the_same_examples(monkeypatch, name, large):
    monkeypatch.setattr(sampling, "LISTED", 0 if large else 2**20)
    source = select(array_source(COUNTS), np.arange(1, 30))
    sampler = WAYS[name].sampler(source, batch_size=6, seed=2)
    assert sampler.position(sampler.batches_per_epoch + 1) == (1, 1)
    whole = list(batches(source, sampler, end_epoch=3))
    sampler = WAYS[name].sampler(source, batch_size=6, seed=2)
    resumed = [list(batches(source, sampler, epoch=1, start=1, end_epoch=3, rank=r, world_size=2)) for r in range(2)]
    begin = sampler.batches_per_epoch + 1
    for batch, parts in zip(whole[begin:], zip(*resumed, strict=True), strict=True):
        for field in ("indices", "labels", "examples"):
            assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(batch, field))


@few_processors
@pytest.mark.parametrize("name", ["pk", "blocks"])
def test_a_run_resumes_with_other_workers_with_the_same_examples(name):
    source = select(array_source(COUNTS), np.arange(1, 30))
    sampler = WAYS[name].sampler(source, batch_size=6, seed=2)
    before = list(batches(source, sampler, end_epoch=2, num_workers=2))
    after = list(batches(source, sampler, epoch=0, start=2, end_epoch=2, num_workers=4))
    for one, two in zip(before[2:], after, strict=True):
        assert (one.epoch, one.index) == (two.epoch, two.index)
        assert torch.equal(one.indices, two.indices)
        assert torch.equal(one.examples, two.examples)


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize("name", WAYS)
def test_batches_depend_on_seed_epoch_and_index_alone(name):
    source = array_source([9] * 12)
    one, again, other = (WAYS[name].sampler(source, batch_size=8, seed=seed) for seed in (4, 4, 5))
    again.batch(9, 0)
    assert np.array_equal(one.batch(3, 2), again.batch(3, 2))
    for batch in (one.batch(2, 2), one.batch(3, 1), other.batch(3, 2)):
        assert not np.array_equal(one.batch(3, 2), batch)
    with pytest.raises(DataError, match=r"batch must be in 0\.\.12 of an epoch from 0, got 13 of 0"):
        one.batch(0, 13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BlockSampler(num_examples=3, batch_size=1, block=0), "block must be at least 1, got 0"),
        (lambda: WeightedSampler.of_images([1.0, -1.0], batch_size=1), r"at least 0, got -1.0 at place 1"),
        (lambda: WeightedSampler.of_images([0.0], batch_size=1), r"finite sum above 0, got 0.0"),
        (lambda: WeightedSampler.of_identities(Groups.of_labels([0, 1]), [1.0], batch_size=1), "2 identities, got 1"),
        (lambda: PK(images=2).sampler(array_source([2]), batch_size=8, seed=0), "needs 4 identities, and the data has"),
        (lambda: Groups.of_labels([]), "there is none"),
    ],
)
def test_what_no_sampler_can_do(make, message):
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("uniform", SAMPLINGS["uniform"]()),
        ("balanced", SAMPLINGS["balanced"]()),
        ("{name: pk, images: 8}", PK(images=8)),
        ("{name: weighted, identity_power: 0.25}", Weighted(identity_power=0.25)),
        ("{name: weighted, weights: w.csv, unlisted: 1}", Weighted(weights=Path("w.csv"), unlisted=1.0)),
        ("{name: blocks, window: 7}", Blocks(window=7)),
    ],
)
def test_ways_of_sampling_in_a_recipe(setting, kind):
    assert load([], ["data.path=x", f"train.sampling={setting}"]).train.sampling == kind


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("train.sampling=balancd", "train.sampling.name: unknown way of sampling 'balancd'; did you mean balanced?"),
        ("train.sampling=3", "train.sampling: must name a way of sampling, such as {name: uniform}, got 3"),
        (
            "train.sampling={name: pk, image: 3}",
            "train.sampling.image: unknown key; did you mean train.sampling.images?",
        ),
        (
            "train.sampling.window=3",
            "train.sampling.window: no key of uniform, but of blocks: set train.sampling.name=blocks",
        ),
        ("train.sampling={name: pk, images: 0}", "train.sampling.images: must be at least 1, got 0"),
        ("train.sampling=weighted", "train.sampling: weighted sampling needs either weights (a csv file) or"),
        (
            "train={batch_size: 10, sampling: pk}",
            "train.sampling: sampling by P x K needs a batch_size that is a multiple of its images (examples) of each "
            "identity, got 10 with 4",
        ),
    ],
)
def test_mistakes_in_a_recipe(setting, problem):
    with pytest.raises(ConfigError) as caught:
        load([], ["data.path=x", setting])
    assert [one[: len(problem)] for one in caught.value.problems] == [problem]


def test_a_way_of_ones_own(monkeypatch, tmp_path):
    (tmp_path / "my_order.py").write_text(
        "from dataclasses import dataclass\nfrom angulus.data import EpochSampler\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Mine:\n    first: int = 0\n\n"
        "    def sampler(self, source, *, batch_size, seed):\n"
        "        return EpochSampler(num_examples=len(source), batch_size=batch_size, seed=self.first)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = load([], ["data.path=x", "train.sampling={name: my_order:Mine, first: 3}"]).train.sampling
    assert found.sampler(array_source([4]), batch_size=2, seed=0).seed == 3
