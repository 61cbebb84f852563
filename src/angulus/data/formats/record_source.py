"""Encoded examples that lie in files of any layout (RecordIO, tar, parquet, packed, a manifest) as a source.

A layout only says which records there are and gives the bytes of each (`Records`); what they are is said by a content
(`Pictures`, `Recordings`). Decoding and leaving out what is damaged are here, once for all.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account, Drop, HasStamps, ReadsAhead, Source, account_of
from angulus.data.formats.label_names import column_values
from angulus.data.loading.contents import Content, Pictures, Recordings
from angulus.data.parts import part_of
from angulus.data.views.split import Subset, select
from angulus.devices.processors import usable_cores
from angulus.errors import DataError

logger = logging.getLogger(__name__)


class Records(Protocol):
    """Encoded examples with labels, identities and keys as a `Source` has them; `origin` names where they lie."""

    @property
    def origin(self) -> str: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def identities(self) -> Sequence[str]: ...
    @property
    def keys(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def read_bytes(self, index: int) -> bytes:
        """The bytes of one record. Raises DataError with file and place when they are damaged."""
        ...

    def stamp(self, index: int, *, times: bool) -> str:
        """A short text that changes when the record does."""
        ...


@runtime_checkable
class InFiles(Protocol):
    """Records that lie in several files, one after the other."""

    @property
    def files(self) -> Sequence[str]:
        """Their names."""
        ...

    def file_numbers(self) -> NDArray[np.int64]:
        """[n], which of `files` holds each record."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredSource:
    """`records`, decoded when asked for."""

    records: Records
    content: Content = field(default_factory=Pictures)

    @property
    def labels(self) -> NDArray[np.int64]:
        """[n], positions in `identities`."""
        return self.records.labels

    @property
    def identities(self) -> Sequence[str]:
        """Names of the identities."""
        return self.records.identities

    @property
    def keys(self) -> Sequence[str]:
        """[n] names of the examples."""
        return self.records.keys

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """What the layout says of each example besides, [n] values by name; nothing for most layouts."""
        said: Mapping[str, Sequence[str]] = getattr(self.records, "columns", {})
        return {name: column_values(values) for name, values in said.items()}

    @property
    def account(self) -> Account:
        """How many images of how many identities there are."""
        return Account(
            origin=self.records.origin, images=len(self), identities=len(self.identities), noun=self.content.noun
        )

    def __len__(self) -> int:
        return len(self.records)

    def read(self, index: int) -> NDArray[Any]:
        """One example, as `content` gives it; DataError names the file and the record when it is damaged."""
        return self.read_into(index, None)

    def read_into(self, index: int, out: NDArray[np.uint8] | None) -> NDArray[Any]:
        """The same, decoded to `out` where it fits."""
        return self.content.decode(self.records.read_bytes(index), name=lambda: self._name(index), out=out)

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of a recording; see `angulus.data.parts`."""
        if not isinstance(self.content, Recordings):
            return part_of(self.read(index), share, length)
        content = self.records.read_bytes(index)
        return self.content.decode_part(content, share, length, name=lambda: self._name(index))

    def _name(self, index: int) -> str:
        return f"{self.records.origin}: {self.keys[index]}"

    def read_bytes(self, index: int) -> bytes:
        """The encoded example as it is stored."""
        return self.records.read_bytes(index)

    def stamp(self, index: int, *, times: bool) -> str:
        """What the layout says of the record, and how it is decoded."""
        return f"{self.records.stamp(index, times=times)}:{self.content.stamp()}"

    def stamps(self, indices: NDArray[np.int64], *, times: bool) -> bytes | None:
        """The same of many records, where the layout has numbers for them."""
        if not isinstance(self.records, HasStamps):
            return None
        content = self.records.stamps(indices, times=times)
        return None if content is None else content + f"{self.content.stamp()}".encode()

    def will_need(self, begin: int, end: int) -> None:
        """Have the records begin..end-1 fetched from the disk, where the layout keeps them together."""
        if isinstance(self.records, ReadsAhead):
            self.records.will_need(begin, end)


def without_unreadable(source: Source, *, threads: int | None = None) -> Subset:
    """Decode every example once and leave out those that cannot be read; the account lists them."""

    problems = problems_of(source, threads=threads)
    bad = [index for index, reason in enumerate(problems) if reason is not None]
    for index in bad:
        logger.warning("skipped: %s", problems[index])
    keep = np.flatnonzero(np.array([reason is None for reason in problems], dtype=bool))
    if not len(keep):
        raise DataError(f"{account_of(source).origin}: none of its {len(source)} examples can be read")
    lost = len(source.identities) - len(np.unique(source.labels[keep]))
    drop = Drop.of("unreadable", [source.keys[index] for index in bad], images=len(bad), identities=lost)
    return select(source, keep, drop)


def problems_of(source: Source, *, threads: int | None = None) -> list[str | None]:
    """Decode every example once: for each why it cannot be read, None where it can."""

    def problem(index: int) -> str | None:
        try:
            source.read(index)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        return list(pool.map(problem, range(len(source))))
