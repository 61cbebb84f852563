"""A transform of all vectors of a gallery with a key, so that they can be issued anew if they, or the key, leak.

    v' = R v,   R = Q of the QR decomposition of a matrix of normal numbers drawn from the key;   keep: the first rows

Cosines of two transformed vectors are those of the two vectors (with all dimensions kept). What it protects against:
stolen templates are of no use in another gallery, nor to a network that turns embeddings into pictures, as long as the
key is not stolen with them; and after a theft everybody is issued anew without new photos. What not: whoever has the
key undoes it, exactly where all dimensions are kept; whoever has some vectors and their transforms solves for R; and
scores within the gallery stay what they were. Keep the key elsewhere than the gallery. With fewer dimensions kept the
others are lost for good, at a cost in accuracy that is to be measured with the model at hand (see ISO/IEC 30136).

The matrix is computed in float64 from SHA-256 in counter mode; the QR decomposition is LAPACK's, so that platforms may
differ in the last bits of a float64, far below what float16 stores. It does not depend on numpy's generators.
"""

import hashlib
import hmac
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.ciphers import key_bytes
from angulus.gallery.people import MOST_DIMENSIONS, checked_vectors

MOST_ROTATED = 4096
_PURPOSE = b"angulus gallery: rotation"


class KeyedRotation:
    """An orthogonal matrix from a key.

    key: 32 bytes or 64 hexadecimal digits.  dim: of the vectors it takes.  keep: dimensions that it gives; None: all.
    Raises GalleryError for values out of range.
    """

    def __init__(self, key: bytes | str, dim: int, keep: int | None = None) -> None:
        if not 2 <= dim <= min(MOST_ROTATED, MOST_DIMENSIONS):
            raise GalleryError(f"a rotation must have 2 to {MOST_ROTATED} dimensions, got {dim}")
        self.dim, self.keep = dim, dim if keep is None else keep
        if not 2 <= self.keep <= dim:
            raise GalleryError(f"keep must be 2 to {dim}, the dimensions of the vectors, got {keep}")
        self._key = hmac.digest(key_bytes(key), _PURPOSE, "sha256")
        self._matrix = rotation(self._key, dim)[: self.keep].astype(np.float32)

    @property
    def is_lossless(self) -> bool:
        return self.keep == self.dim

    @property
    def matrix(self) -> NDArray[np.float32]:
        """[keep, dim], with rows of length 1; as secret as the key."""
        return self._matrix

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit vectors [n, dim] -> unit vectors [n, keep]."""
        turned = checked_vectors(vectors, self.dim) @ self._matrix.T
        return (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)

    def undo(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vectors before `apply`. Raises GalleryError where some dimensions were not kept."""
        if not self.is_lossless:
            raise GalleryError(
                f"a rotation that keeps {self.keep} of {self.dim} dimensions cannot be undone; enrol the photos again"
            )
        return checked_vectors(vectors, self.dim) @ self._matrix

    def as_dict(self) -> dict[str, Any]:
        """What a gallery stores of it: enough to know the key again, not to find it."""
        check = hmac.digest(self._key, b"check", "sha256").hex()
        return {"name": "rotation", "dim": self.dim, "keep": self.keep, "check": check}


def rotation(key: bytes, dim: int) -> NDArray[np.float64]:
    """An orthogonal matrix [dim, dim], uniform among them (Mezzadri 2007): the signs of R's diagonal are fixed."""
    turned, triangle = np.linalg.qr(normal_numbers(key, dim * dim).reshape(dim, dim))
    return turned * np.where(np.diagonal(triangle) < 0, -1.0, 1.0)


def normal_numbers(key: bytes, count: int) -> NDArray[np.float64]:
    """Standard normal numbers [count] by Box and Muller's formula from SHA-256 of the key and a counter."""
    pairs = -(-count // 2)
    blocks = [hashlib.sha256(key + number.to_bytes(8, "big")).digest() for number in range(-(-pairs // 2))]
    drawn = np.frombuffer(b"".join(blocks), dtype=">u8").reshape(-1, 2)[:pairs].astype(np.float64)
    uniform = (drawn + 1) / 2**64 * (1 - 2**-40) + 2**-42  # within (0, 1)
    radius, angle = np.sqrt(-2 * np.log(uniform[:, 0])), 2 * np.pi * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:count]
