"""What a gallery answers: who was enrolled and what was noticed, who was found, what it holds."""

from dataclasses import dataclass, field
from typing import Any

from angulus.gallery.people import Person


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A given photo that is enrolled already. photo: its place among those given.  added: when it was enrolled."""

    photo: int
    name: str
    photo_id: str
    added: str

    def sentence(self) -> str:
        """For users."""
        return f"photo {self.photo + 1} is enrolled already, as one of {self.name} since {self.added[:10]}"


@dataclass(frozen=True, kw_only=True)
class LookAlike:
    """Another person whose template is near. score: the cosine.  added: when that person was enrolled."""

    person_id: str
    name: str
    score: float
    added: str

    def sentence(self) -> str:
        """For users."""
        return f"{self.score:.2f} like {self.name}, enrolled {self.added[:10]}"


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """What `Gallery.add` did.

    photo_ids: of the photos that were added.  duplicates: given photos that are enrolled already; those of the person
    itself were left out.  look_alikes: the nearest first.  least_alike: id of the photo that is least like the
    person's template, and its score; a low one says that the photos may be of two people.
    """

    person: Person
    is_new: bool
    photo_ids: tuple[str, ...]
    duplicates: tuple[Duplicate, ...] = ()
    look_alikes: tuple[LookAlike, ...] = ()
    least_alike: tuple[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without vectors."""
        return {
            "person": {"id": self.person.id, "name": self.person.name, "photos": len(self.person.photos)},
            "new": self.is_new,
            "photo_ids": list(self.photo_ids),
            "duplicates": [vars(each) for each in self.duplicates],
            "look_alikes": [vars(each) for each in self.look_alikes],
            "least_alike": {"photo_id": self.least_alike[0], "score": self.least_alike[1]},
        }


@dataclass(frozen=True, kw_only=True)
class Found:
    """score: the cosine of the query and the person's template.  photo_id, photo_score: the photo nearest to it."""

    person_id: str
    name: str
    score: float
    photo_id: str
    photo_score: float

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class GalleryInfo:
    """memory: bytes that a search goes through.  transform: what is known of the transform of vectors, or None."""

    engine: str
    people: int
    photos: int
    dim: int
    memory: int
    transform: dict[str, Any] | None
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))
