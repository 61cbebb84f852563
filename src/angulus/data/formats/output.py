"""What all layouts have in common when they are written: a file that grows and can be cut back, and what to expect."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.files import open_in_place

_SIGNATURES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"BM": ".bmp",
    b"RIFF": ".webp",
    b"P5": ".pgm",
    b"P2": ".pgm",
    b"P6": ".ppm",
    b"P3": ".ppm",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"ID3": ".mp3",
    b"\xff\xfb": ".mp3",
    b"\xff\xf3": ".mp3",
    b"\xff\xf2": ".mp3",
    b"FORM": ".aiff",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Listing:
    """What a finished set must list: at place i the record `order[i]` of the source, under `keys[i]`."""

    labels: NDArray[np.int64]
    identities: Sequence[str]
    keys: Sequence[str]
    order: NDArray[np.int64] | None = None
    """[n]; None where the order is that of the source."""

    @staticmethod
    def of(source: Source) -> "Listing":
        """Everything as in the source."""
        return Listing(labels=source.labels, identities=source.identities, keys=source.keys)


class Writer(Protocol):
    """Writes one layout in pieces; what was written before a kill is taken over with `resume`."""

    listing: Listing
    outputs: list[str]
    """Files and folders that make up the set; the one that the set is opened by comes last."""

    def resume(self, done: int, end: int) -> int:
        """Go on after `done` records, the last of which ended at byte `end`; returns how many are really kept."""
        ...

    def write(self, first: int, images: Sequence[bytes]) -> list[int]:
        """Write the records from number `first` on to the disk; where each ends in the growing file, or zeros."""
        ...

    def finish(self, ends: NDArray[np.uint64], checksums: NDArray[np.uint32]) -> None:
        """Write what comes last (indices, lists); may be called again after a kill."""
        ...

    def opened(self) -> Source:
        """The finished set where it was written, to be compared with `listing`."""
        ...

    def close(self) -> None: ...


class Appended:
    """A file that grows at its end, piece by piece, each flushed to the disk before the next."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(open_in_place(path), "r+b", buffering=0)
        self._end = self._file.seek(0, os.SEEK_END)

    def cut(self, end: int) -> None:
        """Leave the first `end` bytes."""
        if self._end < end:
            raise OSError(f"{self._file.name} has {self._end:,} bytes, fewer than the {end:,} that were written")
        self._file.truncate(end)
        self._end = self._file.seek(end)

    def append(self, pieces: Sequence[bytes]) -> list[int]:
        """Write the pieces; where each of them ends."""
        content = memoryview(b"".join(pieces))
        while content:
            content = content[self._file.write(content) or 0 :]
        os.fsync(self._file.fileno())
        ends: list[int] = []
        for piece in pieces:
            self._end += len(piece)
            ends.append(self._end)
        return ends

    def close(self) -> None:
        self._file.close()


def extension_of(example: bytes) -> str:
    """The extension of an encoded image or recording by its first bytes; .jpg where they are not known."""
    if example[:4] in (b"RIFF", b"RF64") and example[8:12] == b"WAVE":
        return ".wav"
    return next((extension for start, extension in _SIGNATURES.items() if example.startswith(start)), ".jpg")
