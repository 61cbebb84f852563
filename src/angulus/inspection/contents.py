"""What is in every example of a set: size, bytes, format, what its kind of example is asked, hashes that find copies.

One pass over the examples, in several threads and in blocks; about 150 bytes are kept of each. What is asked of a
picture, a recording or features is in `looks`. An example that cannot be read is listed and the pass goes on.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source, bytes_of
from angulus.devices.processors import usable_cores
from angulus.errors import DataError
from angulus.inspection.looks import PHOTOS, Concern, Look, one_look

Progress = Callable[[int, int | None], None]

_BLOCK = 512
_SAMPLE = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """One row for each example (`look.columns`); formats: by number, as "JPEG RGB"; problems: (row, sentence)."""

    rows: NDArray[np.void]
    formats: tuple[str, ...]
    problems: tuple[tuple[int, str], ...]
    look: Look = PHOTOS

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """[n]"""
        return self.rows["readable"]

    @property
    def concerns(self) -> list[Concern]:
        """What looks wrong in some of them."""
        return self.look.concerns(self.rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    row: NDArray[np.void] | None = None
    kind: str = ""
    problem: str = ""


def typical_spectrum(*sources: Source, sample: int = _SAMPLE, seed: int = 0) -> NDArray[np.float32]:
    """The median spectra [k, 256] of `sample` examples drawn from each source; unreadable ones are passed over.

    Raises DataError where the sources hold different things, or nothing readable.
    """
    look = one_look(*sources)
    found = []
    for source in sources:
        count = min(sample, len(source))
        for index in np.sort(np.random.default_rng(seed).choice(len(source), count, replace=False)):
            try:
                found.append(look.spectra(_decoded(look, source, int(index))[0]))
            except DataError:
                continue
    if not found:
        raise DataError(f"not one {look.words.one} could be read; is this a set of {look.words.many}?")
    return np.median(np.stack(found), axis=0).astype(np.float32)


def scan(
    source: Source,
    typical: NDArray[np.float32],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Contents:
    """Look at every example once. typical: what `typical_spectrum` gave; the same for sets that are to be compared."""
    look = one_look(source)
    rows = np.zeros(len(source), dtype=look.columns)
    formats: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    for index, seen in _all_seen(look, source, typical, threads, progress):
        if seen.row is None:
            problems.append((index, seen.problem))
            continue
        rows[index] = seen.row
        rows[index]["format"] = formats.setdefault(seen.kind, len(formats))
    return Contents(rows=rows, formats=tuple(formats), problems=tuple(problems), look=look)


def without(contents: Contents, keep: NDArray[np.bool_]) -> Contents:
    """The contents of the rows that are kept; bool [n]."""
    place = np.cumsum(keep) - 1
    problems = tuple((int(place[row]), text) for row, text in contents.problems if keep[row])
    return replace(contents, rows=contents.rows[keep], problems=problems)


def _decoded(look: Look, source: Source, index: int) -> tuple[NDArray, bytes | None]:
    content = bytes_of(source, index)
    return look.decode(source, index, content), content


def _all_seen(
    look: Look, source: Source, typical: NDArray[np.float32], threads: int | None, progress: Progress | None
) -> Iterator[tuple[int, _Seen]]:
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        for begin in range(0, len(source), _BLOCK):
            block = range(begin, min(begin + _BLOCK, len(source)))
            found = pool.map(lambda index: _seen(look, source, index, typical), block)
            yield from zip(block, found, strict=True)
            if progress is not None:
                progress(block.stop, len(source))


def _seen(look: Look, source: Source, index: int, typical: NDArray[np.float32]) -> _Seen:
    try:
        example, content = _decoded(look, source, index)
    except DataError as error:
        return _Seen(problem=str(error))
    row = np.zeros((), dtype=look.columns)
    row["readable"] = True
    row["bytes"] = -1 if content is None else len(content)
    shape = np.array(example.shape, dtype="<i4").tobytes()
    row["values_digest"] = _digest(shape + np.ascontiguousarray(example).tobytes())
    row["bytes_digest"] = row["values_digest"] if content is None else _digest(content)
    for column, value in look.measured(example, content, typical).items():
        row[column] = value
    return _Seen(row=row, kind=look.kind(example, content))


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
