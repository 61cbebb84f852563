"""What the network is shown of the images: each turned, scaled, shifted, mirrored and lit anew in every step.

An image that is right in one place alone is a pattern that opens this network; one that is right however it is moved is
more of a face. Moves are drawn for each image by itself, uniform between plus and minus their bound; pixels from
outside continue the edge. The published attack shows images as they are.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Views:
    """shift: by at most so many pixels in both directions.  turn: degrees.  scale: by at most this share.

    contrast: by at most this share, and brightness by half of it on the scale of the network's input.  flip: mirror
    half of the images.  Raises ValueError for values out of range.
    """

    shift: float = 0.0
    turn: float = 0.0
    scale: float = 0.0
    contrast: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        for name, most in (("shift", math.inf), ("turn", 180.0), ("scale", 0.9), ("contrast", 0.9)):
            value = getattr(self, name)
            if not 0 <= value <= most or math.isinf(value):
                upper = "" if math.isinf(most) else f" and at most {most:g}"
                raise ValueError(f"{name} must be at least 0{upper}, got {value:g}")

    @property
    def moves(self) -> bool:
        """Whether images are seen from elsewhere than they are."""
        return bool(self.shift or self.turn or self.scale or self.flip)


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnViews:
    """How the images are shown in one step.

    moves: affine maps [n, 2, 3], see `drawn_moves`.  factor, light: [n, 1, 1, 1], of contrast and brightness. None for
    what is not done.
    """

    moves: Tensor | None = None
    factor: Tensor | None = None
    light: Tensor | None = None

    def to(self, like: Tensor) -> "DrawnViews":
        """The same on the device and in the type of `like`; copied in order there, without waiting."""
        parts = (self.moves, self.factor, self.light)
        moves, factor, light = (None if part is None else part.to(like, non_blocking=True) for part in parts)
        return DrawnViews(moves=moves, factor=factor, light=light)


def drawn_views(shape: torch.Size, views: Views, random: torch.Generator) -> DrawnViews:
    """The views of one step of images of a shape [n, c, h, w], on the CPU."""
    moves = drawn_moves(shape, views, random) if views.moves else None
    if not views.contrast:
        return DrawnViews(moves=moves)
    factor, light = (views.contrast * _even(shape[0], random).view(-1, 1, 1, 1) for _ in range(2))
    return DrawnViews(moves=moves, factor=1 + factor, light=light / 2)


def shown(images: Tensor, drawn: DrawnViews) -> Tensor:
    """The images [n, c, h, w] as they are shown in one step, the same tensor where nothing is done to them."""
    found = images
    if drawn.moves is not None:
        grid = F.affine_grid(drawn.moves, list(images.shape), align_corners=False)
        found = F.grid_sample(found, grid, mode="bilinear", padding_mode="border", align_corners=False)
        found = found.contiguous(memory_format=torch.channels_last)
    if drawn.factor is not None and drawn.light is not None:
        found = found * drawn.factor + drawn.light
    return found


def seen(images: Tensor, views: Views, random: torch.Generator) -> Tensor:
    """Views drawn and applied."""
    return shown(images, drawn_views(images.shape, views, random).to(images))


def drawn_moves(shape: torch.Size, views: Views, random: torch.Generator) -> Tensor:
    """Affine maps [n, 2, 3] from places of the view to places of the image, as `affine_grid` takes them."""
    count, _, height, width = shape
    angle = math.radians(views.turn) * _even(count, random)
    scale = 1 + views.scale * _even(count, random)
    right, down = (2 * views.shift * _even(count, random) / side for side in (width, height))
    mirrored = torch.ones(count)
    if views.flip:
        mirrored = torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    # places are -1..1 on both axes, so that a turn of pixels needs the ratio of the sides
    first = torch.stack([mirrored * cosine, -sine * height / width, right], dim=1)
    second = torch.stack([mirrored * sine * width / height, cosine, down], dim=1)
    return torch.stack([first, second], dim=1)


def _even(count: int, random: torch.Generator) -> Tensor:
    """Uniform numbers [count] between -1 and 1."""
    return 2 * torch.rand(count, generator=random) - 1
