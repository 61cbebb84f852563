"""Self-made sets of images: folders of small pictures, and a source that lives in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed, height=12, width=10):
    """A random picture [height, width, 3], uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_folder(root: Path, counts: Mapping[str, int], *, height=12, width=10) -> Path:
    """One sub-folder per name with so many PNG pictures inside."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for image in range(count):
            pixels = picture((number, image), height, width)
            Image.fromarray(pixels).save(root / name / f"{image:04d}.png")
    return root


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Random pictures with the given labels; keys are the positions."""

    labels: np.ndarray
    identities: list[str]
    height: int = 12
    width: int = 10

    @property
    def keys(self):
        return [f"{self.identities[label]}/{index}" for index, label in enumerate(self.labels)]

    def __len__(self):
        return len(self.labels)

    def read(self, index):
        return picture(index, self.height, self.width)


def array_source(counts, **size) -> ArraySource:
    """Identity i, named "person<i>", has counts[i] pictures."""
    labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return ArraySource(labels, [f"person{label:03d}" for label in range(len(counts))], **size)
