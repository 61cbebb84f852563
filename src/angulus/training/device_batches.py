"""Batches where the model computes, and for how long it had nothing to compute because they were late.

On a CUDA device examples are copied from pinned memory on a stream of their own, while the step before is computed: the
program runs ahead of the device and asks for batch t + 1 as soon as step t has been handed over. How long the program
waits then says nothing, since the device may be busy all the while. So two marks go into the queue of the device, one
when a batch is asked for and one when its examples are there; the time between them is time without work.

On a CPU nothing is copied, and waiting is the time that `next` takes.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from angulus.data import Batch


class Line(Protocol):
    """The way from the loader to a device: marks in the time of the device, and the copying of tensors."""

    def mark(self) -> Any:
        """The moment when the device has done all that it was told so far."""
        ...

    def seconds(self, begin: Any, end: Any) -> float:
        """Time between two marks; waits until the device has passed them."""
        ...

    def send(self, tensors: list[Tensor]) -> list[Tensor]:
        """The tensors on the device; all that it is told from now on finds them whole."""
        ...


class HostLine:
    """For devices that compute while the program waits: nothing is moved here, and time is the clock's."""

    def mark(self) -> float:
        return time.perf_counter()

    def seconds(self, begin: float, end: float) -> float:
        return end - begin

    def send(self, tensors: list[Tensor]) -> list[Tensor]:
        return tensors


class CudaLine:
    """Copies from pinned memory on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    def send(self, tensors: list[Tensor]) -> list[Tensor]:
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.stream):
            sent = [tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors]
        computing.wait_stream(self.stream)
        for tensor in sent:
            tensor.record_stream(computing)  # its memory was taken on another stream: not to be given away before
        return sent


def line_to(device: torch.device) -> Line:
    """The way to a device."""
    return CudaLine(device) if device.type == "cuda" else HostLine()


class Feed:
    """The batches of a stream on the device; `waited()` counts the seconds that it was idle for them."""

    def __init__(self, stream: Iterator[Batch], line: Line) -> None:
        self._stream, self._line = stream, line
        self._waited = 0.0
        self._pending: list[tuple[Any, Any]] = []

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        asked = self._line.mark()
        batch = next(self._stream)
        examples, labels, indices = self._line.send([batch.examples, batch.labels, batch.indices])
        self._pending.append((asked, self._line.mark()))
        return replace(batch, examples=examples, labels=labels, indices=indices)

    def waited(self) -> float:
        """Seconds so far. Reads the device: call it where it is read anyway."""
        self._waited += sum(self._line.seconds(*marks) for marks in self._pending)
        self._pending.clear()
        return self._waited
