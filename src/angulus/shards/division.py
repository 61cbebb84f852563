"""A set divided into input shards: each file of a set of many files, in blocks of at most so many examples.

The division depends on the set and on the block alone. A block of 4,096 rows ends with a page of memory whatever the
dimensions, so that the parts of a whole can be mapped one behind the other (`angulus.embeddings.shards.mapping`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source, account_of, labels_of
from angulus.data.formats.record_source import InFiles, StoredSource
from angulus.data.index.rows import blocks, rows_at, smallest, taken_rows
from angulus.data.views.split import Subset
from angulus.embeddings.shards import InputShard
from angulus.errors import DataError

BLOCK, MOST_BLOCK = 4096, 2**20
_MANY = 8192  # blocks; beyond, the usual block grows


def usual_block(examples: int) -> int:
    """Examples of a block where nothing is said: 4,096, and more for sets of more than 33 million."""
    block = BLOCK
    while examples > _MANY * block:
        block *= 2
    return block


def input_shards(source: Source, block: int) -> tuple[InputShard, ...]:
    """The shards of a set, in its order. Raises DataError for a block of no size and for an empty set."""
    if not 1 <= block <= MOST_BLOCK:
        raise DataError(f"block must be between 1 and {MOST_BLOCK:,} examples, got {block}")
    if not len(source):
        raise DataError("embed needs at least one example, got none")
    shards: list[InputShard] = []
    for begin, end, file in _files(source):
        for first in range(begin, end, block):
            last = min(first + block, end)
            shards.append(InputShard(number=len(shards), begin=first, end=last, file=file))
    return tuple(shards)


def stretch(source: Source, begin: int, end: int) -> Subset:
    """The examples begin..end-1 of a set with the labels that they have in it."""
    rows = np.arange(begin, end, dtype=np.int64)
    account = account_of(source)
    if isinstance(source, Subset):
        return Subset(
            source=source.source,
            rows=taken_rows(source.rows, rows),
            classes=source.classes,
            counts=source.counts,
            account=account,
        )
    count = len(source.identities)
    counts = np.bincount(labels_of(source, rows), minlength=count)
    classes = smallest(np.arange(count), count)
    return Subset(source=source, rows=rows, classes=classes, counts=counts, account=account)


def kept_of(view: Subset, kept: NDArray[np.int64]) -> Subset:
    """Some examples of a stretch, with the same labels."""
    return Subset(
        source=view.source,
        rows=taken_rows(view.rows, kept),
        classes=view.classes,
        counts=view.counts,
        account=view.account,
    )


def _files(source: Source) -> list[tuple[int, int, str | None]]:
    """Beginning, end and name of the stretches that lie in one file; all of the set as one where it has no files."""
    whole: list[tuple[int, int, str | None]] = [(0, len(source), None)]
    rows = None
    inner = source
    if isinstance(source, Subset):
        rows, inner = source.rows, source.source
    if not isinstance(inner, StoredSource) or not isinstance(inner.records, InFiles) or len(inner.records.files) < 2:
        return whole
    numbers = inner.records.file_numbers()
    if rows is not None:
        numbers = np.concatenate([numbers[rows_at(rows, np.arange(*part))] for part in blocks(len(source))])
    begins = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()]
    if len(begins) > len(inner.records.files):  # a view that goes back and forth between files
        return whole
    names: Sequence[str] = inner.records.files
    ends = [*begins[1:], len(source)]
    return [(begin, end, names[int(numbers[begin])]) for begin, end in zip(begins, ends, strict=True)]
