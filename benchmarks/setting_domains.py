"""The sets that rules for settings are tried on: people to train on, people to choose by, and people to judge by.

`tune` people say which setting of a search is best; `test` people were seen by neither the rules nor the search.
"""

import gzip
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from angulus.training.datasets import Data, FolderData, Identities, OmniglotData, SyntheticData

TRAIN, TUNE, TEST = "train", "tune", "test"


@dataclass(frozen=True, kw_only=True)
class Domain:
    """data: a set with the parts train, tune and test.  most: images of one person in the tests, so that none decides.

    note: what it is, in words.  searched: by `settings.py`; on others rules alone are compared.
    """

    data: Data
    note: str
    most: int = 20
    searched: bool = True

    def judged_by(self, part: str) -> Data:
        """The data with another part to verify."""
        rules = self.data.identities
        others = tuple(name for name in rules.parts if name != part)
        return replace(self.data, identities=replace(rules, train_on=others[:1], evaluate_on=part))


def people(train: float, tune: float, test: float, *, least: int = 2, most: int | None = None) -> Identities:
    return Identities(
        parts={TRAIN: train, TUNE: tune, TEST: test},
        train_on=(TRAIN,),
        evaluate_on=TUNE,
        min_images=least,
        max_images=most,
        split_seed=1,
    )


def lfw(data: Path, rules: Identities) -> FolderData:
    """LFW without the names that glint24 has too."""
    return FolderData(path=data / "lfw112", identities=replace(rules, exclude_from=data / "glint24"))


def domains(data: Path, fashion: Path | None = None) -> dict[str, Domain]:
    """data: the folder with lfw112, glint24, orl and omniglot_small; fashion: that of Fashion-MNIST's four files."""
    found = {
        "lfw": Domain(data=lfw(data, people(0.5, 0.2, 0.3)), note="LFW, 2 to 500 photos a person"),
        "lfw-pairs": Domain(data=lfw(data, people(0.6, 0.15, 0.25, most=2)), note="LFW, 2 photos a person"),
        "lfw-4": Domain(data=lfw(data, people(0.5, 0.2, 0.3, least=4, most=4)), note="LFW, 4 photos a person"),
        "lfw-50": Domain(data=lfw(data, people(0.4, 0.25, 0.35, least=10, most=20)), note="LFW, 10 to 20 a person"),
        "glint24": Domain(
            data=FolderData(path=data / "glint24", identities=people(0.5, 0.21, 0.29, most=200)),
            note="few people, many photos over many years",
        ),
        "orl": Domain(
            data=FolderData(path=data / "orl", identities=people(0.5, 0.25, 0.25)), note="people in a studio"
        ),
        "omniglot": Domain(
            data=OmniglotData(path=data / "omniglot_small", identities=people(0.5, 0.2, 0.3)),
            note="handwritten characters",
        ),
        "drawn": Domain(
            data=SyntheticData(num_identities=500, images_per_identity=10, identities=people(0.6, 0.15, 0.25)),
            note="drawn faces",
        ),
        "drawn-12": Domain(
            data=SyntheticData(num_identities=132, images_per_identity=180, identities=people(0.09, 0.38, 0.53)),
            note="drawn faces, few people with many images",
            searched=False,
        ),
        "drawn-60": Domain(
            data=SyntheticData(num_identities=180, images_per_identity=100, identities=people(0.33, 0.28, 0.39)),
            note="drawn faces, 100 a person",
            searched=False,
        ),
        "drawn-500": Domain(
            data=SyntheticData(num_identities=835, images_per_identity=14, identities=people(0.6, 0.15, 0.25)),
            note="drawn faces, 14 a person",
            searched=False,
        ),
        "drawn-5000": Domain(
            data=SyntheticData(num_identities=5600, images_per_identity=3, identities=people(0.9, 0.04, 0.06)),
            note="drawn faces, many people",
        ),
    }
    if fashion is not None:
        found["fashion"] = Domain(
            data=FolderData(path=fashion_pictures(fashion), identities=people(0.4, 0.3, 0.3, most=500)),
            note="ten kinds of clothes",
            most=100,
        )
    return found


def fashion_pictures(source: Path) -> Path:
    """The 10,000 test pictures of Fashion-MNIST as a folder for each class; made once on a machine."""
    folder = Path(tempfile.gettempdir()) / "fashion_mnist_pictures"
    if folder.is_dir():
        return folder
    images = np.frombuffer(gzip.decompress((source / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((source / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    part = Path(tempfile.mkdtemp())
    for number, (pixels, label) in enumerate(zip(images.reshape(-1, 28, 28), labels, strict=True)):
        (part / f"class_{label}").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(part / f"class_{label}" / f"{number:05}.png")
    os.rename(part, folder)
    return folder
