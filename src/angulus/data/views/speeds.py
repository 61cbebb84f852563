"""The recordings of a source at several speeds, each speed a speaker of its own: three times the classes by two speeds.

A voice that is played faster is higher and belongs to another person for a listener, so that it may be one for the
training (Ko et al. 2015; the label of wespeaker's recipe is label + speakers x number of the speed).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account, Source, account_of, stamp_of
from angulus.data.parts import read_part
from angulus.errors import DataError
from angulus.speech.speeds import length_before, perturbed


@dataclass(frozen=True, kw_only=True, eq=False)
class AtSpeeds:
    """`source` as it is, and once more at each of `speeds`, its people under the names "name@0.9"."""

    source: Source
    speeds: tuple[float, ...]

    def __post_init__(self) -> None:
        check_speeds(self.speeds)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n (1 + speeds)], positions in `identities`."""
        own = np.asarray(self.source.labels, dtype=np.int64)
        people = len(self.source.identities)
        return np.concatenate([own + people * number for number in range(1 + len(self.speeds))])

    @cached_property
    def identities(self) -> Sequence[str]:
        """Names, those of the source first."""
        own = list(self.source.identities)
        return own + [f"{name}@{speed:g}" for speed in self.speeds for name in own]

    @cached_property
    def keys(self) -> Sequence[str]:
        """Names of the recordings, those of the source first."""
        own = list(self.source.keys)
        return own + [f"{key}@{speed:g}" for speed in self.speeds for key in own]

    @property
    def account(self) -> Account:
        """What the source kept and dropped, and how many recordings there are now."""
        return account_of(self.source).after(images=len(self), identities=len(self.identities))

    def __len__(self) -> int:
        return len(self.source) * (1 + len(self.speeds))

    def place(self, index: int) -> tuple[int, float]:
        """The recording of the source, and its speed."""
        number, row = divmod(index, len(self.source))
        return row, 1.0 if number == 0 else self.speeds[number - 1]

    def read(self, index: int) -> NDArray[Any]:
        """Samples int16 [t]."""
        row, speed = self.place(index)
        whole = self.source.read(row)
        return whole if speed == 1.0 else perturbed(sound(whole, self.keys[index]), speed)

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of so many samples at its speed."""
        row, speed = self.place(index)
        if speed == 1.0:
            return read_part(self.source, row, share, length)
        part = read_part(self.source, row, share, length_before(length, speed))
        return perturbed(sound(part, self.keys[index]), speed)[:length]

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of the recording, and its speed."""
        row, speed = self.place(index)
        said = stamp_of(self.source, row, times=times)
        return None if said is None else f"{said}@{speed:g}"


def at_own_speed(source: Source) -> Source:
    """The recordings as they are, without those at further speeds."""
    return source.source if isinstance(source, AtSpeeds) else source


def sound(recording: NDArray[Any], name: str) -> NDArray[Any]:
    """The samples. Raises DataError for features and images, which have no speed."""
    if recording.ndim != 1:
        raise DataError(f"{name} is no sound and cannot be played at another speed; leave train.speeds out")
    return recording


def check_speeds(speeds: tuple[float, ...]) -> None:
    """Raise ValueError unless speeds are unlike factors from 0.25 to 4 beside 1."""
    if len(set(speeds)) < len(speeds) or not all(0.25 <= speed <= 4.0 and speed != 1.0 for speed in speeds):
        raise ValueError(f"speeds must be unlike factors from 0.25 to 4 other than 1, such as (0.9, 1.1), got {speeds}")
