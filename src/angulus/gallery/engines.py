"""What a gallery asks of the engine that stores its people and searches their templates.

Engines know vectors and people, not thresholds: a hit is a score, and who decides is `angulus.runtime`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.people import Person, checked_vectors

MOST_HITS = 1000
PAGE, MOST_OF_A_PAGE = 256, 10_000
PATIENCE = 10.0
"""Seconds to wait for another process that is changing the gallery."""


class UnknownPlaceError(GalleryError):
    """A page was to begin where no page ended."""

    def __init__(self, after: str) -> None:
        super().__init__(f"after must be empty, or what the page before gave as its next, got {after!r:.80}")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """score: the cosine of the query and the person's template, in float32."""

    person_id: str
    name: str
    score: float


class Engine(Protocol):
    """Stores people and finds them; every method may be called from any thread.

    Whatever changes something returns when the change is on the disk, and is there whole or not at all.
    """

    @property
    def kind(self) -> str:
        """The engine in a few words, for users."""
        ...

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """All changes of this thread within the block are one; other writers wait.

        An error that leaves the outermost block undoes them; what a nested one did before an error that was caught
        stays. Raises GalleryError where another process holds the gallery for too long.
        """
        ...

    def put(self, person: Person) -> None:
        """Insert a person, or replace the one with this id. Raises GalleryError where another has the name."""
        ...

    def put_many(self, people: Iterable[Person]) -> None:
        """`put` for each, as one change."""
        ...

    def drop(self, person_id: str) -> bool:
        """Remove a person: from storage, where the vectors are overwritten, and from search. False: there is none."""
        ...

    def resize(self, dim: int) -> None:
        """Have vectors of another number of dimensions; within `writing`, and all people are put again in it."""
        ...

    def get(self, person_id: str) -> Person | None: ...

    def named(self, name: str) -> Person | None: ...

    def holders(self, digest: str) -> list[str]:
        """Ids of the people who have a photo with this SHA-256."""
        ...

    def page(self, after: str, most: int) -> tuple[list[Person], str | None]:
        """At most so many people in the order in which they are kept, and where to go on after them; None: at the end.

        after: what the page before gave; "" begins. Raises UnknownPlaceError for anything else, GalleryError where
        `most` is not 1 to 10,000.
        """
        ...

    def count(self) -> int:
        """People."""
        ...

    def photo_count(self) -> int: ...

    def sizes(self) -> dict[int, int]:
        """How many people have how many photos: {photos: people}."""
        ...

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """The k people with the highest cosines for each query, best first. queries: float32 [q, d], length 1."""
        ...

    def facts(self) -> dict[str, Any]:
        """Small settings that belong to the gallery: name -> JSON value."""
        ...

    def set_facts(self, facts: Mapping[str, Any]) -> None:
        """Set some facts, or remove those whose value is None."""
        ...

    def memory(self) -> int:
        """Bytes that a search goes through, in memory or mapped into it."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Closing:
    """Closed at the end of a `with` block."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


def everybody(engine: Engine) -> Iterator[Person]:
    """All people, a few at a time; who is added or removed meanwhile may be in it or not."""
    after: str | None = ""
    while after is not None:
        found, after = engine.page(after, PAGE)
        yield from found


def checked_most(most: int) -> int:
    """People of a page. Raises GalleryError."""
    if not 1 <= most <= MOST_OF_A_PAGE:
        raise GalleryError(f"a page must have 1 to {MOST_OF_A_PAGE:,} people, got {most}")
    return most


def place_after(after: str) -> int:
    """The number that a page ended with. Raises UnknownPlaceError for what is none."""
    if not re.fullmatch("[0-9]{0,18}", after):
        raise UnknownPlaceError(after)
    return int(after or 0)


def checked_queries(queries: NDArray, k: int, dim: int) -> NDArray[np.float32]:
    """float32 [q, dim] of length 1. Raises GalleryError for other queries, or a k out of range."""
    if not 1 <= k <= MOST_HITS:
        raise GalleryError(f"k must be 1 to {MOST_HITS:,}, got {k}")
    if np.ndim(queries) == 2 and not len(queries):
        return np.empty((0, dim), dtype=np.float32)
    return checked_vectors(queries, dim)


def candidates_for(k: int) -> int:
    """How many rows a search by stored values proposes, of which the best k by exact cosines are kept."""
    return max(4 * k, 32)


def checked_facts(facts: Mapping[str, Any]) -> dict[str, str | None]:
    """Facts as JSON texts. Raises GalleryError for names or values that cannot be stored."""
    texts: dict[str, str | None] = {}
    for name, value in facts.items():
        if not (isinstance(name, str) and 1 <= len(name) <= 64 and name.isascii() and name.isprintable()):
            raise GalleryError(f"a fact's name must have 1 to 64 plain characters, got {name!r:.80}")
        try:
            text = None if value is None else json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise GalleryError(f"the fact {name} must be JSON, got {type(value).__name__}") from error
        if text is not None and len(text) > 2**16:
            raise GalleryError(f"the fact {name} must have at most 65,536 characters, got {len(text):,}")
        texts[name] = text
    return texts
