"""Which pictures does a set of drawn passers-by hold? As many people as wanted, each seen by all of some cameras."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account
from angulus.data.synthetic.bodies import Place, draw_bodies
from angulus.data.synthetic.numbering import check_numbers, numbered_labels, numbered_names, placed
from angulus.errors import DataError

LARGEST_NUISANCE = 2.0


@dataclass(frozen=True, kw_only=True)
class DrawnPassers:
    """Drawn people in the street with known cameras, the same on every machine and in every order of reading.

    They exercise re-identification from end to end; accuracy on them says nothing about real people.

    num_identities: how many people.  images_per_identity: pictures of each, taken by the cameras in turn.
    cameras: how many, each with colours, contrast, sharpness and a place of its own.
    height, width: of a picture in pixels.  seed: another seed gives other people and other cameras.
    first_identity: number of the first person, who depends on the seed and this number alone.
    nuisance: how strongly pictures of one person differ, from 0 (not at all) to 2; 1 is meant.
    Raises DataError for values out of range.
    """

    num_identities: int = 200
    images_per_identity: int = 12
    cameras: int = 4
    height: int = 64
    width: int = 32
    seed: int = 0
    first_identity: int = 0
    nuisance: float = 1.0

    def __post_init__(self) -> None:
        least = {"num_identities": 1, "images_per_identity": 1, "cameras": 1, "height": 16, "width": 8}
        check_numbers(vars(self), least | {"seed": 0, "first_identity": 0}, 2**31)
        if not 0.0 <= self.nuisance <= LARGEST_NUISANCE:
            raise DataError(f"nuisance must be between 0 and {LARGEST_NUISANCE:g}, got {self.nuisance}")

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n], positions in `identities`."""
        return numbered_labels(self.num_identities, self.images_per_identity)

    @cached_property
    def identities(self) -> list[str]:
        """Names such as passer-000123, by the number of the person."""
        return numbered_names("passer", self.first_identity, self.num_identities)

    @cached_property
    def keys(self) -> Sequence[str]:
        """[n] names such as passer-000123/c2/0005: the camera, and the number of the person's picture."""
        views = [(view % self.cameras + 1, view) for view in range(self.images_per_identity)]
        return [f"{name}/c{camera}/{view:04d}" for name in self.identities for camera, view in views]

    @property
    def columns(self) -> dict[str, NDArray[np.int64]]:
        """The camera of each picture [n], from 1."""
        cameras = np.arange(self.images_per_identity, dtype=np.int64) % self.cameras + 1
        return {"camera": np.tile(cameras, self.num_identities)}

    @property
    def account(self) -> Account:
        """What the source holds; nothing is ever dropped."""
        return Account(origin="drawn passers-by", images=len(self), identities=self.num_identities)

    def __len__(self) -> int:
        return self.num_identities * self.images_per_identity

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels [height, width, 3] (RGB) of one picture."""
        return self.draw([index])[0]

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width] of many pictures, the same as one by one."""
        return np.ascontiguousarray(self.draw(indices).transpose(0, 3, 1, 2))

    def draw(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pictures [n, height, width, 3] of many examples at once."""
        return draw_bodies(
            [self.place(int(index)) for index in indices],
            **{"height": self.height, "width": self.width, "seed": self.seed, "nuisance": self.nuisance},
        )

    def place(self, index: int) -> Place:
        """Person, sighting and camera of an example. Raises IndexError."""
        label, view = placed(index, self.num_identities, self.images_per_identity)
        return Place(person=self.first_identity + label, sighting=view, camera=view % self.cameras + 1)
