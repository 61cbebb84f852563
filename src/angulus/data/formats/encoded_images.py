"""Images that are held as encoded bytes (JPEG, PNG) in memory, as a verification `.bin` or an archive gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.data.examples import Fit, Size, check_size, fit_image
from angulus.data.loading.decoding import decode_image
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedSource:
    """n encoded images, decoded when asked for. Build it with `EncodedSource.of`."""

    images: tuple[bytes, ...]
    labels: NDArray[np.int64]
    identities: tuple[str, ...]
    keys: tuple[str, ...]
    size: Size | None = None
    fit: Fit = "resize"

    @staticmethod
    def of(
        images: Sequence[bytes],
        *,
        keys: Sequence[str] | None = None,
        labels: ArrayLike | None = None,
        identities: Sequence[str] | None = None,
        size: Size | None = None,
        fit: Fit = "resize",
    ) -> "EncodedSource":
        """A source of encoded images.

        keys: names [n]; left out, the images are numbered. labels: positions in `identities` [n]; left out, who is
        shown is taken as unknown: every image is an identity of its own, named by its key. size, fit: as for folders.
        Raises DataError for lists of unlike lengths.
        """
        check_size(size)
        count = len(images)
        names = tuple(f"{number:07d}" for number in range(count)) if keys is None else tuple(keys)
        numbers = np.arange(count, dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
        if identities is None:
            most = int(numbers.max(initial=-1)) + 1
            identities = names if labels is None else [str(number) for number in range(most)]
        for name, length in (("keys", len(names)), ("labels", len(numbers))):
            if length != count:
                raise DataError(f"{name} must have one entry for each of the {count} images, got {length}")
        if count and (numbers.min() < 0 or numbers.max() >= len(identities)):
            raise DataError(f"labels must be positions in the {len(identities)} identities, got {numbers.max()}")
        return EncodedSource(
            images=tuple(images), labels=numbers, identities=tuple(identities), keys=names, size=size, fit=fit
        )

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels [height, width, 3] of one image; DataError names it by its key when it is damaged."""
        return self.read_into(index, None)

    def read_into(self, index: int, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """The same, decoded to `out` where it fits."""
        name = f"image {self.keys[index]}"
        image = decode_image(self.images[index], name=name, out=out)
        return image if self.size is None else fit_image(image, self.size, self.fit, name=name)

    def read_bytes(self, index: int) -> bytes:
        """The encoded image as it was given."""
        return self.images[index]

    def stamp(self, index: int, *, times: bool) -> str:
        """Length and checksum of the bytes, and how the image is fitted."""
        content = self.images[index]
        return f"{len(content)}:{crc32(content)}:{self.size}:{self.fit}"
