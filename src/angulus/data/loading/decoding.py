"""Encoded images to pixels: Pillow, and simplejpeg for plain JPEGs where it is installed.

Both give the same pixels to the bit, simplejpeg in about half the time (`pip install "angulus[fast]"`). It is given
only files of which nothing but the picture matters: whole, without a warning, grey or three colours, and without
metadata that may turn them. All others (EXIF, CMYK, PNG, damaged files) go to Pillow, whose pixels and errors are the
rule.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from angulus.errors import DataError
from angulus.files import read_regular
from angulus.image_files import open_image

logger = logging.getLogger(__name__)

_EXIF_ORIENTATION = 0x0112
REMEDY = (
    "replace or remove it, or set data.on_unreadable=skip (embed: --skip-unreadable) to leave out and list what is "
    "damaged"
)

_SCAN = b"\xff\xda"
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive; all with Huffman codes
_TABLES = frozenset({0xC4, 0xDB, 0xDD, 0xFE})  # codes, quantization, restarts; a comment
_MARKS = frozenset({0xE0, 0xEE})  # JFIF and Adobe, at least the 7 bytes that Pillow reads
_PROFILE, _PROFILE_NAME = 0xE2, b"ICC_PROFILE\0"
_LONGEST_HEAD = 2**17
_MOST_PIXELS = 2**26  # Pillow warns of larger images


def decode_image(
    content: bytes | Path, *, name: str | Callable[[], str] | None = None, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Pixels [height, width, 3] (uint8, RGB) of an encoded image, turned upright as its EXIF orientation says.

    Grey, palette and CMYK images become RGB, transparent ones are laid over black, 16 bits a channel become 8.

    Args:
        content: the bytes, or the file that holds them.
        name: what to call the image in errors, or what gives its name when one is needed.
        out: where the pixels may be written, C-contiguous [height, width, 3]. An image of this size may be given back
            as `out` itself; look whether it is, since others come as an array of their own.

    Raises DataError with the name of the image and the reason when it can't be decoded completely.
    """
    try:
        data = read_regular(content) if isinstance(content, Path) else content
        if not data:
            raise DataError(f"cannot read {_shown(content, name)}: the file is empty")
        fast = _decode_plain(data, out)
        if fast is not None:
            return fast
        with open_image(data) as image:
            return _as_rgb(image)
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        shown = _shown(content, name)
        raise DataError(f"cannot read {shown}: its content is not an image of a known format; {REMEDY}") from error
    except Exception as error:  # decoders raise a dozen types on damaged bytes
        raise DataError(f"cannot read {_shown(content, name)}: {_reason(error)}; {REMEDY}") from error


def decoder() -> str:
    """What decodes plain JPEGs here, with its version: "simplejpeg 1.9.0" or "pillow 13.0.0"."""
    return f"simplejpeg {_simplejpeg().__version__}" if _simplejpeg() else f"pillow {PIL.__version__}"


def plain_shape(head: bytes) -> tuple[int, int, int] | None:
    """Shape [height, width, 3] of a JPEG that simplejpeg may decode; None for all that Pillow must look at.

    head: its bytes before the first scan. Only segments are taken that change nothing about the picture as Pillow shows
    it, each as long as it says, the last ending where `head` does.
    """
    size: tuple[int, int] | None = None
    place = 2
    while place < len(head):
        if len(head) < place + 4 or head[place] != 0xFF:
            return None
        marker = head[place + 1]
        segment = head[place + 4 : place + 2 + int.from_bytes(head[place + 2 : place + 4], "big")]
        if marker in _FRAMES and size is None and len(segment) in (9, 15) and segment[0] == 8:
            size = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
        elif not _changes_nothing(marker, segment):
            return None
        place += 2 + max(2, int.from_bytes(head[place + 2 : place + 4], "big"))
    if place != len(head) or size is None or not 0 < size[0] * size[1] <= _MOST_PIXELS:
        return None
    return *size, 3


# Files that were written by one program mostly have the same bytes before their scan.
_shape_of_head = lru_cache(maxsize=1024)(plain_shape)


def _changes_nothing(marker: int, segment: bytes) -> bool:
    if marker == _PROFILE:
        return segment.startswith(_PROFILE_NAME) and len(segment) > len(_PROFILE_NAME) + 2
    return marker in _TABLES or (marker in _MARKS and len(segment) >= 7)


def _decode_plain(data: bytes, out: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """The pixels by simplejpeg, or None where Pillow is to decode."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    simplejpeg = _simplejpeg()
    end = data.find(_SCAN, 2, _LONGEST_HEAD)
    if simplejpeg is None or end < 0:
        return None
    shape = _shape_of_head(data[:end])
    if shape is None:
        return None
    try:
        if out is None or out.shape != shape:
            return simplejpeg.decode_jpeg(data)
        simplejpeg.decode_jpeg(data, buffer=out)
        return out
    except ValueError:  # a warning is enough; whether anything is lost is for Pillow to say
        return None


@lru_cache(maxsize=1)
def _simplejpeg() -> Any:
    """The module where it is installed and gives Pillow's pixels on a trial, else None."""
    try:
        import simplejpeg
    except ImportError:
        return None
    if _agrees(simplejpeg):
        return simplejpeg
    logger.warning("simplejpeg and Pillow give different pixels here (another libjpeg); JPEGs are decoded by Pillow")
    return None


def _agrees(simplejpeg: Any) -> bool:
    # Noise, odd sides and all ways to halve the colours: what differs between libraries shows there.
    pixels = np.random.default_rng(0).integers(0, 256, (37, 43, 3), dtype=np.uint8)
    for subsampling in (0, 1, 2):
        for progressive in (False, True):
            file = BytesIO()
            options = {"quality": 90, "subsampling": subsampling, "progressive": progressive}
            Image.fromarray(pixels).save(file, "jpeg", **options)
            with open_image(file.getvalue()) as image:
                if not np.array_equal(simplejpeg.decode_jpeg(file.getvalue()), np.asarray(image)):
                    return False
    return True


def _as_rgb(image: Image.Image) -> NDArray[np.uint8]:
    upright = image
    if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        upright = ImageOps.exif_transpose(image)
    if upright.mode == "RGB":
        return np.array(upright)
    if upright.mode.startswith("I"):
        grey = np.clip(np.asarray(upright).astype(np.int64), 0, 65535) // 257
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if upright.mode == "F":
        raise DataError("floating-point pixels have no agreed range; store the image with 8 bits a channel")
    if upright.has_transparency_data:
        over_black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        over_black.alpha_composite(upright.convert("RGBA"))
        upright = over_black
    return np.array(upright.convert("RGB"))


def _shown(content: bytes | Path, name: str | Callable[[], str] | None) -> str:
    if callable(name):
        return name()
    return name or (str(content) if isinstance(content, Path) else "image")


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
