"""Writes insightface's layout: `.rec`, `.idx`, `property`, and beside them the names that these have no place for."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source, bytes_of, noun_of
from angulus.data.formats.output import Appended, Listing
from angulus.data.formats.rec.heads import EXACT, pack
from angulus.data.formats.rec.reader import open_rec
from angulus.data.formats.rec.recordio import encode_record
from angulus.data.formats.record_source import StoredSource
from angulus.data.index.strings import encode_name
from angulus.errors import DataError
from angulus.image_files import open_image
from angulus.whole_files import write_flushed


class RecWriter:
    """Images of one identity must follow one another for the style with records of identities; else all records are
    images, numbered from 0."""

    def __init__(self, folder: Path, name: str, source: Source) -> None:
        if len(source.identities) > EXACT:
            raise DataError(f"a .rec numbers at most {EXACT:,} identities exactly, got {len(source.identities):,}")
        if noun_of(source) != "image":
            raise DataError("a .rec holds images, not recordings; convert these to .packed, .tar or .parquet")
        _check_names("key", source.keys)
        _check_names("identity", source.identities)
        self.listing = Listing.of(source)
        self._folder, self._name, self._stem = folder, name, Path(name).stem
        self.outputs = [f"{self._stem}{suffix}" for suffix in (".idx", ".lst", ".names")] + ["property", name]
        self._shape = _shape(bytes_of(source, 0) or b"")
        grouped = bool((np.diff(source.labels) >= 0).all())
        self._heads = grouped and len(source) + len(source.identities) + 1 <= EXACT
        self._file = Appended(folder / name)

    @property
    def _preamble(self) -> bytes:
        """Record 0, which says which records are identities."""
        begin = len(self.listing.labels) + 1
        return encode_record(pack([begin, begin + len(self.listing.identities)], 0, b"")) if self._heads else b""

    def resume(self, done: int, end: int) -> int:
        self._file.cut(end)
        if not done:
            self._file.cut(0)
            self._file.append([self._preamble])
        return done

    def write(self, first: int, images: Sequence[bytes]) -> list[int]:
        number = first + int(self._heads)
        labels = self.listing.labels[first : first + len(images)].tolist()
        return self._file.append(
            [
                encode_record(pack([label], number + row, image))
                for row, (label, image) in enumerate(zip(labels, images, strict=True))
            ]
        )

    def finish(self, ends: NDArray[np.uint64], checksums: NDArray[np.uint32]) -> None:
        self._file.cut(int(ends[-1]))
        begins = [len(self._preamble), *ends[:-1].tolist()]
        lines = [f"{number}\t{offset}\n" for number, offset in enumerate(begins, start=int(self._heads))]
        if self._heads:
            more = self._file.append(self._identity_records())
            offsets = [int(ends[-1]), *more[:-1]]
            people = [f"{number}\t{offset}\n" for number, offset in enumerate(offsets, start=len(begins) + 1)]
            lines = ["0\t0\n", *lines, *people]
        self._write(".idx", (line.encode() for line in lines))
        labels, keys = self.listing.labels.tolist(), self.listing.keys
        rows = enumerate(zip(labels, keys, strict=True), start=int(self._heads))
        self._write(".lst", (f"{row}\t{label}\t".encode() + encode_name(key) + b"\n" for row, (label, key) in rows))
        self._write(".names", (encode_name(name) + b"\n" for name in self.listing.identities))
        height, width = self._shape
        write_flushed(self._folder / "property", f"{len(self.listing.identities)},{height},{width}\n".encode())

    def opened(self) -> Source:
        return StoredSource(records=open_rec(self._folder / self._name))

    def close(self) -> None:
        self._file.close()

    def _identity_records(self) -> list[bytes]:
        counts = np.bincount(self.listing.labels, minlength=len(self.listing.identities))
        bounds = np.concatenate([[1], 1 + np.cumsum(counts)]).tolist()
        first = len(self.listing.labels) + 1
        return [
            encode_record(pack([begin, end], first + row, b"")) for row, (begin, end) in enumerate(pairwise(bounds))
        ]

    def _write(self, suffix: str, lines: Iterable[bytes]) -> None:
        write_flushed(self._folder / f"{self._stem}{suffix}", b"".join(lines))


def _check_names(noun: str, names: Iterable[str]) -> None:
    for name in names:
        if "\n" in name or "\t" in name or not name:
            raise DataError(f"the lists beside a .rec hold no {noun} with a tab or a line break, or none, got {name!r}")


def _shape(image: bytes) -> tuple[int, int]:
    """Height and width of an encoded image; zeros where it cannot be told."""
    try:
        with open_image(image) as opened:
            return opened.height, opened.width
    except (OSError, SyntaxError, ValueError):
        return 0, 0
