"""Made-up people for tests: smooth pictures of whom several photos are alike, and clustered unit vectors."""

import numpy as np
from PIL import Image


def face(person, photo=0, side=48):
    """A smooth picture [side, side, 3] of a person; photos of one person differ a little."""
    random = np.random.default_rng(person)
    coarse = random.integers(0, 256, (9, 9, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)).astype(np.float64)
    if photo:
        other = np.random.default_rng((person, photo)).integers(0, 256, (7, 7, 3)).astype(np.uint8)
        noise = np.asarray(Image.fromarray(other).resize((side, side), Image.Resampling.BICUBIC))
        picture = 0.62 * picture + 0.38 * noise
    return picture.clip(0, 255).astype(np.uint8)


def clustered(counts, *, dim=32, spread=0.6, seed=0):
    """Unit vectors [n, dim] of people with so many images each, and their labels."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(len(counts), dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.repeat(np.arange(len(counts)), counts)
    vectors = centres[labels] + spread * random.normal(size=(len(labels), dim)) / np.sqrt(dim)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels
