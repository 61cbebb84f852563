"""What does a poor camera do to a picture: low resolution, blur, noise and JPEG?"""

from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from angulus.data.synthetic.draws import NOISE_STREAM, words
from angulus.data.synthetic.parameters import Views
from angulus.image_files import open_image


def degrade(picture: np.ndarray, views: Views, index: int, place: tuple[int, int, int]) -> np.ndarray:
    """Take one picture, float32 [3, h, w] from 0 to 255, through the faults of view `index`; uint8 [h, w, 3].

    place: the seed, identity and view that make the noise.
    """
    levels = np.ascontiguousarray((picture + 0.5).astype(np.uint8).transpose(1, 2, 0))
    levels = _soften(levels, float(views.reduction[index]), float(views.blur[index]))
    levels = _add_noise(levels, float(views.noise[index]), place)
    quality = round(float(views.jpeg[index]))
    return _compress(levels, min(quality, 95)) if quality > 0 else levels


def _soften(levels: np.ndarray, reduction: float, blur: float) -> np.ndarray:
    if reduction <= 1.0 and blur <= 0.0:
        return levels
    image = Image.fromarray(levels)
    if reduction > 1.0:
        full = image.size
        small = (max(round(full[0] / reduction), 4), max(round(full[1] / reduction), 4))
        image = image.resize(small, Image.Resampling.BILINEAR).resize(full, Image.Resampling.BICUBIC)
    if blur > 0.0:
        image = image.filter(ImageFilter.GaussianBlur(blur * levels.shape[0] / 112))
    return np.array(image)


def _add_noise(levels: np.ndarray, deviation: float, place: tuple[int, int, int]) -> np.ndarray:
    if deviation <= 0.0:
        return levels
    seed, identity, view = place
    raw = words(seed, NOISE_STREAM, identity, view, -(-levels.size // 2))
    quarters = raw.astype("<u8").view("<u2").reshape(-1, 2)[: levels.size]
    # The sum of two uniforms of standard deviation 0.289 each: a triangle, near enough to a bell for noise.
    bell = (quarters[:, 0].astype(np.float32) + quarters[:, 1]) * np.float32(6.0**0.5 / 65536.0) - 6.0**0.5
    noisy = levels + (deviation * bell).reshape(levels.shape)
    return np.clip(noisy + 0.5, 0.0, 255.0).astype(np.uint8)


def _compress(levels: np.ndarray, quality: int) -> np.ndarray:
    stream = BytesIO()
    Image.fromarray(levels).save(stream, format="JPEG", quality=quality)
    with open_image(stream.getvalue()) as image:
        return np.array(image)
