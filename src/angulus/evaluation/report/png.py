"""A picture as a PNG file, and as an address inside a page: no image library is needed."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG file of an image uint8 [h, w] or [h, w, 3]."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise EvaluationError(f"images must be uint8 [h, w] or [h, w, 3], got {image.dtype} {list(image.shape)}")
    height, width = image.shape[:2]
    rows = image.reshape(height, -1)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # filter type 0 before each row
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if image.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def png_address(image: NDArray[np.uint8]) -> str:
    """The image as a data address."""
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")
