import numpy as np
import pytest
import torch
from small_sets import array_source, write_folder

from angulus.data import EpochSampler, FolderSource, InMemory, batches, sequential, subset
from angulus.errors import DataError

few_processors = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture
def source():
    return array_source([3, 4, 5, 6])


@pytest.fixture
def sampler():
    return EpochSampler(num_examples=18, batch_size=5, seed=1)


def assert_same(one, other):
    assert (one.epoch, one.index, one.start, one.total) == (other.epoch, other.index, other.start, other.total)
    for name in ("examples", "labels", "indices"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_batch_holds_images_labels_and_their_place(source, sampler):
    batch = list(batches(source, sampler))[1]
    assert batch.examples.shape == (5, 3, 12, 10)
    assert batch.examples.dtype == torch.uint8
    assert batch.examples.permute(0, 2, 3, 1).is_contiguous()
    assert batch.labels.dtype == batch.indices.dtype == torch.int64
    assert (batch.epoch, batch.index, batch.start, batch.total) == (0, 1, 0, 5)
    rows = sampler.batch(0, 1)
    assert batch.indices.tolist() == rows.tolist()
    assert batch.labels.tolist() == source.labels[rows].tolist()
    assert np.array_equal(batch.examples[2].numpy().transpose(1, 2, 0), source.read(int(rows[2])))


@few_processors
@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(source, sampler, num_workers):
    alone = list(batches(source, sampler, epoch=2, end_epoch=4))
    helped = list(batches(source, sampler, epoch=2, end_epoch=4, num_workers=num_workers))
    assert [(batch.epoch, batch.index) for batch in alone] == [(e, i) for e in (2, 3) for i in range(3)]
    for one, other in zip(alone, helped, strict=True):
        assert_same(one, other)


def test_memory_and_views_change_nothing(source, sampler):
    plain = list(batches(source, sampler))
    for other in (InMemory.load(source), subset(InMemory.load(source))):
        for one, two in zip(plain, batches(other, sampler), strict=True):
            assert_same(one, two)


def test_a_run_resumes_in_the_middle_of_an_epoch(source, sampler):
    whole = list(batches(source, sampler, end_epoch=3))
    resumed = list(batches(source, sampler, epoch=1, start=2, end_epoch=3))
    assert len(resumed) == 4
    for one, other in zip(whole[5:], resumed, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("world_size", [2, 3])
def test_slices_of_all_processes_make_the_global_batch(source, sampler, world_size):
    whole = list(batches(source, sampler))
    slices = [list(batches(source, sampler, rank=rank, world_size=world_size)) for rank in range(world_size)]
    for index, batch in enumerate(whole):
        parts = [part[index] for part in slices]
        assert torch.equal(torch.cat([part.examples for part in parts]), batch.examples)
        assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)
        assert [part.start for part in parts] == np.cumsum([0, *map(len, parts)])[:-1].tolist()
        assert {part.total for part in parts} == {5}
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@few_processors
@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unreadable_image_is_named_from_a_worker_too(tmp_path, num_workers):
    root = write_folder(tmp_path, {"Ada": 3, "Bob": 3})
    (root / "Bob" / "0001.png").write_bytes(b"no image")
    source = FolderSource.open(root)
    sampler = EpochSampler(num_examples=6, batch_size=2)
    with pytest.raises(DataError, match=r"^cannot read .*Bob/0001.png: its content is not an image"):
        list(batches(source, sampler, num_workers=num_workers))


@few_processors
@pytest.mark.parametrize("num_workers", [0, 1])
def test_sequential_reads_every_image_in_order(source, num_workers):
    read = list(sequential(source, 7, num_workers=num_workers))
    assert [len(images) for images, _ in read] == [7, 7, 4]
    assert torch.cat([indices for _, indices in read]).tolist() == list(range(18))
    assert np.array_equal(read[2][0][3].numpy().transpose(1, 2, 0), source.read(17))


@few_processors
def test_a_reader_that_stops_early_leaves_no_worker(source, sampler):
    import multiprocessing

    reader = batches(source, sampler, end_epoch=50, num_workers=1)
    next(reader)
    reader.close()
    assert multiprocessing.active_children() == []


def test_settings_out_of_range(source, sampler):
    with pytest.raises(DataError, match=r"rank must be in 0\.\.1, got 2"):
        batches(source, sampler, rank=2, world_size=2)
    with pytest.raises(DataError, match="counts 18 examples, the source 4"):
        batches(array_source([4]), sampler)
    with pytest.raises(DataError, match="cannot be cut into 6 slices"):
        batches(source, sampler, world_size=6)
    with pytest.raises(DataError, match="batch_size must be at least 1"):
        next(sequential(source, 0))
    ragged = EpochSampler(num_examples=18, batch_size=17, drop_last=False)
    with pytest.raises(DataError, match=r"has 1 examples, too few for 2 processes"):
        list(batches(source, ragged, world_size=2))
