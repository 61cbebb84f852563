"""Which pictures does a set of synthetic faces hold? As many identities as wanted, each picture made when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account
from angulus.data.synthetic.geometry import landmarks_in_pixels, pose_of
from angulus.data.synthetic.numbering import check_numbers, numbered_labels, numbered_names, placed
from angulus.data.synthetic.parameters import draw_people, draw_views
from angulus.data.synthetic.rendering import Rendered, render
from angulus.errors import DataError

LARGEST_NUISANCE = 2.0
SMALLEST_SIDE = 16


@dataclass(frozen=True, kw_only=True)
class SyntheticFaces:
    """Drawn faces with known identities and landmarks, the same on every machine and in every order of reading.

    They exercise a pipeline from end to end; accuracy on them says nothing about real people.

    Attributes:
        num_identities: how many people.
        images_per_identity: how many pictures of each.
        height, width: of a picture in pixels. The height spans that of the ArcFace template; a narrower picture
            loses columns at both sides, a wider one gains background.
        seed: another seed gives other people.
        first_identity: number of the first person. A person depends on the seed and this number alone, so that ranges
            that do not meet are disjoint sets of people, for training and for testing.
        nuisance: how strongly pictures of one person differ, from 0 (not at all) to 2; 1 is meant.

    Raises DataError (a ValueError) for values out of range.
    """

    num_identities: int = 200
    images_per_identity: int = 10
    height: int = 64
    width: int = 64
    seed: int = 0
    first_identity: int = 0
    nuisance: float = 1.0

    def __post_init__(self) -> None:
        least = {"num_identities": 1, "images_per_identity": 1, "seed": 0, "first_identity": 0}
        least |= {"height": SMALLEST_SIDE, "width": SMALLEST_SIDE}
        check_numbers(vars(self), least)
        if not 0.0 <= self.nuisance <= LARGEST_NUISANCE:
            raise DataError(f"nuisance must be between 0 and {LARGEST_NUISANCE:g}, got {self.nuisance}")

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n], positions in `identities`."""
        return numbered_labels(self.num_identities, self.images_per_identity)

    @cached_property
    def identities(self) -> list[str]:
        """Names such as synthetic-000123, by the number of the person."""
        return numbered_names("synthetic", self.first_identity, self.num_identities)

    @cached_property
    def keys(self) -> list[str]:
        """[n] names such as synthetic-000123/0004, the last number that of the person's picture."""
        return [f"{name}/{view:04d}" for name in self.identities for view in range(self.images_per_identity)]

    @property
    def account(self) -> Account:
        """What the source holds; nothing is ever dropped."""
        return Account(origin="synthetic faces", images=len(self), identities=self.num_identities)

    def __len__(self) -> int:
        return self.num_identities * self.images_per_identity

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels [height, width, 3] (RGB) of one picture."""
        return self.draw([index]).images[0]

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width] of many pictures, the same as one by one."""
        return np.ascontiguousarray(self.draw(indices).images.transpose(0, 3, 1, 2))

    def landmarks(self, index: int) -> NDArray[np.float64]:
        """True places [5, 2], as (x, y) in pixels, of the eyes, the tip of the nose and the corners of the mouth.

        Left before right, as seen in the picture; (0, 0) is the middle of the first pixel.
        """
        people, views = self._places([index])
        pose = pose_of(
            draw_people(people, seed=self.seed),
            draw_views(people, views, seed=self.seed, nuisance=self.nuisance),
        )
        return landmarks_in_pixels(pose, self.height, self.width)[0]

    def draw(self, indices: Sequence[int] | NDArray[np.int64]) -> Rendered:
        """Pictures and landmarks of many examples at once."""
        people, views = self._places(indices)
        return render(
            draw_people(people, seed=self.seed),
            draw_views(people, views, seed=self.seed, nuisance=self.nuisance),
            height=self.height,
            width=self.width,
            places=[(self.seed, person, view) for person, view in zip(people, views, strict=True)],
        )

    def _places(self, indices: Sequence[int] | NDArray[np.int64]) -> tuple[list[int], list[int]]:
        """Numbers of the people and of their pictures."""
        people, views = [], []
        for index in indices:
            label, view = placed(index, self.num_identities, self.images_per_identity)
            people.append(self.first_identity + label)
            views.append(view)
        return people, views
