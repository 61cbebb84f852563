"""Random changes to a batch of images: flip, crop-rescale, low resolution, photometric, grey, erase.

Everything random is drawn for the global batch from (seed, step) and then cut to the rows of this process, so
that two processes with half a batch each make the images that one process makes, and a resumed run makes those of
an uninterrupted one. The order is fixed: flip, crop-rescale, low resolution, photometric, grey, erase; only the
rows that were drawn for a change are touched. Crop, low resolution and photometric with one probability each are
after AdaFace (Kim et al., 2022), milder by default.
"""

import hashlib
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from angulus.devices.copies import sent

Range = tuple[float, float]

_GREY_WEIGHTS = (0.299, 0.587, 0.114)
# One row of uniform numbers for each decision. A new decision goes at the end, so that the old ones keep their draws.
_DECISIONS = (
    "flip",
    "crop",
    "scale",
    "rotate",
    "shift_x",
    "shift_y",
    "low_resolution",
    "factor",
    "photometric",
    "brightness",
    "contrast",
    "saturation",
    "tone",
    "grey",
    "erase",
    "erase_area",
    "erase_aspect",
    "erase_x",
    "erase_y",
    "erase_level",
)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How likely and how strong each change is; the defaults are mild ones for aligned faces.

    flip, crop, low_resolution, photometric, grey, erase are probabilities in [0, 1]; 0 turns a change off.
    Characters and other things that are not symmetric need flip=0.

    Args:
        crop_scale: size of the content relative to before; below 1 shrinks it and repeats the border.
        crop_shift: largest shift as a part of the side, both ways.
        crop_rotation: largest rotation in radians, both ways.
        low_resolution_scale: size of the intermediate image relative to the side.
        brightness, contrast, saturation: largest relative change, both ways; contrast turns about the image's mean.
        tone: largest bend of the tone curve x + bend * x * (1 - x), both ways: lighter or darker middle tones, as a
            gamma makes them, but from products and sums alone, which give the same bits however a batch is cut.
        erase_area: part of the image that the erased rectangle covers.
    """

    flip: float = 0.5
    crop: float = 0.2
    crop_scale: Range = (0.85, 1.15)
    crop_shift: float = 0.05
    crop_rotation: float = 0.1
    low_resolution: float = 0.1
    low_resolution_scale: Range = (0.3, 0.9)
    photometric: float = 0.2
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    tone: float = 0.4
    grey: float = 0.0
    erase: float = 0.0
    erase_area: Range = (0.02, 0.2)

    def __post_init__(self) -> None:
        for name in ("flip", "crop", "low_resolution", "photometric", "grey", "erase"):
            _check(name, getattr(self, name), 0.0, 1.0)
        for name in ("crop_shift", "brightness", "contrast", "saturation", "tone"):
            _check(name, getattr(self, name), 0.0, 1.0)
        _check("crop_rotation", self.crop_rotation, 0.0, math.pi)
        _check_range("crop_scale", self.crop_scale, 0.1, 10.0)
        _check_range("low_resolution_scale", self.low_resolution_scale, 0.01, 1.0)
        _check_range("erase_area", self.erase_area, 0.0, 1.0)

    @staticmethod
    def off() -> "Augment":
        """No change at all."""
        return Augment(flip=0.0, crop=0.0, low_resolution=0.0, photometric=0.0, grey=0.0, erase=0.0)

    def apply(self, images: Tensor, *, seed: int, step: int, start: int = 0, total: int | None = None) -> Tensor:
        """The changed images, float32 in [0, 255], on the device of `images`.

        Args:
            images: [n, 3, height, width], uint8 or floating, 0 to 255; not changed.
            seed: of the run.
            step: of the run; another step draws other changes.
            start: row of the global batch at which these images start.
            total: rows of the global batch; None means that these images are all of it.
        """
        count = len(images)
        rows = count if total is None else total
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be [n, 3, height, width], got {list(images.shape)}")
        if not 0 <= start <= start + count <= rows:
            raise ValueError(f"rows {start} to {start + count} are not in a global batch of {rows}")
        drawn = _draw(seed, step, rows, start, count)
        # one layout whatever that of the images: sums over an image must not depend on where it came from
        changed = images.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        for change in (_flip, _crop, _low_resolution, _photometric, _grey, _erase):
            change(self, changed, drawn)
        return changed.clamp_(0.0, 255.0)


def _draw(seed: int, step: int, rows: int, start: int, count: int) -> dict[str, Tensor]:
    digest = hashlib.sha256(f"augment:{seed}:{step}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    uniform = torch.rand(len(_DECISIONS), rows, generator=generator, dtype=torch.float64)
    return dict(zip(_DECISIONS, uniform[:, start : start + count], strict=True))


def _chosen(drawn: dict[str, Tensor], name: str, probability: float) -> Tensor:
    return torch.nonzero(drawn[name] < probability).squeeze(1)


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * uniform


def _column(values: Tensor, like: Tensor) -> Tensor:
    return sent(values.to(like.dtype), like.device)[:, None, None, None]


# Each change below writes into `images`, the private copy that `apply` made.


def _flip(config: Augment, images: Tensor, drawn: dict[str, Tensor]) -> None:
    rows = sent(_chosen(drawn, "flip", config.flip), images.device)
    images[rows] = images[rows].flip(-1)


def _crop(config: Augment, images: Tensor, drawn: dict[str, Tensor]) -> None:
    rows = _chosen(drawn, "crop", config.crop)
    if not len(rows):
        return
    scale = _between(drawn["scale"][rows], *config.crop_scale)
    angle = _between(drawn["rotate"][rows], -config.crop_rotation, config.crop_rotation)
    shifts = [2 * _between(drawn[name][rows], -config.crop_shift, config.crop_shift) for name in ("shift_x", "shift_y")]
    height, width = images.shape[2:]
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    # Output to input, in units of half a side: hence the ratio of the sides off the diagonal.
    matrix = torch.stack(
        [
            torch.stack([cos, -sin * height / width, shifts[0]], dim=1),
            torch.stack([sin * width / height, cos, shifts[1]], dim=1),
        ],
        dim=1,
    )
    matrix = sent(matrix.to(images.dtype), images.device)
    rows = sent(rows, images.device)
    grid = F.affine_grid(matrix, [len(rows), 3, height, width], align_corners=False)
    images[rows] = F.grid_sample(images[rows], grid, padding_mode="border", align_corners=False)


def _low_resolution(config: Augment, images: Tensor, drawn: dict[str, Tensor]) -> None:
    rows = _chosen(drawn, "low_resolution", config.low_resolution)
    factors = _between(drawn["factor"][rows], *config.low_resolution_scale)
    height, width = images.shape[2:]
    for row, factor in zip(rows.tolist(), factors.tolist(), strict=True):  # each has its own size
        size = [max(1, round(height * factor)), max(1, round(width * factor))]
        small = F.interpolate(images[row : row + 1], size, mode="bilinear", antialias=True)
        images[row : row + 1] = F.interpolate(small, [height, width], mode="bilinear")


def _photometric(config: Augment, images: Tensor, drawn: dict[str, Tensor]) -> None:
    rows = _chosen(drawn, "photometric", config.photometric)
    if not len(rows):
        return
    brightness, contrast, saturation = (
        _column(_between(drawn[name][rows], 1 - width, 1 + width), images)
        for name, width in (
            ("brightness", config.brightness),
            ("contrast", config.contrast),
            ("saturation", config.saturation),
        )
    )
    bend = _column(_between(drawn["tone"][rows], -config.tone, config.tone), images)
    rows = sent(rows, images.device)
    some = (images[rows] / 255.0).clamp_(0.0, 1.0)
    some = some + bend * some * (1.0 - some)
    # Integers have one sum in any order, so that a part of a batch gives the images that the whole batch gives.
    whole_numbers = (some * 65536.0).round().long().sum(dim=(1, 2, 3), keepdim=True)
    mean = (whole_numbers.double() / (65536.0 * some[0].numel())).to(some.dtype)
    some = (mean + (some - mean) * contrast) * brightness
    grey = _luminance(some)
    images[rows] = (grey + (some - grey) * saturation).clamp_(0.0, 1.0) * 255.0


def _grey(config: Augment, images: Tensor, drawn: dict[str, Tensor]) -> None:
    rows = sent(_chosen(drawn, "grey", config.grey), images.device)
    images[rows] = _luminance(images[rows]).expand(-1, 3, -1, -1)


def _erase(config: Augment, images: Tensor, drawn: dict[str, Tensor]) -> None:
    rows = _chosen(drawn, "erase", config.erase)
    height, width = images.shape[2:]
    area = _between(drawn["erase_area"][rows], *config.erase_area) * height * width
    aspect = torch.exp(_between(drawn["erase_aspect"][rows], -math.log(3.0), math.log(3.0)))
    tall = (area * aspect).sqrt().clamp(max=height).round().long()
    wide = (area / aspect).sqrt().clamp(max=width).round().long()
    top = ((height - tall + 1) * drawn["erase_y"][rows]).long()
    left = ((width - wide + 1) * drawn["erase_x"][rows]).long()
    level = (255.0 * drawn["erase_level"][rows]).tolist()
    for row, y, x, h, w, value in zip(*(t.tolist() for t in (rows, top, left, tall, wide)), level, strict=True):
        images[row, :, y : y + h, x : x + w] = value


def _luminance(images: Tensor) -> Tensor:
    red, green, blue = (images[:, channel : channel + 1] for channel in range(3))
    return _GREY_WEIGHTS[0] * red + _GREY_WEIGHTS[1] * green + _GREY_WEIGHTS[2] * blue


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}], got {value}")


def _check_range(name: str, value: Range, low: float, high: float) -> None:
    if not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name} must be two rising numbers in [{low:g}, {high:g}], got {tuple(value)}")
