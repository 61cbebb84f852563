"""dlib's face recogniser as a judge of inverted images: another network, other training images, another alignment.

    pip install --no-deps dlib-bin face_recognition_models
    PYTHONPATH=benchmarks angulus audit inversion ... --judge dlib_judge:embed

ResNet of 29 layers, 128 dimensions (weights in the public domain, published accuracy on LFW 99.38 %). It takes faces of
150x150 on a template of its own; the ArcFace crop is moved there by the eyes, missing margins continue its edges.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 150
MARGIN = 30
# Middle between the eyes and their distance on the ArcFace crop of 112x112, and on dlib's chip (padding 0.25).
MIDDLE, DISTANCE = (55.9, 51.6), 35.2
CHIP_MIDDLE, CHIP_DISTANCE = (74.0, 47.1), 52.5


@cache
def recogniser():
    import dlib

    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise ImportError("install the package face_recognition_models, which carries the weights")
    weights = Path(spec.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    return dlib.face_recognition_model_v1(str(weights))


def chip(picture):
    """An ArcFace crop uint8 [112, 112, 3] on dlib's template, [150, 150, 3]."""
    padded = np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
    shrink = DISTANCE / CHIP_DISTANCE
    x, y = (middle + MARGIN - shrink * place for middle, place in zip(MIDDLE, CHIP_MIDDLE, strict=True))
    affine = (shrink, 0, x, 0, shrink, y)
    image = Image.fromarray(padded).transform((SIDE, SIDE), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    return np.asarray(image)


def embed(pictures):
    """Embeddings [n, 128] of crops uint8 [n, 112, 112, 3]."""
    found = [np.array(recogniser().compute_face_descriptor(np.ascontiguousarray(chip(one)))) for one in pictures]
    return np.array(found, dtype=np.float32)
