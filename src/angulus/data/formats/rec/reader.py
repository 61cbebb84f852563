"""insightface's training sets: `train.rec` with `train.idx`, in either of the two styles that are about.

    payload      flag uint32 | label float32 | id uint64 | id2 uint64 | `flag` more labels float32 | image
    with heads   record 0: labels (a, b), no image. Images are the records 1 to a - 1, identities the records a to
                 b - 1, and the labels of an identity are (first, last + 1) of its images
    without      every record is an image

The label of an image is its only one, or the first of several. The file knows numbers alone; names of identities and
keys of images are taken from `train.names` (line k: the identity with the label k) and `train.lst` (number, label, key:
the list of im2rec) where these lie beside it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.data.formats.byte_ranges import Blob
from angulus.data.formats.rec.heads import EXACT, Heads, read_heads, unpack
from angulus.data.formats.rec.recordio import MAGIC, read_index, read_record, scan
from angulus.errors import DataError
from angulus.storage import arrived
from angulus.text_files import opened_text, read_lines, slashed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class RecRecords:
    """The images of a `.rec`. Build it with `open_rec`."""

    blob: Blob
    numbers: NDArray[np.int64]
    """[n], keys of the records."""
    offsets: NDArray[np.int64]
    extents: NDArray[np.int64]
    """[n], bytes up to the next record."""
    values: NDArray[np.int64]
    """Labels as the file writes them, by position in `identities`."""
    labels: NDArray[np.int64]
    identities: Sequence[str]
    keys: Sequence[str]

    @property
    def origin(self) -> str:
        return str(self.blob.path)

    def __len__(self) -> int:
        return len(self.offsets)

    def read_bytes(self, index: int) -> bytes:
        """The image of one record. Raises DataError naming the file, the record and its place."""
        number, offset = int(self.numbers[index]), int(self.offsets[index])
        name = f"record {number}"
        payload, _ = read_record(self.blob, offset, name=name, extent=int(self.extents[index]))
        labels, image = unpack(payload, f"{self.blob.path}: {name} at byte {offset:,}")
        expected = int(self.values[self.labels[index]])
        if labels[0] != expected:
            raise DataError(
                f"{self.blob.path}: {name} at byte {offset:,} has the label {labels[0]:g}, and the identity that "
                f"counts it among its images has {expected}; the file is damaged or was put together from several"
            )
        return image

    def stamp(self, index: int, *, times: bool) -> str:
        changed = f":{self.blob.changed}" if times else ""
        return f"{self.offsets[index]}:{self.extents[index]}{changed}"


def open_rec(path: str | Path) -> RecRecords:
    """Open a `.rec`, or the folder that holds `train.rec`; a missing index is made by reading the file through.

    Raises DataError for a file that is missing, damaged, without an image, or with a label that is no whole number.
    """
    path = arrived(path)
    blob = Blob.find(path / "train.rec" if path.is_dir() else path)
    numbers, offsets = _index(blob)
    if not len(numbers):
        raise DataError(f"{blob.path} has no record")
    extents = _extents(offsets, blob.size)
    rows = partial(read_heads, blob, numbers, offsets)
    chosen, labels = _by_identity_records(blob, numbers, rows) or _by_image_records(blob, numbers, rows)
    values, positions = np.unique(labels, return_inverse=True)
    return RecRecords(
        blob=blob,
        numbers=numbers[chosen],
        offsets=offsets[chosen],
        extents=extents[chosen],
        values=values,
        labels=positions.astype(np.int64),
        identities=_names(blob.path, values),
        keys=_keys(blob.path, numbers[chosen]),
    )


def _index(blob: Blob) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    path = blob.path.with_suffix(".idx")
    if path.exists():
        numbers, offsets = read_index(path, blob.size)
        _check_listed(blob, path, numbers, offsets)
        return numbers, offsets
    logger.info("%s has no index %s; reading it through", blob.path, path.name)
    offsets = np.fromiter(scan(blob), dtype=np.int64)
    return np.arange(len(offsets), dtype=np.int64), offsets


def _check_listed(blob: Blob, index: Path, numbers: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
    """Raises DataError where records lie before the first or after the last that the index lists: it was cut."""
    if not len(offsets):
        return
    last = int(np.argmax(offsets))
    _, end = read_record(blob, int(offsets[last]), name=f"record {numbers[last]}")
    if offsets.min() == 0 and end >= blob.size:
        return
    more = offsets.min() > 0 or (end + 8 <= blob.size and blob.read(end, 4, what="what follows") == MAGIC)
    if more:
        raise DataError(
            f"{index} lists {len(offsets):,} records from byte {offsets.min():,} to {end:,}, and {blob.path.name} has "
            f"more in its {blob.size:,} bytes; it is cut short or of another file: remove it to have it made anew"
        )
    logger.warning("%s ends with %d bytes that are no record", blob.path, blob.size - end)


def _extents(offsets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    order = np.argsort(offsets, kind="stable")
    extents = np.empty_like(offsets)
    extents[order] = np.diff(np.append(offsets[order], size))
    return extents


def _by_identity_records(
    blob: Blob, numbers: NDArray[np.int64], rows: "partial[Heads]"
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Rows of the images and their labels from the records of the identities, which are few; None without these."""
    order = np.argsort(numbers, kind="stable")
    row_of = partial(_rows_of, numbers[order], order)
    zero = row_of(np.array([0]))
    first = None if zero is None else rows(zero)
    if first is None or not first.empty[0] or np.isnan(first.second[0]):
        return None
    begin, end = float(first.label[0]), float(first.second[0])
    if not (begin.is_integer() and end.is_integer() and 1 <= begin <= end):
        raise DataError(
            f"{blob.path}: record 0 must say where the identities begin and end, two whole numbers, got {begin:g} and "
            f"{end:g}"
        )
    if end > EXACT:
        return None
    if end > len(numbers):  # and so no room is made for more records than there are
        logger.warning(
            "%s: its first record speaks of %d records and its index lists %d; reading every label",
            *(blob.path, int(end), len(numbers)),
        )
        return None
    images = row_of(np.arange(1, int(begin)))
    people = row_of(np.arange(int(begin), int(end)))
    if images is None or people is None or not len(people):
        return None
    ranges = rows(people)
    some = ranges.label < ranges.second
    starts, ends = ranges.label[some], ranges.second[some]
    order = np.argsort(starts, kind="stable")
    if not len(starts) or not np.array_equal(np.append(starts[order], begin), np.append(1, ends[order])):
        logger.warning("%s: its identities do not divide its images among them; reading every label", blob.path)
        return None
    firsts = images[starts[order].astype(np.int64) - 1]
    labels = whole_labels(blob, numbers[firsts], rows(firsts).label)
    return images, np.repeat(labels, (ends - starts)[order].astype(np.int64))


