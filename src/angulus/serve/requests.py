"""What an operation is given: the photos of a request, and its words."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from angulus.errors import ServiceError


@dataclass(frozen=True, kw_only=True, eq=False)
class Upload:
    """The bytes of a photo.  name: what it is called in answers; data, never a path."""

    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Form:
    """What an operation takes.  photos: the least and the most of each name.  words: other fields."""

    photos: Mapping[str, tuple[int, int]]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """The photos of a request, by the name of their field, and its words."""

    photos: Mapping[str, tuple[Upload, ...]]
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """All photos in order."""
        return tuple(upload for uploads in self.photos.values() for upload in uploads)

    def flag(self, name: str) -> bool:
        """Whether a word says yes. Raises ServiceError for another word than true or false."""
        word = self.words.get(name, "false").lower()
        if word not in ("true", "false"):
            raise ServiceError(f"{name} must be true or false, got {word[:40]!r}")
        return word == "true"

    def names(self, name: str) -> tuple[str, ...]:
        """Words with commas between."""
        return tuple(part.strip() for part in self.words.get(name, "").split(",") if part.strip())

    def number(self, name: str, usual: float) -> float:
        """A finite number. Raises ServiceError."""
        try:
            found = float(self.words.get(name, usual))
        except ValueError:
            found = float("nan")
        if not abs(found) < float("inf"):
            raise ServiceError(f"{name} must be a finite number, got {self.words[name][:40]!r}")
        return found


NOTHING = Given(photos={})
