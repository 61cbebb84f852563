"""What the service asks of a gallery, and what it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from angulus.runtime.curves import GallerySize
from angulus.serve import answers


@dataclass(frozen=True, kw_only=True, eq=False)
class Wanted:
    """A person to enrol.  vectors: float32 [n, d].  digests: SHA-256 of the photos.  lookalike: least score."""

    name: str
    add: bool
    refuse_lookalikes: bool
    note: str
    lookalike: float | None
    vectors: NDArray[np.float32]
    digests: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class AddedPhoto:
    """A photo as enrolled.  same_as: people who have the very same file."""

    id: str
    template_score: float
    same_as: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """A person as enrolled.  people: in the gallery now."""

    name: str
    person: str
    photos: tuple[AddedPhoto, ...]
    lookalikes: tuple[answers.Lookalike, ...]
    people: int
    lowest_score: float


@dataclass(frozen=True, kw_only=True)
class Gone:
    """What was removed: ids of photos.  is_last: nothing of the person is left."""

    name: str
    person: str
    photos: tuple[str, ...]
    is_last: bool


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A person whom a search found, and the nearest of their photos."""

    name: str
    person: str
    score: float
    photo: str
    photo_score: float


class StoredPhoto(Protocol):
    id: str
    added: str


class StoredPerson(Protocol):
    id: str
    name: str
    added: str
    photos: tuple[StoredPhoto, ...]


class Roster(Protocol):
    people: int

    def size(self) -> GallerySize: ...
    def checked_name(self, name: str) -> str: ...
    def add(self, wanted: Wanted) -> Enrolled: ...
    def drop(self, name: str, photo: str | None = None) -> Gone: ...
    def person(self, name: str) -> StoredPerson: ...
    def listed(self, after: str, most: int) -> answers.PeopleAnswer: ...
    def search(self, vector: NDArray[np.float32], most: int) -> list[Hit]: ...
    def close(self) -> None: ...
