"""The gallery as the service uses it: people by name, their numbers of photos counted, refusals with a status."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import AngulusError, GalleryError, ServiceError
from angulus.gallery.engines import UnknownPlaceError
from angulus.gallery.enrolment import Enrolment
from angulus.gallery.gallery import Gallery
from angulus.gallery.people import Person, checked_name
from angulus.runtime.curves import GallerySize
from angulus.serve import answers

RETRY = 5.0  # seconds between searches that try whether the gallery works
RECOUNT = 2.0  # seconds between looks at what other processes did to the gallery


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
    """A photo as enrolled.  id, template_score: None where the person has it already.  same_as: who has this file."""

    id: str | None
    template_score: float | None
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


class Roster:
    """A gallery, opened, and closed with this. Calls may come from several threads."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._lock = threading.Lock()
        self._counts: Counter[int] = Counter()
        self._looked = 0.0
        self._tried, self._usable = time.monotonic(), True
        self.size()

    def facts(self) -> dict[str, Any]:
        """Settings that belong to the gallery."""
        return self._gallery.facts()

    @property
    def people(self) -> int:
        """How many are enrolled, as last counted."""
        return self._counts.total()

    def size(self) -> GallerySize:
        """How many people have how many photos. What other processes change is seen within some seconds."""
        with self._lock:
            if time.monotonic() - self._looked > RECOUNT:
                self._recount()
            return dict(self._counts)

    def add(self, wanted: Wanted, note: Callable[[Person], object] = lambda _: None) -> Enrolled:
        """Enrol a person, or add photos to one. Raises ServiceError: 404, 409 or 422.

        note: writes down who is enrolled; where it raises, nobody is.
        """
        if wanted.refuse_lookalikes and wanted.lookalike is None:
            raise ServiceError("nothing says from which score people look alike: start the service with --lookalike")
        name = written(wanted.name)
        with self._gallery.engine.writing():
            is_known = self._gallery.engine.named(name) is not None
            if is_known and not wanted.add:
                raise ServiceError(
                    f"{name!r} is enrolled already: say add=true to add photos, or take another name",
                    **{"status": 409, "code": "name_taken"},
                )
            if wanted.add and not is_known:
                raise _nobody(name)
            found = self._added(name, wanted)
            try:
                note(found.person)
            except BaseException:
                self._undo(found)
                raise
        with self._lock:
            after = len(found.person.photos)
            self._moved(0 if found.is_new else after - len(found.photo_ids), after)
        given = {photo.id: photo for photo in found.person.photos}
        own = {each.photo for each in found.duplicates if each.name == found.person.name}
        ids = iter(found.photo_ids)
        placed = [None if place in own else next(ids) for place in range(len(wanted.vectors))]
        return Enrolled(
            **{"name": found.person.name, "person": found.person.id, "people": self.people},
            photos=tuple(
                AddedPhoto(
                    id=photo,
                    template_score=None if photo is None else float(given[photo].vector @ found.person.template),
                    same_as=tuple(each.name for each in found.duplicates if each.photo == place),
                )
                for place, photo in enumerate(placed)
            ),
            lookalikes=tuple(
                answers.Lookalike(name=each.name, score=each.score, added=each.added) for each in found.look_alikes
            ),
            lowest_score=found.least_alike[1],
        )

    def drop(self, name: str, photo: str | None = None) -> Gone:
        """Remove a person, or one photo, the last of which removes the person. Raises ServiceError (404)."""
        with self._gallery.engine.writing():
            person = self.person(name)
            photos = [one.id for one in person.photos]
            if photo is not None and photo not in photos:
                raise ServiceError(f"{person.name!r} has no photo {photo[:64]!r}", status=404, code="no_photo")
            is_last = photo is None or photos == [photo]
            if photo is None:
                self._gallery.remove_person(person.name)
            else:
                self._gallery.remove_photo(person.name, photo)
        with self._lock:
            self._moved(len(photos), 0 if is_last else len(photos) - 1)
        gone = tuple(photos) if photo is None else (photo,)
        return Gone(name=person.name, person=person.id, photos=gone, is_last=is_last)

    def person(self, name: str) -> Person:
        """A person by name. Raises ServiceError (404)."""
        found = self._gallery.engine.named(written(name))
        if found is None:
            raise _nobody(name)
        return found

    def listed(self, after: str, most: int) -> answers.PeopleAnswer:
        """Some people in the order of the gallery. Raises ServiceError for an `after` that no page ended with."""
        try:
            found, following = self._gallery.engine.page(after, most)
        except UnknownPlaceError as error:
            raise ServiceError(str(error)) from error
        rows = tuple(answers.PersonLine(name=one.name, photos=len(one.photos), added=one.added) for one in found)
        return answers.PeopleAnswer(people=rows, total=self._gallery.engine.count(), next=following)

    def search(self, vector: NDArray[np.float32], most: int) -> list["Hit"]:
        """The people with the nearest templates, best first."""
        found = self._gallery.search(vector[None], most)[0]
        return [
            Hit(
                **{"name": one.name, "person": one.person_id, "score": one.score, "photo": one.photo_id},
                photo_score=one.photo_score,
            )
            for one in found
        ]

    def has(self, person: str) -> bool:
        """Whether there is a person with this id."""
        return self._gallery.engine.get(person) is not None

    def is_usable(self) -> bool:
        """Whether a search works, as tried at most every few seconds."""
        if time.monotonic() - self._tried > RETRY:
            self._tried = time.monotonic()
            try:
                self._gallery.search(np.eye(1, self._gallery.dim, dtype=np.float32), 1)
                self._usable = True
            except (AngulusError, OSError) as error:
                logging.getLogger(__name__).error("the gallery cannot be searched: %s", error)
                self._usable = False
        return self._usable

    def photo_ids(self) -> set[str]:
        """Of all enrolled photos."""
        return {photo.id for person in self._gallery.people() for photo in person.photos}

    def close(self) -> None:
        """Close the gallery."""
        self._gallery.close()

    def _added(self, name: str, wanted: Wanted) -> Enrolment:
        try:
            return self._gallery.add(
                name,
                wanted.vectors,
                wanted.digests,
                **{"note": wanted.note, "look_alike": wanted.lookalike, "refuse_look_alikes": wanted.refuse_lookalikes},
            )
        except GalleryError as error:
            if isinstance(error.__cause__, Exception) and not isinstance(error.__cause__, ValueError | TypeError):
                raise  # a disk or a database, not what was asked for
            status, code = (409, "look_alike") if "was not enrolled" in str(error) else (422, "invalid")
            raise ServiceError(str(error), status=status, code=code) from error

    def _undo(self, found: Enrolment) -> None:
        """Take out what was added. Most galleries do so at an error; this is for those that change at once."""
        for photo in found.photo_ids:
            self._gallery.remove_photo(found.person.name, photo)

    def _moved(self, before: int, after: int) -> None:
        """A person had so many photos, and has so many now."""
        self._counts[before] -= 1
        self._counts[after] += 1
        del self._counts[0]
        self._counts = +self._counts

    def _recount(self) -> None:
        """Count anew where the totals are not those of the gallery."""
        engine = self._gallery.engine
        photos = sum(number * people for number, people in self._counts.items())
        if (engine.count(), engine.photo_count()) != (self._counts.total(), photos):
            self._counts = Counter(engine.sizes())
        self._looked = time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A person whom a search found, and the nearest of their photos."""

    name: str
    person: str
    score: float
    photo: str
    photo_score: float


def written(name: str) -> str:
    """A name as galleries write it. Raises ServiceError for what is no name."""
    try:
        found = checked_name(name)
    except GalleryError as error:
        raise ServiceError(str(error)) from error
    if found in (".", ".."):  # browsers take them out of addresses, so that such a person could not be removed
        raise ServiceError(f"a name must be more than dots, got {found!r}")
    return found


def _nobody(name: str) -> ServiceError:
    return ServiceError(f"nobody of the name {name[:200]!r} is enrolled", status=404, code="nobody")
