"""The way of batches through a network: several under way at once, handed back in the order in which they came.

On a CPU a lane is some threads that take a batch each and compute on their own: images beside each other need no
meeting of threads inside an operation, where one that the system keeps waiting holds up all. On CUDA it is the queue of
the device: pinned copies on a stream of their own, results on their way back while the next batches are computed, and
no waiting but for results that are due.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

Views = tuple[Tensor, ...]
"""Embeddings [n, d] of a batch, and of its mirror images where they are wanted."""
Compute = Callable[[Tensor], Views]

DEVICE_AHEAD = 4


class Lane(Protocol):
    """ahead: batches that may be under way at once."""

    ahead: int

    def submit(self, batch: Tensor) -> Any:
        """A ticket for the embeddings of a batch of images on the CPU."""
        ...

    def collect(self, ticket: Any) -> Views:
        """The embeddings on the CPU, when they are there; tickets are handed in in order."""
        ...


def through(lane: Lane, batches: Iterable[Tensor]) -> Iterator[tuple[int, Views]]:
    """The number of images and the embeddings of every batch, in order."""
    tickets: deque[tuple[int, Any]] = deque()
    for batch in batches:
        tickets.append((len(batch), lane.submit(batch)))
        if len(tickets) >= lane.ahead:
            count, ticket = tickets.popleft()
            yield count, lane.collect(ticket)
    for count, ticket in tickets:
        yield count, lane.collect(ticket)


class DirectLane:
    """One batch after the other, here."""

    ahead = 1

    def __init__(self, compute: Compute) -> None:
        self.compute = compute

    def submit(self, batch: Tensor) -> Views:
        return self.compute(batch)

    def collect(self, ticket: Views) -> Views:
        return ticket


class ThreadLane:
    """Batches beside each other, each on one thread."""

    def __init__(self, compute: Compute, pool: ThreadPoolExecutor, threads: int) -> None:
        self.compute, self.pool, self.ahead = compute, pool, 2 * threads

    def submit(self, batch: Tensor) -> "Future[Views]":
        return self.pool.submit(self.compute, batch)

    def collect(self, ticket: "Future[Views]") -> Views:
        return ticket.result()


@contextmanager
def thread_lane(compute: Compute, threads: int) -> Generator[Lane, None, None]:
    """A lane of so many threads; what has not begun when the block ends is dropped, what has is waited for."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "embedding", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield ThreadLane(compute, pool, threads)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # else threads that begin later would take the lane's number


class Transport(Protocol):
    """Copies to and from a device that computes while the program goes on."""

    def send(self, batch: Tensor) -> Tensor:
        """The batch on the device; whatever the device is told from now on finds it whole."""
        ...

    def fetch(self, results: Views) -> Any:
        """Begin to copy results to the CPU: a ticket."""
        ...

    def arrived(self, ticket: Any) -> Views:
        """The copies, when they are whole."""
        ...


class DeviceLane:
    """A device that works through what it is told, some batches ahead of the program."""

    ahead = DEVICE_AHEAD

    def __init__(self, compute: Compute, transport: Transport) -> None:
        self.compute, self.transport = compute, transport

    def submit(self, batch: Tensor) -> Any:
        return self.transport.fetch(self.compute(self.transport.send(batch)))

    def collect(self, ticket: Any) -> Views:
        return self.transport.arrived(ticket)


class CudaTransport:
    """Pinned memory both ways; images come on a stream of their own, beside computing."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.copies = torch.cuda.Stream(device)

    def send(self, batch: Tensor) -> Tensor:
        if batch.is_cuda:
            return batch.to(self.device)
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.copies):
            # memory that is pinned already belongs to whoever made it, and may be written to before it was read
            pinned = batch.clone().pin_memory() if batch.is_pinned() else batch.pin_memory()
            sent = pinned.to(self.device, non_blocking=True)
        computing.wait_stream(self.copies)
        sent.record_stream(computing)  # its memory was taken on another stream: not to be given away before
        return sent

    def fetch(self, results: Views) -> tuple[Views, torch.cuda.Event]:
        copies = tuple(torch.empty(result.shape, dtype=result.dtype, pin_memory=True) for result in results)
        for copy, result in zip(copies, results, strict=True):
            copy.copy_(result, non_blocking=True)
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))
        return copies, event

    def arrived(self, ticket: tuple[Views, torch.cuda.Event]) -> Views:
        copies, event = ticket
        event.synchronize()
        return tuple(copy.clone() for copy in copies)  # pinned memory is for the next batches
