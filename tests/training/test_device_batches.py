"""The share of time without work is right, and copies to a device are in the right order."""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from devices.gpu import LAST, needs_gpu
from small_sets import ArraySource

from angulus.data import Batch, EpochSampler, batches
from angulus.training.device_batches import CudaLine, Feed, HostLine, line_to


def some_batches(count):
    for index in range(count):
        images = torch.full((2, 3, 4, 4), index, dtype=torch.uint8)
        numbers = torch.tensor([2 * index, 2 * index + 1])
        yield Batch(examples=images, labels=numbers, indices=numbers, epoch=0, index=index, start=0, total=2)


class Clockwork:
    """A program and a device with clocks that the test moves: what the device is told waits in a queue."""

    def __init__(self):
        self.now = 0.0
        self.device_done = 0.0

    def mark(self):
        return max(self.now, self.device_done)

    def seconds(self, begin, end):
        return end - begin

    def send(self, tensors):
        return tensors

    def compute(self, seconds):
        self.device_done = max(self.now, self.device_done) + seconds

    def load(self, count, seconds):
        for batch in some_batches(count):
            self.now += seconds
            yield batch


@pytest.mark.parametrize(
    ("loading", "computing", "idle"),
    [
        (3.0, 10.0, 3.0),  # only the first batch is waited for, though the program waits 3 s for each
        (10.0, 10.0, 10.0),
        (10.0, 4.0, 10.0 + 9 * 6.0),
        (10.0, 0.0, 100.0),
    ],
)
def test_time_without_work_is_that_of_the_device(loading, computing, idle):
    line = Clockwork()
    feed = Feed(line.load(10, loading), line)
    for step, _ in enumerate(feed):
        line.compute(computing)
        if step == 4:
            assert feed.waited() <= idle
    assert feed.waited() == pytest.approx(idle)
    assert feed.waited() == pytest.approx(idle)


def test_other_work_of_the_program_is_no_waiting():
    line = Clockwork()
    feed = Feed(line.load(5, 1.0), line)
    for _ in feed:
        line.compute(2.0)
        line.now = line.device_done + 100.0  # a checkpoint, say
    assert feed.waited() == pytest.approx(5.0)


def test_a_cpu_gets_the_batches_as_they_are():
    line = line_to(torch.device("cpu"))
    assert isinstance(line, HostLine)
    given = list(some_batches(3))
    fed = list(Feed(iter(given), line))
    for one, other in zip(fed, given, strict=True):
        assert one.examples is other.examples
        assert (one.index, one.labels.tolist(), one.indices.tolist()) == (other.index, *[other.labels.tolist()] * 2)


@dataclass(frozen=True, eq=False)
class Slow(ArraySource):
    def read(self, index):
        time.sleep(0.01)
        return super().read(index)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(
    ("num_workers", "step", "least", "most"), [(0, 0.04, 0.3, 0.9), (2, 0.12, 0.0, 0.5), (2, 0.0, 0.5, 1.0)]
)
def test_the_share_of_waiting_is_right_with_workers(num_workers, step, least, most):
    """A batch of 4 takes 0.04 s here, 0.02 s with two workers."""
    source = Slow(np.zeros(80, dtype=np.int64), ["Ada"])
    sampler = EpochSampler(num_examples=80, batch_size=4)
    feed = Feed(batches(source, sampler, num_workers=num_workers), HostLine())
    next(feed)
    first, started = feed.waited(), time.perf_counter()
    for _ in feed:
        time.sleep(step)
    assert least <= (feed.waited() - first) / (time.perf_counter() - started) <= most


class Recorded:
    """Stands for CUDA: a list of what it was told."""

    def __init__(self, monkeypatch):
        self.told = []
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: "side")
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self)
        monkeypatch.setattr(torch.cuda, "stream", self.on)

    @contextmanager
    def on(self, stream):
        self.told.append(("enter", stream))
        yield
        self.told.append(("leave", stream))

    def wait_stream(self, stream):
        self.told.append(("wait", stream))

    def tensor(self, name):
        return RecordedTensor(self, name)


class RecordedTensor:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def pin_memory(self):
        self.cuda.told.append(("pin", self.name))
        return self

    def to(self, device, non_blocking):
        assert non_blocking
        self.cuda.told.append(("copy", self.name))
        return self

    def record_stream(self, stream):
        assert stream is self.cuda
        self.cuda.told.append(("record", self.name))


def test_cuda_copies_on_a_stream_of_its_own_which_computing_waits_for(monkeypatch):
    cuda = Recorded(monkeypatch)
    line = CudaLine(torch.device("cuda"))
    line.send([cuda.tensor("images"), cuda.tensor("labels")])
    assert cuda.told == [
        *[("enter", "side"), ("pin", "images"), ("copy", "images"), ("pin", "labels"), ("copy", "labels")],
        *[("leave", "side"), ("wait", "side"), ("record", "images"), ("record", "labels")],
    ]


@needs_gpu
def test_batches_arrive_on_a_cuda_device():
    device = torch.device(LAST)
    feed = Feed(some_batches(5), line_to(device))
    for index, batch in enumerate(feed):
        assert batch.examples.device == device
        assert bool((batch.examples == index).all())
    assert feed.waited() >= 0.0
