"""Batches under way at once come back whole and in order, whatever carries them, and nothing is left behind."""

import threading
import time

import numpy as np
import pytest
import torch
from models.test_networks import SMALL_CONFIGS
from test_extract import Average, Photos

from angulus.errors import DataError, ModelError
from angulus.extract import embed
from angulus.inference import passes
from angulus.inference.lanes import DEVICE_AHEAD, DeviceLane, DirectLane, thread_lane, through


class LateTransport:
    """A device on which nothing has happened before it is waited for, and that then tells what was asked of it."""

    def __init__(self):
        self.events = []

    def send(self, batch):
        self.events.append("send")
        return batch.clone()

    def fetch(self, results):
        self.events.append("fetch")
        return tuple(torch.full_like(result, torch.nan) for result in results), results

    def arrived(self, ticket):
        self.events.append("wait")
        copies, results = ticket
        for copy, result in zip(copies, results, strict=True):
            copy.copy_(result)
        return copies


def squares(batch):
    time.sleep(0.002 * (int(batch[0, 0]) % 3))
    return batch.float() ** 2, -batch.float()


def batches(count):
    return [torch.full((1 + number % 3, 2), number) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 3, 23])
def test_every_lane_gives_every_batch_in_order(count) -> None:
    wanted = list(through(DirectLane(squares), batches(count)))
    late = list(through(DeviceLane(squares, LateTransport()), batches(count)))
    with thread_lane(squares, 3) as lane:
        beside = list(through(lane, batches(count)))
    for found in (late, beside):
        assert [number for number, _ in found] == [number for number, _ in wanted]
        for (_, got), (_, want) in zip(found, wanted, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_a_device_is_waited_for_only_when_results_are_due() -> None:
    transport = LateTransport()
    list(through(DeviceLane(squares, transport), batches(10)))
    first_wait = transport.events.index("wait")
    assert transport.events[:first_wait].count("fetch") == DEVICE_AHEAD
    assert transport.events.count("wait") == 10


def test_a_lane_that_is_left_early_ends_its_threads_and_drops_what_waits() -> None:
    done = []

    def slow(batch):
        done.append(int(batch[0, 0]))
        time.sleep(0.05)
        return (batch,)

    before, threads = threading.active_count(), torch.get_num_threads()

    def interrupted():
        with thread_lane(slow, 2) as lane:
            for batch in batches(20):
                lane.submit(batch)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(done) <= 4
    assert threading.active_count() == before
    assert torch.get_num_threads() == threads


def test_errors_inside_a_lane_are_the_callers() -> None:
    def broken(batch):
        raise ModelError("no")

    with pytest.raises(ModelError, match="no"), thread_lane(broken, 2) as lane:
        list(through(lane, batches(5)))


class Many(Photos):
    def __init__(self, count=70, odd_one=None):
        super().__init__(32, 24)
        random = np.random.default_rng(1)
        self.images = [random.integers(0, 256, (32, 24, 3), dtype=np.uint8) for _ in range(count)]
        if odd_one is not None:
            self.images[odd_one] = self.images[odd_one][:, :4]
        self.labels = np.arange(count) % 2
        self.keys = tuple(f"photo {index}" for index in range(count))


@pytest.mark.slow
@pytest.mark.parametrize("config", [SMALL_CONFIGS[0], SMALL_CONFIGS[5]], ids=["MobileFaceNet", "TinyNet"])
def test_embeddings_depend_on_threads_and_workers_in_no_digit(monkeypatch, config) -> None:
    torch.manual_seed(0)
    model, source = config.build(), Many()
    found = []
    for threads in (1, 2, 5):
        for workers in (0, 2):
            monkeypatch.setattr(passes, "compute_threads", lambda threads=threads: threads)
            found.append(embed(model, source, batch_size=8, workers=workers))
    for other in found[1:]:
        np.testing.assert_array_equal(other.embeddings, found[0].embeddings)
        np.testing.assert_array_equal(other.flipped, found[0].flipped)
    assert model.training
    with torch.no_grad():
        model.eval()
        plain = model(model.input.prepare(torch.from_numpy(np.stack(source.images)).permute(0, 3, 1, 2)))
    torch.testing.assert_close(torch.from_numpy(found[0].embeddings), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_and_errors_are_the_same_with_lanes_and_workers(monkeypatch, workers) -> None:
    monkeypatch.setattr(passes, "compute_threads", lambda: 3)
    seen = []
    model = SMALL_CONFIGS[5].build()
    options = {"batch_size": 8, "workers": workers}
    embed(model, Many(20), progress=lambda done, total: seen.append((done, total)), **options)
    assert seen == [(8, 20), (16, 20), (20, 20)]
    with pytest.raises(DataError, match="photo 13"):
        embed(model, Many(20, odd_one=13), **options)


def test_batches_made_in_the_same_memory_are_read_before_the_next(monkeypatch) -> None:
    monkeypatch.setattr(passes, "compute_threads", lambda: 3)
    images = torch.from_numpy(np.stack(Many(12).images)).permute(0, 3, 1, 2)
    room = torch.empty_like(images[:4])

    def again():
        for start in range(0, 12, 4):
            yield room.copy_(images[start : start + 4])

    torch.manual_seed(0)
    model = SMALL_CONFIGS[5].build()
    wanted = embed(model, [images[start : start + 4] for start in range(0, 12, 4)])
    np.testing.assert_array_equal(embed(model, again()).embeddings, wanted.embeddings)


def test_a_network_of_ones_own_computes_one_batch_after_the_other(monkeypatch) -> None:
    monkeypatch.setattr(passes, "compute_threads", lambda: 3)
    seen = []
    embed(Average(), Photos(), chosen=seen.append)
    assert (seen[0].lanes, seen[0].batch_size) == (1, passes.UNKNOWN_NETWORK)
