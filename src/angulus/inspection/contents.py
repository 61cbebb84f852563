"""What is in every image of a set: size, bytes, format, brightness, contrast, blur, and hashes that find copies.

    brightness   mean of the grey values, 0 to 255;  contrast: their standard deviation
    blur         0 sharp to 1 blurred: how much of the differences between neighbouring pixels is still there after
                 averaging over 9 pixels, the larger of both directions. Unlike the variance of the Laplacian it does
                 not call a dark image blurred and a noisy one sharp (Crete et al., "The blur effect", SPIE 2007)

One pass over the images, in several threads and in blocks; about 150 bytes are kept of each. An image that cannot be
read is listed and the pass goes on.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.data.examples import Source, bytes_of
from angulus.data.loading.decoding import decode_image
from angulus.devices.processors import usable_cores
from angulus.errors import DataError
from angulus.image_files import open_image
from angulus.inspection.hashing import BITS, mirrored, signs, spectrum

Progress = Callable[[int, int | None], None]

NOT_STORED = "not stored as a file"
_BLOCK = 512
_SAMPLE = 1000
_BLUR_WINDOW = 9

COLUMNS = np.dtype(
    [
        ("readable", "?"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("bytes", "<i8"),
        ("format", "<i2"),
        ("brightness", "<f4"),
        ("contrast", "<f4"),
        ("blur", "<f4"),
        ("bytes_digest", "<u8"),
        ("pixels_digest", "<u8"),
        ("hash", "u1", (BITS // 8,)),
        ("mirrored_hash", "u1", (BITS // 8,)),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """One row for each image (`COLUMNS`); formats: "JPEG RGB" and the like by number; problems: (row, sentence)."""

    rows: NDArray[np.void]
    formats: tuple[str, ...]
    problems: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """[n]"""
        return self.rows["readable"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    row: NDArray[np.void] | None = None
    kind: str = ""
    problem: str = ""


def typical_spectrum(*sources: Source, sample: int = _SAMPLE, seed: int = 0) -> NDArray[np.float32]:
    """The median spectrum of `sample` images drawn from each source; unreadable ones are passed over."""
    found = []
    for source in sources:
        count = min(sample, len(source))
        for index in np.sort(np.random.default_rng(seed).choice(len(source), count, replace=False)):
            try:
                found.append(spectrum(_grey(source.read(int(index)))))
            except DataError:
                continue
    if not found:
        raise DataError("not one image could be read; is this a set of images?")
    return np.median(np.stack(found), axis=0).astype(np.float32)


def scan(
    source: Source,
    typical: NDArray[np.float32],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Contents:
    """Look at every image once. typical: what `typical_spectrum` gave; the same for sets that are to be compared."""
    rows = np.zeros(len(source), dtype=COLUMNS)
    formats: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    for index, seen in _all_seen(source, typical, threads, progress):
        if seen.row is None:
            problems.append((index, seen.problem))
            continue
        rows[index] = seen.row
        rows[index]["format"] = formats.setdefault(seen.kind, len(formats))
    return Contents(rows=rows, formats=tuple(formats), problems=tuple(problems))


def without(contents: Contents, keep: NDArray[np.bool_]) -> Contents:
    """The contents of the rows that are kept; bool [n]."""
    place = np.cumsum(keep) - 1
    problems = tuple((int(place[row]), text) for row, text in contents.problems if keep[row])
    return replace(contents, rows=contents.rows[keep], problems=problems)


def blur_of(grey: NDArray[np.float32]) -> float:
    """0 (sharp) to 1 (blurred) of a grey picture [h, w]; a picture of one colour is 1."""
    found = 0.0
    for picture in (grey, grey.T):
        if len(picture) < 2:
            continue
        sharp = np.abs(np.diff(picture, axis=0))
        soft = np.abs(np.diff(_averaged(picture), axis=0))
        total = float(sharp.sum())
        kept = float(np.minimum(sharp, soft).sum())
        found = max(found, kept / total if total else 1.0)
    return found


def _averaged(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over 9 rows around each; edges repeated."""
    half = _BLUR_WINDOW // 2
    padded = np.pad(picture, ((half + 1, half), (0, 0)), mode="edge")
    sums = padded.cumsum(axis=0, dtype=np.float32)
    return ((sums[_BLUR_WINDOW:] - sums[:-_BLUR_WINDOW]) / _BLUR_WINDOW).astype(np.float32)


def _all_seen(
    source: Source, typical: NDArray[np.float32], threads: int | None, progress: Progress | None
) -> Iterator[tuple[int, _Seen]]:
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        for begin in range(0, len(source), _BLOCK):
            block = range(begin, min(begin + _BLOCK, len(source)))
            yield from zip(block, pool.map(lambda index: _seen(source, index, typical), block), strict=True)
            if progress is not None:
                progress(block.stop, len(source))


def _seen(source: Source, index: int, typical: NDArray[np.float32]) -> _Seen:
    try:
        content = bytes_of(source, index)
        pixels = source.read(index) if content is None else decode_image(content, name=source.keys[index])
    except DataError as error:
        return _Seen(problem=str(error))
    row = np.zeros((), dtype=COLUMNS)
    row["readable"], row["height"], row["width"] = True, *pixels.shape[:2]
    row["bytes"] = -1 if content is None else len(content)
    shape = np.array(pixels.shape, dtype="<i4").tobytes()
    row["pixels_digest"] = _digest(shape + np.ascontiguousarray(pixels).tobytes())
    row["bytes_digest"] = row["pixels_digest"] if content is None else _digest(content)
    grey = _grey(pixels)
    values = np.asarray(grey, dtype=np.float32)
    row["brightness"], row["contrast"], row["blur"] = values.mean(), values.std(), blur_of(values)
    found = spectrum(grey)[None]
    row["hash"], row["mirrored_hash"] = signs(found, typical)[0], signs(mirrored(found), typical)[0]
    return _Seen(row=row, kind=NOT_STORED if content is None else _kind(content))


def _grey(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels).convert("L")


def _kind(content: bytes) -> str:
    with open_image(content) as image:
        return f"{image.format} {image.mode}"


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
