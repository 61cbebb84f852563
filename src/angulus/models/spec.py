"""What images must look like before a network may see them: size, colour order, mean and standard deviation.

    network input = (pixel - mean) / std          pixel in 0..255

The spec travels with the weights, so that a model cannot be fed another preprocessing than the one that it was
trained with. Sizes are written height x width: the "112x96" of the papers is 112 high and 96 wide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from angulus.devices.copies import scalar
from angulus.errors import ModelError

Colour = Literal["rgb", "bgr", "grey"]

MOST_PIXELS = 1024
"""A side of the input; a model file that claims more would take memory without end."""

# ITU-R BT.601 luma in 1/65536, the integers that Pillow's convert("L") uses.
_GREY_WEIGHTS = (19595, 38470, 7471)


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Size, colour order and normalisation of a network's input.

    height, width: in pixels.  colour: order of the channels that the network sees; images always arrive as RGB.
    mean, std: one number, or one for each channel in the order of `colour`, on the scale 0..255.
    Raises ValueError for a size, colour, mean or std that makes no sense.
    """

    height: int = 112
    width: int = 112
    colour: Colour = "rgb"
    mean: float | tuple[float, ...] = 127.5
    std: float | tuple[float, ...] = 127.5

    def __post_init__(self) -> None:
        for name, size in (("height", self.height), ("width", self.width)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"input.{name} must be a whole number of pixels from 1 up, got {size!r}")
            if size > MOST_PIXELS:
                raise ValueError(f"input.{name} must be at most {MOST_PIXELS:,} pixels, got {size:,}")
        if self.colour not in get_args(Colour):
            raise ValueError(f"input.colour must be one of {', '.join(get_args(Colour))}, got {self.colour!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            numbers = values if isinstance(values, tuple) else (values,)
            if isinstance(values, tuple) and len(values) != self.channels:
                raise ValueError(f"input.{name} must be one number or {self.channels} (one per channel), got {values}")
            if not all(math.isfinite(number) for number in numbers):
                raise ValueError(f"input.{name} must be finite, got {values}")
            if name == "std" and not all(number > 0 for number in numbers):
                raise ValueError(f"input.std must be above 0, got {values}")

    @property
    def channels(self) -> int:
        """1 for grey, otherwise 3."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one prepared image: (channels, height, width)."""
        return self.channels, self.height, self.width

    def grid(self, stride: int) -> tuple[int, int]:
        """(rows, columns) left of the image after convolutions with total stride `stride` and "same" padding."""
        return -(-self.height // stride), -(-self.width // stride)

    def prepare(self, images: Tensor) -> Tensor:
        """Images [n, 3 (RGB) or 1 (grey), height, width] -> network input, float32 [n, channels, height, width].

        images: uint8, or float in 0..255. Grey is made of RGB with the ITU-R 601 weights, for uint8 rounded exactly
        as Pillow does; RGB of grey by repeating. Raises ModelError for another shape, size or type of number.
        """
        self._check(images)
        pixels = _to_colour(images, self.colour)
        return torch.div(pixels - self._per_channel(self.mean, pixels), self._per_channel(self.std, pixels))

    def blank(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Black images as they come before `prepare`: uint8 [count, 3, height, width]."""
        return torch.zeros(count, 3, self.height, self.width, dtype=torch.uint8, device=device)

    def vectors(self, count: int) -> Tensor:
        """RGB images uint8 [count, 3, height, width] from whole-number arithmetic alone: the same everywhere for ever.

        pixel(image i, channel c, row y, column x) = (x^2 (i + 1) + y^2 (c + 1) + 3 x y + 31 i + 17 c) // 16 mod 256
        """
        image, channel, row, column = torch.meshgrid(
            *(torch.arange(size) for size in (count, 3, self.height, self.width)), indexing="ij"
        )
        mixed = column**2 * (image + 1) + row**2 * (channel + 1) + 3 * row * column + 31 * image + 17 * channel
        return (mixed // 16 % 256).to(torch.uint8)

    def mismatch(self, prepared: Tensor) -> str | None:
        """What is wrong with the shape of prepared images; None where nothing is."""
        if prepared.ndim == 4 and prepared.shape[1:] == self.shape:
            return None
        if prepared.ndim == 4 and prepared.shape[1] == self.channels:
            return self.size_mismatch(prepared.shape[2], prepared.shape[3])
        wanted = ", ".join(str(size) for size in self.shape)
        return (
            f"the model takes prepared images of shape [n, {wanted}], got {list(prepared.shape)}: "
            "prepare them with model.input.prepare(images)"
        )

    def describe(self) -> str:
        """For example: 112x112 rgb images."""
        return f"{self.height}x{self.width} {self.colour} images"

    def _per_channel(self, values: float | tuple[float, ...], like: Tensor) -> Tensor | float:
        if isinstance(values, tuple):
            return torch.stack([scalar(value, like) for value in values]).view(1, -1, 1, 1)
        return values

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ModelError(
                f"images must have the shape [n, 3 or 1, height, width], got {list(images.shape)}"
                + (": move the channels to the second place" if images.ndim == 4 else "")
            )
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise ModelError(f"images must be uint8 or float in 0..255, got {images.dtype}")
        if images.shape[2:] != (self.height, self.width):
            raise ModelError(self.size_mismatch(images.shape[2], images.shape[3]))

    def size_mismatch(self, height: int, width: int) -> str:
        """The sentence for images of another size than the network takes."""
        return (
            f"the model takes images of {self.height}x{self.width} (height x width), got {height}x{width}: "
            "crop or resize them first (data.fit of a recipe does)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for JSON or YAML."""
        return {
            "height": self.height,
            "width": self.width,
            "colour": self.colour,
            "mean": list(self.mean) if isinstance(self.mean, tuple) else self.mean,
            "std": list(self.std) if isinstance(self.std, tuple) else self.std,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "InputSpec":
        """The inverse of `to_dict`. Raises ValueError for unknown keys and bad values."""
        known = {"height", "width", "colour", "mean", "std"}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"input has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fields)


def _to_colour(images: Tensor, colour: Colour) -> Tensor:
    """RGB or grey of any type [n, 3 or 1, h, w] -> float32 in the colour order asked for."""
    if colour == "grey":
        return _grey(images)
    pixels = images.to(torch.float32).expand(-1, 3, -1, -1)
    return pixels.flip(1) if colour == "bgr" else pixels


def _grey(images: Tensor) -> Tensor:
    """[n, 3 or 1, h, w] -> float32 [n, 1, h, w]."""
    if images.shape[1] == 1:
        return images.to(torch.float32)
    exact = images.to(torch.int32 if images.dtype == torch.uint8 else torch.float32)
    red, green, blue = exact.unbind(1)
    total = red * _GREY_WEIGHTS[0] + green * _GREY_WEIGHTS[1] + blue * _GREY_WEIGHTS[2]
    grey = (total + 0x8000) >> 16 if images.dtype == torch.uint8 else total / 65536
    return grey.unsqueeze(1).to(torch.float32)
