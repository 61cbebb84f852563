"""Drawn unit vectors of people who have as many images as in LFW."""

import numpy as np
from numpy.typing import NDArray


def drawn(images: int, dim: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors and labels: numbers of images per person as in LFW, of which most have one and few have hundreds."""
    random = np.random.default_rng(seed)
    sizes: list[int] = []
    while sum(sizes) < images:
        sizes.append(min(int(random.pareto(1.1)) + 1, 530, images - sum(sizes)))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centres = random.standard_normal((len(sizes), dim), dtype=np.float32)
    vectors = centres[labels] + 2.0 * random.standard_normal((images, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, labels