def _rows_of(
    sorted_numbers: NDArray[np.int64], order: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Rows of the records with these numbers, or None when one of them is missing."""
    places = np.minimum(np.searchsorted(sorted_numbers, wanted), len(order) - 1)
    return order[places] if np.array_equal(sorted_numbers[places], wanted) else None


def _by_image_records(
    blob: Blob, numbers: NDArray[np.int64], rows: "partial[Heads]"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the records that hold an image, in the order of their numbers, and the label that each says."""
    order = np.argsort(numbers, kind="stable")
    heads = rows(order)
    chosen = order[~heads.empty]
    if not len(chosen):
        raise DataError(f"{blob.path}: none of its {len(numbers):,} records holds an image")
    return chosen, whole_labels(blob, numbers[chosen], heads.label[~heads.empty])


def whole_labels(blob: Blob, numbers: NDArray[np.int64], labels: NDArray[np.float64]) -> NDArray[np.int64]:
    """The labels as whole numbers. Raises DataError naming the first record with another."""
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~(np.isfinite(labels) & (labels >= 0) & (labels == np.floor(labels)) & (labels < 2**31)))
    if len(bad):
        raise DataError(
            f"{blob.path}: the label of record {numbers[bad[0]]} must be a whole number from 0, got {labels[bad[0]]:g}"
            + (f"; so are {len(bad) - 1:,} more" if len(bad) > 1 else "")
        )
    return labels.astype(np.int64)


def _names(path: Path, values: NDArray[np.int64]) -> list[str]:
    sidecar = path.with_suffix(".names")
    if sidecar.exists():
        names = read_lines(sidecar, DataError, "list of names")
        if len(names) > values[-1] and len(set(names)) == len(names):
            return [names[value] for value in values]
        raise DataError(f"{sidecar} must have one name, each another, for every label up to {values[-1]}")
    width = max(7, len(str(values[-1])))
    return [f"{value:0{width}d}" for value in values]


def _keys(path: Path, numbers: NDArray[np.int64]) -> list[str]:
    sidecar = path.with_suffix(".lst")
    if sidecar.exists():
        listed: dict[int, str] = {}
        with opened_text(sidecar, DataError, "list of images") as lines:
            for line in lines:
                fields = line.rstrip("\r\n").split("\t")
                if len(fields) >= 3 and fields[0].isdecimal():
                    listed[int(fields[0])] = slashed(fields[-1])
        keys = [listed.get(int(number), "") for number in numbers]
        if all(keys) and len(set(keys)) == len(keys):
            return keys
        logger.warning("%s does not list every image of %s once, and is not used", sidecar, path.name)
    width = max(8, len(str(numbers[-1])))
    return [f"{number:0{width}d}" for number in numbers]
