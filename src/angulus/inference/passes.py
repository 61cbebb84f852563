"""How a set is embedded on the machine at hand: the network, images per pass, passes at once, decoding processes."""

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from angulus.data.examples import Source
from angulus.data.loading.workers import read_batch
from angulus.devices.processors import usable_cores
from angulus.inference.batch_sizes import images_at_once
from angulus.inference.choice import Choice, one_thread
from angulus.inference.lanes import Compute, CudaTransport, DeviceLane, DirectLane, Lane, Views, thread_lane
from angulus.inference.networks import Network
from angulus.inference.processors import compute_threads
from angulus.inference.reading import is_in_memory, pieces_of, rest, workers_for
from angulus.models import EmbeddingModel, InputSpec
from angulus.models.folding import is_foldable

log = logging.getLogger(__name__)

UNKNOWN_NETWORK = 32
"""Images per pass on a CPU for a network that is not one of Angulus."""
FEWEST_TIMED = 64
"""With fewer batches than this, finding out how long one takes costs more than it brings."""


@dataclass(frozen=True, kw_only=True)
class Passes:
    """How a set is embedded. lanes: passes beside each other.  workers: processes that decode, 0 for none."""

    choice: Choice
    batch_size: int | None
    lanes: int
    workers: int

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        numbers = {"batch_size": self.batch_size, "lanes": self.lanes, "workers": self.workers}
        return {**self.choice.as_dict(), **numbers}

    def describe(self) -> str:
        """In words."""
        network = f"{self.choice.runtime}, {self.choice.layout}" if self.choice.layout else self.choice.runtime
        size = "" if self.batch_size is None else f", {self.batch_size} images per pass"
        return f"{network}{size}, {self.lanes} at once, {self.workers} decoding processes ({self.choice.reason})"


class SourceBatches:
    """The images of a source in batches; the first is read when this is made."""

    def __init__(self, source: Source, size: int) -> None:
        self.source, self.size = source, size
        self.pieces = pieces_of(len(source), size)
        self.first = read_batch(source, self.pieces[0])

    def __len__(self) -> int:
        return len(self.pieces)

    def read(self, workers: int) -> Iterator[Tensor]:
        """Every batch in order. Raises DataError naming what cannot be read."""
        return chain([self.first], rest(self.source, self.pieces[1:], workers))

    def workers(self, compute: Compute, device: torch.device, lanes: int) -> int:
        """How many processes decode; on a CPU by what a batch takes to be decoded and to be computed."""
        cores = usable_cores()
        if is_in_memory(self.source) or cores == 1:
            return 0
        reading, computing = 1.0, 0.0  # a device computes faster than any one process decodes
        if device.type == "cpu":
            if len(self) < FEWEST_TIMED:
                return 0
            reading = seconds_of(lambda: read_batch(self.source, self.pieces[0]))
            with one_thread(lanes > 1):
                computing = seconds_of(lambda: compute(self.first))
        return workers_for(len(self) - 1, reading=reading, computing=computing, lanes=lanes, cores=cores)


class GivenBatches:
    """Batches that somebody else makes, and may make in the same memory again and again."""

    size = None

    def __init__(self, first: Tensor, following: Iterable[Tensor]) -> None:
        self.first, self.following = first, following

    def read(self, workers: int) -> Iterator[Tensor]:
        """Every batch in order, in memory of its own."""
        return (batch.clone() for batch in chain([self.first], self.following))

    def workers(self, compute: Compute, device: torch.device, lanes: int) -> int:
        """None: decoding is not ours."""
        return 0


def usual_size(model: EmbeddingModel, device: torch.device) -> int:
    """Images per pass where the user names no number; the model is on the device, in evaluation mode."""
    if device.type == "cpu" and not is_foldable(model):
        return UNKNOWN_NETWORK
    return images_at_once(model, model.input.shape, device)


def planned(
    choice: Choice, batches: SourceBatches | GivenBatches, compute: Compute, device: torch.device, workers: int | None
) -> Passes:
    """How these batches are embedded."""
    lanes = compute_threads() if choice.network.parallel and device.type == "cpu" else 1
    count = batches.workers(compute, device, lanes) if workers is None else workers
    return Passes(choice=choice, batch_size=batches.size, lanes=lanes, workers=count)


def say(passes: Passes) -> None:
    """How a set is embedded, in the log."""
    log.info("embedding: %s", passes.describe())


def computing(network: Network, spec: InputSpec, device: torch.device, *, flip: bool) -> Compute:
    """What makes embeddings of a batch of images, and of their mirror images where wanted."""

    def compute(batch: Tensor) -> Views:
        with torch.inference_mode():
            prepared = spec.prepare(batch.to(device))
            return (network(prepared), network(prepared.flip(-1))) if flip else (network(prepared),)

    return compute


@contextmanager
def lane_of(passes: Passes, compute: Compute, device: torch.device) -> Generator[Lane, None, None]:
    """The way of batches through the network."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            yield DeviceLane(compute, CudaTransport(device))
    elif passes.lanes > 1:
        with thread_lane(compute, passes.lanes) as lane:
            yield lane
    else:
        with one_thread(passes.choice.network.parallel and device.type == "cpu"):
            yield DirectLane(compute)


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
