"""From noise to pixels: where inversion starts, what range an image may have, and what it looks like in 0..255.

Images are kept in the space that the network sees, (pixel - mean) / std, and start from N(0, 1) there, as published.
They become pixels by the inverse of `InputSpec`, rounded and cut off at 0 and 255; grey is repeated over the channels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from angulus.models import InputSpec


def start_images(spec: InputSpec, count: int, generator: torch.Generator) -> Tensor:
    """Noise of N(0, 1) [count, channels, height, width], float32 on the CPU."""
    return torch.randn(count, *spec.shape, generator=generator)


def valid_range(spec: InputSpec, like: Tensor) -> tuple[Tensor, Tensor]:
    """What the pixels 0 and 255 are for the network, each [channels, 1, 1]."""
    mean, std = (_per_channel(values, spec.channels, like) for values in (spec.mean, spec.std))
    return (0 - mean) / std, (255 - mean) / std


def to_pixels(images: Tensor, spec: InputSpec) -> NDArray[np.uint8]:
    """Network input [n, channels, h, w] -> RGB pixels uint8 [n, h, w, 3]."""
    mean, std = (_per_channel(values, spec.channels, images) for values in (spec.mean, spec.std))
    pixels = (images.detach() * std + mean).round().clamp(0, 255).to(torch.uint8)
    if spec.colour == "bgr":
        pixels = pixels.flip(1)
    return pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def as_batch(pixels: NDArray[np.uint8]) -> Tensor:
    """RGB pixels uint8 [n, h, w, 3] -> [n, 3, h, w], as `InputSpec.prepare` takes them."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def at_size(pictures: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Aligned faces uint8 [n, h, w, 3] at another height and width, undistorted."""
    height, width = pictures.shape[1:3]
    if (height, width) == size:
        return pictures
    scaled_width = max(1, round(width * size[0] / height))
    scaled = np.stack(
        [
            np.asarray(Image.fromarray(picture).resize((scaled_width, size[0]), Image.Resampling.BILINEAR))
            for picture in pictures
        ]
    )
    spare = scaled_width - size[1]
    if spare >= 0:
        return np.ascontiguousarray(scaled[:, :, spare // 2 : spare // 2 + size[1]])
    left = -spare // 2
    return np.pad(scaled, ((0, 0), (0, 0), (left, -spare - left), (0, 0)), mode="edge")


def _per_channel(values: float | tuple[float, ...], channels: int, like: Tensor) -> Tensor:
    each = values if isinstance(values, tuple) else (values,) * channels
    return torch.tensor(each, dtype=like.dtype, device=like.device).view(-1, 1, 1)
