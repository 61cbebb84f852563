"""Between any two layouts: every image byte for byte, with its label, name and key; whole or not there at all.

The set is written in a working folder beside the target (`angulus.data.formats.staging`). A process that is killed
leaves a journal of what is on the disk, and the next one goes on after it. When all is written, the set is opened again
and every image is compared with the checksum that was taken when it was read from the source; only then it is moved to
its place.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.data.examples import Source, account_of, bytes_of, stamp_of
from angulus.data.formats.catalogue import FORMATS, LAYOUTS, Written, format_for
from angulus.data.formats.output import Writer
from angulus.data.formats.staging import Unfinished, begun, occupied
from angulus.data.index.strings import encode_name
from angulus.data.parts import rate_of
from angulus.data.views.split import select
from angulus.errors import DataError
from angulus.speech.wave_files import wave_file
from angulus.storage import check_free, placed

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

_VERSION = 1  # of what is written; a newer one does not go on with what an older one began
_MOST_RECORDS, _MOST_BYTES = 4096, 64 * 2**20  # of one piece


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was done: images of identities with so many bytes; `taken_over` of them were there from an earlier start."""

    target: Path
    layout: Written
    images: int
    identities: int
    bytes: int
    taken_over: int
    seconds: float


def convert(
    source: Source, target: str | Path, *, to: Written | None = None, progress: Progress | None = None
) -> Conversion:
    """Write the images of a source in a layout, encoded as they are; images that were never encoded become PNG.

    Args:
        source: what to write; sizes to which it fits images do not matter here.
        target: a path that does not exist yet.
        to: the layout; None takes it from the suffix of the target, a folder where there is none.
        progress: called with (records written and verified, twice the number of records).

    Raises DataError for a target that exists, or that another process writes, for a record that cannot be read, a full
    disk, and a set that is not read back as it was written. Nothing lies at the target then.
    """
    started = time.perf_counter()
    target = placed(target).absolute()
    check_free(target)
    layout = format_for(target) if to is None else to
    if layout not in FORMATS:
        raise DataError(f"the layout must be one of {', '.join(FORMATS)}, got {layout!r}")
    source = _with_images(source)
    show = progress or (lambda done, total: None)
    if occupied(target) and not (target.parent / f".{target.name}.converting" / "moving").exists():
        raise DataError(f"{target} exists already; remove it, or name another target")
    about = {"version": _VERSION, "layout": layout, "data": _digest(source)}
    with begun(target) as work:
        work.check_about(about)
        if work.whole:
            journal, taken_over = work.read_journal(), len(source)
            work.finish_moving()
        else:
            journal, taken_over = _write(source, layout, about, work, show)
    return Conversion(
        target=target,
        layout=layout,
        images=len(source),
        identities=len(source.identities),
        bytes=int(journal["length"].sum()),
        taken_over=taken_over,
        seconds=time.perf_counter() - started,
    )


def _write(
    source: Source, layout: Written, about: dict[str, Any], work: Unfinished, show: Progress
) -> tuple[NDArray[np.void], int]:
    """Fill the working folder and move the result; the journal, and how many records were there before."""
    writer = LAYOUTS[layout].writer(work.result, work.target.name, source, work.target.parent)
    try:
        work.check_free(writer.outputs)
        work.keep_about(about)
        taken_over = _resume(writer, work)
        _fill(source, writer, work, taken_over, show)
        journal = work.read_journal()
        writer.finish(journal["end"].astype(np.uint64), journal["checksum"].astype(np.uint32))
        _verify(writer, journal["checksum"], work.folder, show)
    finally:
        writer.close()
    work.move(writer.outputs)
    return journal, taken_over


def _with_images(source: Source) -> Source:
    """The source without identities that have no image, which most layouts cannot write down."""
    if not len(source):
        raise DataError(f"{account_of(source).origin} holds nothing to convert")
    counts = np.bincount(source.labels, minlength=len(source.identities))
    if counts.all():
        return source
    logger.warning("%d identities without an image are left out", int((counts == 0).sum()))
    return select(source, np.arange(len(source)))


def _digest(source: Source) -> str:
    """What the source holds, as far as it says so without reading the images."""
    digest = hashlib.sha256(np.asarray(source.labels, dtype="<i8").tobytes())
    for name in source.identities:
        digest.update(encode_name(name) + b"\n")
    for index, key in enumerate(source.keys):
        digest.update(encode_name(f"{key}\t{stamp_of(source, index, times=True)}\n"))
    return digest.hexdigest()


def _resume(writer: Writer, work: Unfinished) -> int:
    journal = work.read_journal()
    done = writer.resume(len(journal), int(journal["end"][-1]) if len(journal) else 0)
    work.keep(done)
    if done:
        logger.info("going on after %d records that are there", done)
    return done


def _fill(source: Source, writer: Writer, work: Unfinished, done: int, show: Progress) -> None:
    total = 2 * len(source)
    show(done, total)
    try:
        for images in _pieces(source, done):
            ends = writer.write(done, images)
            work.note(ends, [crc32(image) for image in images], [len(image) for image in images])
            done += len(images)
            show(done, total)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{done:,} of {len(source):,} records are kept; the same command goes on") from None


def _pieces(source: Source, begin: int) -> Iterator[list[bytes]]:
    images: list[bytes] = []
    size = 0
    for index in range(begin, len(source)):
        content = bytes_of(source, index)
        images.append(_encoded(source, index) if content is None else content)
        size += len(images[-1])
        if size >= _MOST_BYTES or len(images) == _MOST_RECORDS:
            yield images
            images, size = [], 0
    if images:
        yield images


def _encoded(source: Source, index: int) -> bytes:
    """An example that is stored nowhere as a file: an image as PNG, samples as WAV."""
    example = source.read(index)
    if example.ndim == 3:
        return _as_png(example)
    if example.ndim == 1:
        return wave_file(example, rate=rate_of(source))
    raise DataError(
        f"{account_of(source).origin} holds stored features, which no layout of encoded examples takes; copy the file"
    )


def _as_png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _verify(writer: Writer, checksums: NDArray[np.uint32], folder: Path, show: Progress) -> None:
    """Open what was written and compare every label, name, key and image. Raises DataError at the first difference."""
    opened, expected = writer.opened(), writer.listing
    count = len(checksums)
    remedy = f"nothing was put in place; remove {folder} and convert again"
    if list(opened.identities) != list(expected.identities) or not np.array_equal(opened.labels, expected.labels):
        raise DataError(f"the labels or names of {writer.outputs[-1]} are not read back as they were written; {remedy}")
    order = np.arange(count) if expected.order is None else expected.order
    for index, (key, wanted) in enumerate(zip(opened.keys, expected.keys, strict=True)):
        content = bytes_of(opened, index)
        if key != wanted or content is None or crc32(content) != checksums[order[index]]:
            raise DataError(
                f"record {index} ({wanted}) of {writer.outputs[-1]} is not read back as it was read from the source; "
                + remedy
            )
        if index % _MOST_RECORDS == 0:
            show(count + index, 2 * count)
    show(2 * count, 2 * count)
