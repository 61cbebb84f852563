"""Images as a user has them at hand, a folder or one array, as a source or as batches of tensors; and recordings."""

from collections.abc import Iterable, Iterator
from os import PathLike
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.data import Fit, Source, open_source
from angulus.data.loading.contents import Content, Pictures, Recordings
from angulus.errors import DataError
from angulus.models import InputSpec, Spec

Images = Source | str | PathLike[str] | NDArray[np.uint8] | NDArray[np.floating] | Tensor | Iterable[Tensor]
ROUNDING = 0.01  # by so much a float may lie outside 0 to 255
_AXES = "[n, height, width, 3] or [n, 3, height, width]"


def content_for(spec: Spec, fit: Fit = "proportional") -> Content | None:
    """What the examples of a set must be for a network; None for stored features, which are decoded already."""
    if isinstance(spec, InputSpec):
        return Pictures(size=(spec.height, spec.width), fit=fit)
    if spec.content != "waveform":
        return None
    return Recordings(rate=spec.rate, speech_only=spec.speech_only, least=spec.length_of(1))


def opened(images: Images, spec: InputSpec, batch_size: int) -> Source | Iterator[Tensor]:
    """A source, opened where a path is given, or batches of tensors [n, 3 or 1, h, w]. Raises DataError."""
    if isinstance(images, str | PathLike):
        return open_source(str(images), size=(spec.height, spec.width), fit="proportional")
    if hasattr(images, "read"):
        return cast(Source, images)
    if isinstance(images, np.ndarray | Tensor):
        whole = as_batch(images)
        return iter(whole.split(batch_size)) if len(whole) else iter(())
    if not isinstance(images, Iterable):
        raise DataError(
            f"images must be a source, the path of one, an array {_AXES} or batches of such,"
            f" got {type(images).__name__}"
        )
    return (as_batch(batch) for batch in images)


def as_batch(images: NDArray | Tensor) -> Tensor:
    """One array or tensor with the channels in the second place. Raises DataError for another shape or range."""
    if not isinstance(images, np.ndarray | Tensor):
        raise DataError(f"images must be arrays or tensors {_AXES}, got {type(images).__name__}")
    if isinstance(images, np.ndarray) and images.dtype.kind not in "uifb":
        raise DataError(f"images must be uint8 or floats from 0 to 255, got an array of {images.dtype}")
    batch = torch.as_tensor(images)
    if batch.device.type == "meta":
        raise DataError("images on the device meta have no values; give tensors that have")
    if batch.ndim != 4 or not {1, 3} & {batch.shape[1], batch.shape[3]}:
        single = "; one image is images[None]" if batch.ndim == 3 else ""
        raise DataError(f"images must have the shape {_AXES}, got {list(batch.shape)}{single}")
    if batch.shape[1] not in (1, 3):
        batch = batch.permute(0, 3, 1, 2)
    if batch.device.type == "cpu" and batch.dtype not in (torch.uint8, torch.bool) and batch.numel():
        _check_range(batch)
    return batch


def _check_range(batch: Tensor) -> None:
    """Raise DataError for numbers that are no grey values from 0 to 255; on a device that would wait for it."""
    floating = batch.is_floating_point()
    low, high = (float(end) for end in (batch if floating else batch.float()).aminmax())
    if low < -ROUNDING or high > 255 + ROUNDING:
        raise DataError(
            f"images must be uint8 or floats from 0 to 255, before any normalisation, got numbers from {low:.4g} to"
            f" {high:.4g}; give the pixels as they were decoded, the network's own input normalises them"
        )
    if floating and 0 < high <= 1:
        raise DataError("images must be uint8 or floats from 0 to 255, got floats of at most 1; multiply them by 255")
