"""Opening an image file of a stranger: a few known formats, and no larger than its bytes can fill.

Pillow knows some forty formats, and takes a file for what its first bytes say, whatever its name: EPS starts
Ghostscript, others are rarely looked at by anyone. Here only those that hold photos are tried.
"""

from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from angulus.files import read_regular

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF", "JPEG2000", "AVIF", "HEIF")
HEIC_NEEDS = 'HEIC, the format of many phones, needs pillow-heif: pip install "angulus[heif]"'
_HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"))
SMALL = 2**24  # pixels that are decoded whatever the size of the file
MOST_PIXELS_A_BYTE = 10_000  # black and white PNG of one colour has 8,256


class NoReaderError(ValueError):
    """An image is of a format for which a package is missing here; the message says which."""


class ImageTooLargeError(ValueError):
    """An image has more pixels than are decoded, or than its bytes can fill."""


class PixelLimitError(ImageTooLargeError):
    """An image has more pixels than are decoded."""


@lru_cache(maxsize=1)
def known_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that Pillow can read here; HEIF where pillow-heif is installed."""
    Image.init()
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def open_image(file: Path | bytes) -> Image.Image:
    """An image, its pixels not yet decoded; to be used in a `with` block.

    Of an animation it is the first frame. Raises PIL.UnidentifiedImageError for what is of none of `FORMATS`,
    NoReaderError (a ValueError) for HEIC where nothing here reads it, ImageTooLargeError (a ValueError) for more
    pixels than Pillow's limit or than the bytes can fill, OSError for a file that cannot be read.
    """
    content = file if isinstance(file, bytes) else read_regular(file)
    try:
        image = Image.open(BytesIO(content), formats=known_formats())
    except UnidentifiedImageError:
        if content[4:12] in _HEIC and "HEIF" not in known_formats():
            raise NoReaderError(HEIC_NEEDS) from None
        raise
    except Image.DecompressionBombError as error:
        raise PixelLimitError(f"it has more pixels than are decoded: {error}") from error
    pixels = image.width * image.height
    if pixels > max(SMALL, len(content) * MOST_PIXELS_A_BYTE):
        image.close()
        raise ImageTooLargeError(
            f"it says that it has {image.width} x {image.height} pixels, which its {len(content):,} bytes cannot fill"
        )
    return image
