"""Pixels kept after the first decoding, in memory and if wanted on disk, and a fingerprint of what a source holds."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.array_files import read_array
from angulus.data.examples import (
    Account,
    Source,
    account_of,
    bytes_of,
    columns_of,
    different_sizes,
    labels_of,
    read_images,
    stamp_of,
    stamps_of,
)
from angulus.data.index.rows import blocks, encoded_at
from angulus.devices.processors import usable_cores
from angulus.errors import DataError

logger = logging.getLogger(__name__)

MOST_BYTES = 4 * 2**30
_SAMPLED_IMAGES = 8
_LARGE = 2**20
_IMAGES_PER_TASK = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class InMemory:
    """Every image of `source` in one array uint8 [n, 3, height, width]. Build it with `InMemory.load`."""

    source: Source
    pixels: NDArray[np.uint8]

    @staticmethod
    def load(
        source: Source,
        *,
        folder: str | Path | None = None,
        most_bytes: int = MOST_BYTES,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "InMemory":
        """Decode a source once.

        Args:
            source: images of one size.
            folder: where a copy of the pixels is kept for the next run, under the fingerprint of the source; None
                keeps none. A source that changed has another fingerprint and is decoded again.
            most_bytes: the largest array to hold.
            threads: how many decode at once; None takes one per processor.
            progress: called with (images done, images in all).

        Raises DataError naming an unreadable image, two images of different sizes, or an array that is too large.
        """
        needed = bytes_needed(source)
        if needed > most_bytes:
            raise DataError(
                f"{len(source):,} images need {needed / 2**30:.1f} GiB of memory, more than the limit of "
                f"{most_bytes / 2**30:.1f} GiB; read them from disk (data.cache=none) or raise the limit"
            )
        if folder is None:
            return InMemory(source=source, pixels=_decode(source, threads, progress))
        path = Path(folder) / f"{fingerprint(source, times=True)}.npy"
        if not path.exists():
            _write(path, _decode(source, threads, progress))
        try:
            return InMemory(source=source, pixels=read_array(path, mapped=True))
        except (OSError, ValueError) as error:
            raise DataError(f"the cache {path} cannot be read: {error}; remove it to have it made anew") from error

    @property
    def labels(self) -> NDArray[np.int64]:
        """[n], positions in `identities`."""
        return self.source.labels

    @property
    def identities(self) -> Sequence[str]:
        """Names of the identities."""
        return self.source.identities

    @property
    def keys(self) -> Sequence[str]:
        """[n] names of the images."""
        return self.source.keys

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """What the source says of the images besides, [n] values by name."""
        return columns_of(self.source)

    @property
    def account(self) -> Account:
        """What the source kept and dropped."""
        return account_of(self.source)

    def labels_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Labels [n] of the images at `indices` [n]."""
        return labels_of(self.source, indices)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels [height, width, 3] of one image, a copy."""
        return np.ascontiguousarray(self.pixels[index].transpose(1, 2, 0))

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width], a copy."""
        return np.asarray(self.pixels[indices])

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image, where the source holds one."""
        return bytes_of(self.source, index)

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of this image."""
        return stamp_of(self.source, index, times=times)

    def stamps(self, indices: NDArray[np.int64], *, times: bool) -> bytes | None:
        """The same of many images."""
        return stamps_of(self.source, indices, times=times)


def bytes_needed(source: Source) -> int:
    """Memory that `InMemory` needs for a source whose images all have the size of the first."""
    if not len(source):
        raise DataError("a source needs at least 1 image, got 0")
    return len(source) * source.read(0).nbytes


def fingerprint(source: Source, *, times: bool = False) -> str:
    """Hex digest (SHA-256) of names, labels and content of a source, for the record of a run.

    Content means the size of each file and how it is fitted, with its time of change if `times` (then a copy of the
    folder has another fingerprint); where a source has no files, the pixels of a few images. Sets from 2**20 images on
    give this in binary form where their layout can.
    """
    digest = hashlib.sha256()
    for names in (source.identities, source.keys):
        for begin, end in blocks(len(names)):
            digest.update((b"\n" if begin else b"") + b"\n".join(encoded_at(names, np.arange(begin, end))))
        digest.update(b"\0")
    for begin, end in blocks(len(source)):
        digest.update(labels_of(source, np.arange(begin, end)).astype("<i8").tobytes())
    for content in _contents(source, times) if len(source) else ():
        digest.update(content)
    return digest.hexdigest()


def _contents(source: Source, times: bool) -> Iterator[bytes]:
    if len(source) >= _LARGE and stamps_of(source, np.arange(1), times=times) is not None:
        for begin, end in blocks(len(source)):
            yield stamps_of(source, np.arange(begin, end), times=times) or b""
        return
    if stamp_of(source, 0, times=times) is not None:
        for index in range(len(source)):
            yield f"{stamp_of(source, index, times=times)}\n".encode()
        return
    for index in np.unique(np.linspace(0, len(source) - 1, _SAMPLED_IMAGES).astype(int)):
        image = source.read(int(index))
        yield str(image.shape).encode() + image.tobytes()


def _decode(source: Source, threads: int | None, progress: Callable[[int, int], None] | None) -> NDArray[np.uint8]:
    first = source.read(0)
    pixels = np.empty((len(source), 3, *first.shape[:2]), dtype=np.uint8)

    def fill(begin: int) -> int:
        end = min(begin + _IMAGES_PER_TASK, len(source))
        images = read_images(source, np.arange(begin, end))
        if images.shape[2:] != first.shape[:2]:
            raise different_sizes(source, 0, first.shape, begin, (*images.shape[2:], 3))
        pixels[begin:end] = images
        return end

    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        try:
            for done in pool.map(fill, range(0, len(source), _IMAGES_PER_TASK)):
                if progress is not None:
                    progress(done, len(source))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pixels


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    # Several processes may do this at once: each writes its own file, the last rename wins, all hold the same.
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.save(file, pixels)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"cannot write the decoded images to {path}: {error.strerror or error}") from error
    logger.info("kept the decoded images in %s", path)
