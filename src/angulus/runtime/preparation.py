"""What an aligned crop must become before a network may see it, with numpy alone.

    network input = (pixel - mean) / std          pixel in 0..255

The same numbers as `angulus.models.InputSpec`, which does this in torch (tests compare the two to the bit).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError
from angulus.faces.templates import TEMPLATES, Template, template_named
from angulus.runtime.fields import Fields

COLOURS = ("rgb", "bgr", "grey")
MOST_PIXELS = 1024
# ITU-R BT.601 luma in 1/65536, the integers that Pillow's convert("L") uses.
_GREY_WEIGHTS = (19595, 38470, 7471)

Crops = NDArray[np.uint8]
"""Aligned crops uint8 [n, height, width, 3], RGB."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Size, colour order, mean and std of a network's input, and the template that crops are aligned to.

    mean, std: a number for each channel in the order of `colour`, on the scale 0..255.  inside: the network file takes
    crops as they are and does the rest itself.
    """

    height: int
    width: int
    colour: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    template: str
    inside: bool

    def __post_init__(self) -> None:
        for name, size in (("height", self.height), ("width", self.width)):
            if not 1 <= size <= MOST_PIXELS:
                raise BundleError(f"preprocessing.{name} must be 1 to {MOST_PIXELS} pixels, got {size}")
        if self.colour not in COLOURS:
            raise BundleError(f"preprocessing.colour must be one of {', '.join(COLOURS)}, got {self.colour!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not np.isfinite(values).all():
                raise BundleError(f"preprocessing.{name} must be {self.channels} finite numbers, got {list(values)}")
        if min(self.std) <= 0:
            raise BundleError(f"preprocessing.std must be above 0, got {list(self.std)}")
        if self.template not in TEMPLATES:
            known = ", ".join(TEMPLATES)
            raise BundleError(f"preprocessing.template must be one of {known}, got {self.template!r}")

    @property
    def channels(self) -> int:
        """1 for grey, otherwise 3."""
        return 1 if self.colour == "grey" else 3

    def crop_template(self) -> Template:
        """Where the five landmarks lie in a crop of this size."""
        found = template_named(self.template)
        return found if found.height == self.height else found.scaled(self.height)

    def check(self, crops: Crops) -> None:
        """Raise BundleError unless these are uint8 [n, height, width, 3]."""
        if crops.dtype != np.uint8 or crops.shape[1:] != (self.height, self.width, 3):
            raise BundleError(
                f"crops must be uint8 [n, {self.height}, {self.width}, 3], got {crops.dtype} {list(crops.shape)}"
            )

    def prepare(self, crops: Crops) -> NDArray[np.float32]:
        """Crops -> network input, float32 [n, channels, height, width]."""
        self.check(crops)
        pixels = _grey(crops) if self.colour == "grey" else crops.astype(np.float32)
        if self.colour == "bgr":
            pixels = pixels[..., ::-1]
        scaled = (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def ready(self, crops: Crops) -> NDArray[Any]:
        """What the network file takes: the crops as they are, or prepared."""
        return np.ascontiguousarray(crops) if self.inside else self.prepare(crops)

    def formula(self, count: int) -> Crops:
        """Crops of this size that are the same everywhere for ever."""
        return formula_crops(self.height, self.width, count)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"height": self.height, "width": self.width, "colour": self.colour},
            **{"mean": list(self.mean), "std": list(self.std)},
            **{"template": self.template, "inside": self.inside},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "Preprocessing":
        """The inverse of `to_dict`; BundleError for anything else."""
        given = Fields(values, where)
        return cls(
            **{"height": given.whole("height"), "width": given.whole("width"), "colour": given.text("colour")},
            **{"mean": given.numbers("mean"), "std": given.numbers("std")},
            **{"template": given.text("template"), "inside": given.truth("inside")},
        )


def _grey(crops: Crops) -> NDArray[np.float32]:
    """Luma float32 [n, h, w, 1], rounded as Pillow does."""
    total = sum(crops[..., channel].astype(np.int32) * weight for channel, weight in enumerate(_GREY_WEIGHTS))
    return ((np.asarray(total) + 0x8000) >> 16)[..., None].astype(np.float32)


def formula_crops(height: int, width: int, count: int = 2) -> Crops:
    """Crops from whole-number arithmetic alone, the same everywhere for ever.

    pixel(crop i, row y, column x, channel c) = (x^2 (i + 1) + y^2 (c + 1) + 3 x y + 31 i + 17 c) // 16 mod 256
    """
    crop, row, column, channel = np.meshgrid(
        *(np.arange(size) for size in (count, height, width, 3)), indexing="ij", sparse=True
    )
    mixed = column**2 * (crop + 1) + row**2 * (channel + 1) + 3 * row * column + 31 * crop + 17 * channel
    return (mixed // 16 % 256).astype(np.uint8)
