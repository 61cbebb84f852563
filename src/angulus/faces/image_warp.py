"""How does a photo look in the frame of a crop? Bilinear sampling, with averaging where the photo is shrunk.

Bilinear sampling alone looks at four pixels of the photo for each pixel of the crop: where the crop is much smaller
than the face on the photo, everything between is skipped and fine patterns turn into coarse ones (aliasing). There the
crop is drawn k times as large and k x k of its pixels are averaged; k = 1 / scale, rounded, so that near the photo's
own size the plain bilinear crop is left as it is, which is what published crops are.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Photo
from angulus.faces.similarity_transform import Matrix, apply, inverse, scale_of, similarity
from angulus.faces.templates import Template

_MOST_SAMPLES = 48  # a side; a face of 5,000 pixels in a crop of 112


def align(photo: Photo, landmarks: ArrayLike, template: Template, *, samples: int | None = None) -> Photo:
    """The crop [template.height, template.width, 3] in which five landmarks [5, 2] come closest to the template's."""
    matrix = similarity(landmarks, template.array())
    return warp(photo, matrix, template.height, template.width, samples=samples)


def warp(photo: Photo, matrix: ArrayLike, height: int, width: int, *, samples: int | None = None) -> Photo:
    """The crop uint8 [height, width, 3] of a photo under a similarity [2, 3]; black beyond the edge of the photo.

    samples: k of the k x k samples that are averaged for a pixel; left out, what the shrinking asks for. Coordinates of
    the matrix name pixel centres.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise FacesError(f"a photo must be uint8 [h, w, 3], got {photo.dtype} {list(photo.shape)}")
    count = samples_for(scale_of(matrix)) if samples is None else samples
    if count < 1:
        raise FacesError(f"samples must be at least 1, got {count}")
    # Pillow counts from the corner of the first pixel: 1/2 more than its centre, on both sides
    back = inverse(matrix)
    turn = back[:, :2] / count
    shift = back[:, 2] - back[:, :2] @ [0.5, 0.5] + 0.5
    seen, corner = _seen(photo, back, height, width)
    shift = shift - corner
    data = (*turn[0], shift[0], *turn[1], shift[1])
    crop = np.empty((height, width, 3), dtype=np.float32)
    for channel in range(3):
        crop[:, :, channel] = _drawn(seen[:, :, channel], data, height, width, count)
    return np.clip(np.rint(crop), 0, 255).astype(np.uint8)


def _seen(photo: Photo, back: Matrix, height: int, width: int) -> tuple[Photo, NDArray[np.float64]]:
    """The part of the photo that the crop shows, with a rim, and its upper left corner (x, y): photos may be large."""
    corners = apply(back, [[-1, -1], [width, -1], [-1, height], [width, height]])
    most = np.array([photo.shape[1] - 1, photo.shape[0] - 1])
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, most).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 3, low + 1, most + 1).astype(int)
    return photo[low[1] : high[1], low[0] : high[0]], low.astype(np.float64)


def _drawn(
    channel: NDArray[np.uint8], data: tuple[float, ...], height: int, width: int, count: int
) -> NDArray[np.float32]:
    """One channel as float32 [height, width]: of whole numbers Pillow cuts the fraction off, which darkens the crop."""
    image = Image.fromarray(channel.astype(np.float32))
    size = (width * count, height * count)
    drawn = image.transform(size, Image.Transform.AFFINE, data, resample=Image.Resampling.BILINEAR)
    return np.asarray(drawn.reduce(count) if count > 1 else drawn)


def samples_for(scale: float) -> int:
    """How many samples a side a pixel of the crop is averaged over, when the photo is shrunk by `scale`."""
    return int(np.clip(round(1 / scale), 1, _MOST_SAMPLES))
