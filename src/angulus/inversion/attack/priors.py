"""What makes an image look like an image at all: little change between neighbours, and no extreme pixels.

Total variation, of images x [n, c, h, w] with the differences of each pixel to its neighbours: right, below, below
right and below left.

    norm         sum over the 4 directions of the L2 norm of all differences of the whole batch (DeepInversion's code,
                 which the ArcFace paper follows; the default)
    squared      mean over the images of the sum of squared differences, to the right and below
    anisotropic  mean over the images of the sum of absolute differences, to the right and below

Image norm: the mean over the images of their L2 norm. Both on the scale of the network's input, about -1 to 1.
"""

from typing import Literal, get_args

from torch import Tensor

from angulus.inversion.attack.statistics import safe_root

Variation = Literal["norm", "squared", "anisotropic"]


def total_variation(images: Tensor, form: Variation = "norm") -> Tensor:
    """Total variation of images [n, c, h, w], a scalar; see the module for the forms."""
    if form not in get_args(Variation):
        raise ValueError(f"variation must be one of {', '.join(get_args(Variation))}, got {form!r}")
    right, below = images[..., :, :-1] - images[..., :, 1:], images[..., :-1, :] - images[..., 1:, :]
    if form == "squared":
        return (right.square().sum() + below.square().sum()) / len(images)
    if form == "anisotropic":
        return (right.abs().sum() + below.abs().sum()) / len(images)
    falling, rising = images[..., 1:, :-1] - images[..., :-1, 1:], images[..., :-1, :-1] - images[..., 1:, 1:]
    return sum((safe_root(part.square().sum()) for part in (right, below, falling, rising)), start=images.new_zeros(()))


def image_norm(images: Tensor) -> Tensor:
    """Mean L2 norm of the images [n, ...], a scalar."""
    return safe_root(images.flatten(1).square().sum(dim=1)).mean()
