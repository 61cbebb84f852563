"""Examples of one batch after the other, read here or by worker processes, in the order that was asked.

JPEGs are decoded straight into the batch, which therefore lies as rows of pixels [n, height, width, 3] and is shown as
[n, 3, height, width]; moving the colours apart is left to the device that turns pixels into floats. Workers write into
memory that they share with this process and that is used again when nobody holds the images any more: fresh memory for
every batch costs about half as much as decoding into it, since the system hands it out zeroed, page by page. Chunks of
recordings are a tenth of that and get memory of their own.
"""

import mmap
import threading
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_start_method
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from angulus.data.examples import ReadsInto, ReadsMany, Source, different_sizes, read_images, reader_into
from angulus.data.index.rows import rows_at
from angulus.data.loading.chunks import Cuts, read_cuts
from angulus.data.views.split import Subset
from angulus.errors import DataError, StorageError
from angulus.lifelines import follow_loader

Rows = NDArray[np.int64]
"""Positions of the images of a batch in their source."""

Piece = Rows | Cuts
"""What one batch reads: whole images, or chunks of recordings."""

_IN_USE = 3  # batches that a consumer may hold at once without memory being taken anew
_FRESH = -1  # no place is free: the worker takes memory of its own


def read_batches(
    source: Source, pieces: Iterable[Piece], *, first: Piece | None = None, num_workers: int = 0, prefetch: int = 2
) -> Iterator[Tensor]:
    """The examples of every piece, each free to be changed and kept: images uint8 [n, 3, height, width], or chunks.

    pieces: with workers, asked for ahead of what is read.  first: the first of them, where
        looking for it has a cost.
    num_workers: processes that decode; 0 decodes in this one.  prefetch: batches that each worker holds ready.

    Raises DataError naming the example that can't be read, from a worker too.
    """
    first = next(iter(pieces), None) if first is None else first
    places = Places.of(source, first, num_workers * prefetch + _IN_USE, shared=num_workers > 0)
    if num_workers == 0:
        yield from _read_here(source, pieces, places)
        return
    loader = DataLoader(
        _Examples(source, places.memory),
        sampler=places.assigned(pieces),  # each "example" of the DataLoader is a whole batch: order is ours
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=num_workers,
        prefetch_factor=prefetch,
        # a child is tied to the thread that started it, which only the first is sure to outlive
        worker_init_fn=follow_loader if threading.current_thread() is threading.main_thread() else None,
    )
    with worker_losses_told():
        for place, found in loader:
            if isinstance(found, str):
                raise DataError(found)
            yield places.taken(place, *found) if isinstance(found, tuple) else places.copied(place, found)


@contextmanager
def worker_losses_told() -> Generator[None, None, None]:
    """DataError where a worker was killed, which torch raises wherever the program is when it learns of it."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            "a process that reads examples was killed, most likely for want of memory, or of room in /dev/shm; what "
            f"was saved is kept: go on with fewer train.workers ({str(error).splitlines()[0]})"
        ) from error


def _read_here(source: Source, pieces: Iterable[Piece], places: "Places") -> Generator[Tensor, None, None]:
    for place, rows in places.assigned(pieces):
        memory = places.memory[place] if place != _FRESH else None
        images = read_batch(source, rows, memory)
        lies_there = memory is not None and images.data_ptr() == memory.data_ptr()
        yield places.taken(place, images.shape, images.stride()) if lies_there else places.copied(place, images)


def read_batch(source: Source, rows: Piece, memory: Tensor | None = None) -> Tensor:
    """The images at `rows` [n], uint8 [n, 3, height, width]; where decoded, a view on pixels [n, height, width, 3].

    rows: or the chunks of recordings that are cut.
    memory: uint8 [bytes] to lay images in; without it, or where it is too small, they get memory of their own.
    Raises DataError naming two images when their sizes differ.
    """
    if isinstance(rows, Cuts):
        return read_cuts(source, rows)
    while isinstance(source, Subset):
        source, rows = source.source, rows_at(source.rows, rows)
    if not len(rows) or (isinstance(source, ReadsMany) and not isinstance(source, ReadsInto)):
        return torch.from_numpy(read_images(source, rows))
    read = reader_into(source)
    first = source.read(int(rows[0]))
    pixels = _room((len(rows), *first.shape), memory)
    pixels[0] = first
    for place, index in enumerate(rows.tolist()[1:], start=1):
        row = pixels[place]
        image = read(index, row)
        if image is row:
            continue
        if image.shape != row.shape:
            raise different_sizes(source, int(rows[0]), first.shape, index, image.shape)
        row[...] = image
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _room(shape: tuple[int, ...], memory: Tensor | None) -> NDArray[np.uint8]:
    count = int(np.prod(shape))
    if memory is None or memory.numel() < count:
        return np.empty(shape, dtype=np.uint8)
    return memory.numpy()[:count].reshape(shape)


class Places:
    """Memory for batches under way, used again and again; `free` are the places that nobody holds."""

    def __init__(self, count: int, size: int, *, shared: bool) -> None:
        self.memory = [_shared(size) if shared else torch.empty(size, dtype=torch.uint8) for _ in range(count)]
        self.free: deque[int] = deque(range(count))

    @staticmethod
    def of(source: Source, rows: Piece | None, count: int, *, shared: bool) -> "Places":
        """Places for batches like the first; none for chunks, nor where it cannot be read, as its reader then says."""
        try:
            size = (
                0
                if rows is None or not len(rows) or isinstance(rows, Cuts)
                else len(rows) * source.read(int(rows[0])).nbytes
            )
        except DataError:
            size = 0
        return Places(count if size else 0, size, shared=shared)

    def assigned(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, Piece]]:
        """Every piece with a place for it, chosen when it is asked for."""
        for rows in pieces:
            yield self.free.popleft() if self.free else _FRESH, rows

    def taken(self, place: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """What a worker laid there; the place is free again when the last tensor that shows it is gone."""
        held = self.memory[place].numpy()[:]  # an object of its own, which every view of the tensor keeps alive
        weakref.finalize(held, self.free.append, place)
        return torch.from_numpy(held).as_strided(shape, stride)

    def copied(self, place: int, images: Tensor) -> Tensor:
        """What a worker sent in memory of its own, because there was no place, or a larger one was needed."""
        if place != _FRESH:
            self.free.append(place)
        return images


def _shared(size: int) -> Tensor:
    # Forked workers inherit a map without a file, which no limit on /dev/shm concerns.
    if get_start_method() == "fork":
        return torch.frombuffer(mmap.mmap(-1, size), dtype=torch.uint8)
    return torch.empty(size, dtype=torch.uint8).share_memory_()


class _Examples(Dataset[Any]):
    # A worker hands over the sentence of an error, since the DataLoader would wrap it in its own traceback.
    def __init__(self, source: Source, memory: list[Tensor]) -> None:
        self.source, self.memory = source, memory

    def __getitem__(self, index: tuple[int, Piece]) -> tuple[int, Tensor | tuple[Any, Any] | str]:
        place, rows = index
        memory = None if place == _FRESH else self.memory[place]
        try:
            images = read_batch(self.source, rows, memory)
        except (DataError, StorageError) as error:
            return place, str(error)
        if memory is None or memory.numel() < images.numel():
            return place, images
        if images.data_ptr() != memory.data_ptr():
            images = memory[: images.numel()].view(images.shape).copy_(images)
        return place, (tuple(images.shape), images.stride())


def _unchanged(found: Any) -> Any:
    return found
