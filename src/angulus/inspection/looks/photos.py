"""What is to be seen in a picture: size, brightness, contrast, blur, and hashes of it and of its mirror image.

brightness   mean of the grey values, 0 to 255;  contrast: their standard deviation
blur         0 sharp to 1 blurred: how much of the differences between neighbouring pixels is still there after
             averaging over 9 pixels, the larger of both directions. Unlike the variance of the Laplacian it does
             not call a dark image blurred and a noisy one sharp (Crete et al., "The blur effect", SPIE 2007)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.data.examples import Source
from angulus.data.loading.decoding import decode_image
from angulus.image_files import open_image
from angulus.inspection.hashing import mirrored, signs, spectrum
from angulus.inspection.looks.look import (
    COMMON,
    HASH_BYTES,
    Concern,
    CopyBounds,
    Extreme,
    Measure,
    Same,
    Words,
)
from angulus.inspection.registration import COPY, COPY_BY_HASH, FEW_BITS, agreement

NOT_STORED = "not stored as a file"
_BLUR_WINDOW = 9

COLUMNS = np.dtype(
    [
        *COMMON,
        ("height", "<i4"),
        ("width", "<i4"),
        ("brightness", "<f4"),
        ("contrast", "<f4"),
        ("blur", "<f4"),
        ("hash", "u1", (HASH_BYTES,)),
        ("mirrored_hash", "u1", (HASH_BYTES,)),
    ]
)


@dataclass(frozen=True)
class Photos:
    """Pixels uint8 [h, w, 3]."""

    words = Words(
        one="image",
        many="images",
        person="person",
        people="people",
        picture="picture",
        footer="The photos in this page are copies of those in the set: keep it as you keep the set.",
    )
    columns = COLUMNS
    hashes = (("hash", "hash"), ("hash", "mirrored_hash"))
    same: Same = "same pixels"
    bounds = CopyBounds(copy=COPY, by_hash=COPY_BY_HASH, few_bits=FEW_BITS)
    measures = (
        Measure(column="height", title="height", bars=False),
        Measure(column="width", title="width", bars=False),
        Measure(column="brightness", title="brightness (0 black, 255 white)"),
        Measure(column="contrast", title="contrast (deviation of grey values)"),
        Measure(column="blur", title="blur (0 sharp, 1 blurred)", digits=2),
    )
    extremes = (
        Extreme(title="darkest", column="brightness"),
        Extreme(title="brightest", column="brightness", largest=True),
        Extreme(title="most blurred", column="blur", largest=True),
        Extreme(title="least contrast", column="contrast"),
    )

    def decode(self, source: Source, index: int, content: bytes | None) -> NDArray[np.uint8]:
        """Pixels as they are stored."""
        return source.read(index) if content is None else decode_image(content, name=source.keys[index])

    def spectra(self, example: NDArray[Any]) -> NDArray[np.float32]:
        """[1, 256]"""
        return spectrum(_grey(example))[None]

    def measured(self, example: NDArray[Any], content: bytes | None, typical: NDArray[np.float32]) -> Mapping[str, Any]:
        """Its own columns."""
        grey = _grey(example)
        values, found = np.asarray(grey, dtype=np.float32), spectrum(grey)[None]
        return {
            "height": example.shape[0],
            "width": example.shape[1],
            "brightness": values.mean(),
            "contrast": values.std(),
            "blur": blur_of(values),
            "hash": signs(found, typical)[0],
            "mirrored_hash": signs(mirrored(found), typical)[0],
        }

    def kind(self, example: NDArray[Any], content: bytes | None) -> str:
        """For example JPEG RGB."""
        if content is None:
            return NOT_STORED
        with open_image(content) as image:
            return f"{image.format} {image.mode}"

    def agreement(self, one: NDArray[Any], other: NDArray[Any]) -> float:
        """See `angulus.inspection.registration`."""
        return agreement(one, other)

    def telling(self, rows: NDArray[np.void]) -> NDArray[np.bool_]:
        """Those that can be read."""
        return rows["readable"]

    def concerns(self, rows: NDArray[np.void]) -> list[Concern]:
        """None: what is too dark or blurred depends on the use, and the page shows the extremes."""
        return []


def blur_of(grey: NDArray[np.float32]) -> float:
    """0 (sharp) to 1 (blurred) of a grey picture [h, w]; a picture of one colour is 1."""
    found = 0.0
    for picture in (grey, grey.T):
        if len(picture) < 2:
            continue
        sharp = np.abs(np.diff(picture, axis=0))
        soft = np.abs(np.diff(_averaged(picture), axis=0))
        total = float(sharp.sum())
        kept = float(np.minimum(sharp, soft).sum())
        found = max(found, kept / total if total else 1.0)
    return found


def _averaged(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over 9 rows around each; edges repeated."""
    half = _BLUR_WINDOW // 2
    padded = np.pad(picture, ((half + 1, half), (0, 0)), mode="edge")
    sums = padded.cumsum(axis=0, dtype=np.float32)
    return ((sums[_BLUR_WINDOW:] - sums[:-_BLUR_WINDOW]) / _BLUR_WINDOW).astype(np.float32)


def _grey(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels).convert("L")


PHOTOS = Photos()
