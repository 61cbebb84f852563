"""The images of a source under other identities: a label and a name are all that is new."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account, Source, account_of, bytes_of, read_images, stamp_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Relabelled:
    """Image i of `source` with `labels[i]`, a position in `identities`."""

    source: Source
    labels: NDArray[np.int64]
    identities: Sequence[str]

    @property
    def keys(self) -> Sequence[str]:
        """[n] names of the images."""
        return self.source.keys

    @property
    def account(self) -> Account:
        """What the source kept and dropped."""
        return account_of(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels [height, width, 3] of one image."""
        return self.source.read(index)

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width]; as fast as the source gives them."""
        return read_images(self.source, indices)

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image, where the source holds one."""
        return bytes_of(self.source, index)

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of this image."""
        return stamp_of(self.source, index, times=times)
