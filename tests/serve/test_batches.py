"""Pieces of work from many threads: each caller gets its own result, the queue is bounded, closing finishes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from angulus.errors import ServiceError
from angulus.serve.queues.batcher import Batcher
from angulus.serve.queues.workers import Workers


class Gate:
    """A batch's work that waits until it is let go."""

    def __init__(self):
        self.go, self.begun, self.batches = threading.Event(), threading.Event(), []

    def __call__(self, pieces):
        self.begun.set()
        assert self.go.wait(10)
        self.batches.append(len(pieces))
        return [piece * 2 for piece in pieces]


def held(gate, **options):
    """A batcher that works at its first piece, and that piece's future."""
    made = Batcher(gate, **{"most": 4, "wait": 0.0, "waiting": 8, **options})
    first = made.submit(100)
    assert gate.begun.wait(10)
    return made, first


def test_every_caller_gets_its_own_under_16_threads():
    seen = []

    def doubled(pieces):
        parts = np.concatenate(pieces) * 2
        return np.split(parts, np.cumsum([len(piece) for piece in pieces])[:-1])

    made = Batcher(doubled, most=8, wait=0.002, waiting=1000, size=len, seen=seen.append)
    pieces = [np.full(1 + number % 3, number) for number in range(400)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda piece: made.submit(piece).result(), pieces))
    made.close()
    for piece, result in zip(pieces, found, strict=True):
        np.testing.assert_array_equal(result, piece * 2)
    assert sum(seen) == sum(len(piece) for piece in pieces)
    assert max(seen) <= 8


def test_a_full_queue_refuses_at_once_and_what_waits_goes_together():
    gate = Gate()
    made, first = held(gate)
    waiting = [made.submit(number) for number in range(8)]
    with pytest.raises(ServiceError, match="try again") as refused:
        made.submit(9)
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    gate.go.set()
    made.close()
    assert [future.result() for future in (first, *waiting)] == [200, 0, 2, 4, 6, 8, 10, 12, 14]
    assert gate.batches == [1, 4, 4]


def test_what_was_given_up_is_not_computed():
    gate = Gate()
    made, first = held(gate)
    given_up, kept = made.submit(1), made.submit(2)
    assert given_up.cancel()
    gate.go.set()
    made.close()
    assert (first.result(), kept.result(), gate.batches) == (200, 4, [1, 1])


def test_a_bad_piece_harms_no_other():
    def inverse(pieces):
        return [1 / piece for piece in pieces]

    gate = threading.Event()
    made = Batcher(lambda pieces: (gate.wait(10), inverse(pieces))[1], most=4, wait=0.0, waiting=8)
    futures = [made.submit(piece) for piece in (1, 2, 0, 4)]
    gate.set()
    made.close()
    assert [futures[place].result() for place in (0, 1, 3)] == [1, 0.5, 0.25]
    with pytest.raises(ZeroDivisionError):
        futures[2].result()


def test_a_closed_queue_takes_nothing():
    made = Batcher(list, most=1, wait=0.0, waiting=1)
    made.close()
    with pytest.raises(ServiceError, match="shutting down"):
        made.submit(1)


def test_workers_take_so_many_jobs_and_finish_them():
    go = threading.Event()
    workers = Workers(1, waiting=1)
    futures = [workers.submit(lambda: go.wait(10)) for _ in range(2)]
    with pytest.raises(ServiceError, match="queues are full"):
        workers.submit(lambda: None)
    go.set()
    workers.close()
    assert [future.result() for future in futures] == [True, True]
    assert workers.open == 0
    with pytest.raises(ServiceError, match="shutting down"):
        workers.submit(lambda: None)
