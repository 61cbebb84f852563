"""The images of a source under other labels, as corrections of who is shown give them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import (
    Account,
    Source,
    account_of,
    bytes_of,
    columns_of,
    read_images,
    stamp_of,
    stamps_of,
    will_need,
)
from angulus.data.parts import read_part
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Relabelled:
    """The images of `source`, image i with `labels[i]`, a position in `identities`."""

    source: Source
    labels: NDArray[np.int64]
    identities: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.source):
            raise DataError(f"there must be {len(self.source)} labels, one for each image, got {len(self.labels)}")

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

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> NDArray[Any]:
        """One example."""
        return self.source.read(index)

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of a recording."""
        return read_part(self.source, index, share, length)

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width]; as fast as the source gives them."""
        return read_images(self.source, indices)

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image, where the source holds one."""
        return bytes_of(self.source, index)

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of this image."""
        return stamp_of(self.source, index, times=times)

    def stamps(self, indices: NDArray[np.int64], *, times: bool) -> bytes | None:
        """The same of many images."""
        return stamps_of(self.source, indices, times=times)

    def will_need(self, begin: int, end: int) -> None:
        """Have the source fetch these images."""
        will_need(self.source, begin, end)
