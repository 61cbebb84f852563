"""A gallery of enrolled people: photos in, people and their templates kept, the nearest people out.

    with Gallery(open_engine("gallery")) as gallery:
        gallery.add("Ann", vectors, digests)              float32 [n, d], length 1
        gallery.search(vectors, k=5)                      for each vector the nearest people, with scores

It answers with scores alone; whether a score makes a match is decided by `angulus.runtime`, with a threshold that
belongs to the artefact that made the vectors.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.engines import Closing, Engine, Hit, everybody
from angulus.gallery.enrolment import Duplicate, Enrolment, Found, GalleryInfo, LookAlike
from angulus.gallery.people import (
    EnrolledPhoto,
    Person,
    checked_digest,
    checked_name,
    checked_note,
    checked_vectors,
    new_id,
    now,
    template_of,
)

ARTEFACT = "artefact"  # the fact that names the network whose vectors are kept
USUAL_FPIR = 0.01
FPIR = "fpir"  # the share of strangers taken for somebody that a search aims at
TRANSFORM = "transform"
_LOOK_ALIKES = 5


def wanted_fpir(facts: Mapping[str, Any]) -> float:
    """What a search aims at by the settings of a gallery: the one that it was made with, or USUAL_FPIR."""
    return float(facts.get(FPIR) or USUAL_FPIR)


class Transform(Protocol):
    """What `transforms.KeyedRotation` is."""

    dim: int
    keep: int

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]: ...

    def undo(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]: ...

    def as_dict(self) -> dict[str, Any]: ...


class Gallery(Closing):
    """engine: opened, and closed with the gallery.  transform: what the vectors of this gallery go through, if any.

    Raises GalleryError where the transform, or having none, is not what the gallery was made with.
    """

    def __init__(self, engine: Engine, transform: Transform | None = None) -> None:
        self.engine, self.transform = engine, transform
        stored = engine.facts().get(TRANSFORM)
        mine = None if transform is None else transform.as_dict()
        if stored is None and mine is not None and not engine.count():
            engine.set_facts({TRANSFORM: mine})
        elif stored != mine:
            what = "without a transform" if stored is None else "with another transform or key"
            raise GalleryError(f"the vectors of this gallery were stored {what}; open it the way it was made")
        if transform is not None and engine.dim != transform.keep:
            raise GalleryError(
                f"the gallery must have the {transform.keep} dimensions that the transform keeps, and has {engine.dim}"
            )

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that it takes."""
        return self.engine.dim if self.transform is None else self.transform.dim

    # ------------------------------------------------------------------------------------------ enrolment

    def add(
        self,
        name: str,
        vectors: NDArray[np.float32],
        digests: Sequence[str] = (),
        notes: Sequence[str] = (),
        *,
        note: str = "",
        look_alike: float | None = None,
        refuse_look_alikes: bool = False,
    ) -> Enrolment:
        """Enrol photos of a new person, or more photos of an enrolled one.

        vectors: float32 [n, d], length 1.  digests: SHA-256 of each photo, or none.  notes: one for each photo, or
        none.  note: of a new person.  look_alike: the score from which other people are reported; None: no search.
        refuse_look_alikes: raise GalleryError, and change nothing, where there is one or a photo is another person's.
        """
        name, stored = checked_name(name), self._stored(vectors)
        digests, notes = _one_each(digests, len(stored), "digests"), _one_each(notes, len(stored), "notes")
        given = [
            EnrolledPhoto(
                id=new_id(), vector=vector, digest=checked_digest(digest), added=now(), note=checked_note(text)
            )
            for vector, digest, text in zip(stored, digests, notes, strict=True)
        ]
        if not given:
            raise GalleryError(f"a person needs at least one photo, got none for {name!r}; give a photo")
        with self.engine.writing():
            before = self.engine.named(name)
            duplicates = self._duplicates(name, given)
            known = {each.photo for each in duplicates if each.name == name}
            added = [photo for place, photo in enumerate(given) if place not in known]
            person = _joined(before, added, name, note)
            look_alikes = () if look_alike is None else self._look_alikes(person, look_alike)
            if refuse_look_alikes:
                _refuse(name, look_alikes, [each for each in duplicates if each.name != name])
            if added:
                self.engine.put(person)
        return Enrolment(
            person=person,
            is_new=before is None,
            photo_ids=tuple(photo.id for photo in added),
            duplicates=tuple(duplicates),
            look_alikes=tuple(look_alikes),
            least_alike=_least_alike(person),
        )

    def _stored(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors as the engine keeps and searches them."""
        return checked_vectors(vectors, self.dim) if self.transform is None else self.transform.apply(vectors)

    def _duplicates(self, name: str, given: Sequence[EnrolledPhoto]) -> list[Duplicate]:
        found = []
        first: dict[str, EnrolledPhoto] = {}
        for place, photo in enumerate(given):
            before = first.setdefault(photo.digest, photo)
            if photo.digest and before is not photo:
                found.append(Duplicate(photo=place, name=name, photo_id=before.id, added=before.added))
                continue
            holders = self.engine.holders(photo.digest) if photo.digest else []
            for holder in filter(None, map(self.engine.get, holders)):
                same = next(each for each in holder.photos if each.digest == photo.digest)
                found.append(Duplicate(photo=place, name=holder.name, photo_id=same.id, added=same.added))
        return found

    def _look_alikes(self, person: Person, least: float) -> tuple[LookAlike, ...]:
        hits = self.engine.search(person.template[None], _LOOK_ALIKES + 1)[0]
        near = [hit for hit in hits if hit.person_id != person.id and hit.score >= least][:_LOOK_ALIKES]
        people = [(hit, self.engine.get(hit.person_id)) for hit in near]
        return tuple(
            LookAlike(person_id=hit.person_id, name=hit.name, score=hit.score, added=other.added)
            for hit, other in people
            if other is not None
        )

    def remove_person(self, name: str) -> None:
        """Remove a person with all photos and vectors. Raises GalleryError where nobody has the name."""
        with self.engine.writing():
            self.engine.drop(self.person(name).id)

    def remove_photo(self, name: str, photo_id: str) -> bool:
        """Remove a photo and pool the others anew; with the last photo the person is removed, and False returned.

        Raises GalleryError where nobody has the name, or the person has no such photo.
        """
        with self.engine.writing():
            person = self.person(name)
            left = tuple(photo for photo in person.photos if photo.id != photo_id)
            if len(left) == len(person.photos):
                raise GalleryError(f"{person.name!r} must have the photo that is removed, and has no {photo_id!r:.80}")
            if not left:
                self.engine.drop(person.id)
                return False
            self.engine.put(replace(person, photos=left, template=template_of([photo.vector for photo in left])))
        return True

    def rename(self, name: str, new_name: str) -> Person:
        """Give a person another name. Raises GalleryError where nobody has the old one, or somebody the new one."""
        with self.engine.writing():
            renamed = replace(self.person(name), name=checked_name(new_name))
            self.engine.put(renamed)
        return renamed

    def person(self, name: str) -> Person:
        """The person with a name. Raises GalleryError where there is none."""
        found = self.engine.named(checked_name(name))
        if found is None:
            raise GalleryError(f"nobody in this gallery is named {name!r:.220}; list the names to see who is")
        return found

    def people(self) -> Iterator[Person]:
        """Everybody, a few at a time."""
        return everybody(self.engine)

    # ------------------------------------------------------------------------------------------ search

    def search(self, vectors: NDArray[np.float32], k: int = 1) -> list[list[Found]]:
        """For each unit vector [n, d] the k people with the nearest templates, best first."""
        stored = self._stored(vectors)
        hits = self.engine.search(stored, k)
        wanted: dict[str, list[tuple[int, Hit]]] = defaultdict(list)
        for place, each in enumerate(hits):
            for hit in each:
                wanted[hit.person_id].append((place, hit))
        found: list[list[Found]] = [[] for _ in hits]
        for ident, places in wanted.items():
            person = self.engine.get(ident)
            if person is None:  # removed a moment ago
                continue
            photos = np.stack([photo.vector for photo in person.photos])
            for place, hit in places:
                scores = photos @ stored[place]
                best = int(scores.argmax())
                found[place].append(
                    Found(
                        person_id=ident,
                        name=person.name,
                        score=hit.score,
                        photo_id=person.photos[best].id,
                        photo_score=float(scores[best]),
                    )
                )
        return [sorted(each, key=lambda one: -one.score) for each in found]

    # ------------------------------------------------------------------------------------------ the whole of it

    def reissue(self, transform: Transform | None) -> None:
        """Have all vectors in a new transform, or in none, as one change; the old one must be lossless.

        Raises GalleryError where the old transform cannot be undone, or the new one does not fit.
        """
        old = self.transform
        if transform is not None and transform.dim != self.dim:
            raise GalleryError(f"the transform must take vectors of {self.dim} dimensions, got {transform.dim}")

        def again(person: Person) -> Person:
            vectors = np.stack([photo.vector for photo in person.photos])
            plain = checked_vectors(vectors) if old is None else old.undo(vectors)
            turned = plain if transform is None else transform.apply(plain)
            photos = [replace(photo, vector=new) for photo, new in zip(person.photos, turned, strict=True)]
            return replace(person, photos=tuple(photos), template=template_of(turned))

        with self.engine.writing():
            held = list(everybody(self.engine))
            self.engine.resize(self.dim if transform is None else transform.keep)
            self.engine.put_many(again(person) for person in held)
            self.engine.set_facts({TRANSFORM: None if transform is None else transform.as_dict()})
        self.transform = transform

    def facts(self) -> dict[str, Any]:
        """Settings that belong to the gallery."""
        return self.engine.facts()

    def set_facts(self, facts: Mapping[str, Any]) -> None:
        """Set some settings, or remove those whose value is None. Raises GalleryError for what is no JSON."""
        if TRANSFORM in facts:
            raise GalleryError(f"{TRANSFORM} must be set by reissue; choose another name")
        self.engine.set_facts(facts)

    def info(self) -> GalleryInfo:
        """What it holds."""
        facts = self.engine.facts()
        return GalleryInfo(
            engine=self.engine.kind,
            people=self.engine.count(),
            photos=self.engine.photo_count(),
            dim=self.dim,
            memory=self.engine.memory(),
            transform=facts.pop(TRANSFORM, None),
            facts=facts,
        )

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()


def _joined(before: Person | None, added: Sequence[EnrolledPhoto], name: str, note: str) -> Person:
    photos = (*(() if before is None else before.photos), *added)
    template = template_of([photo.vector for photo in photos])
    if before is None:
        return Person(id=new_id(), name=name, photos=photos, template=template, added=now(), note=checked_note(note))
    return replace(before, photos=photos, template=template)


def _least_alike(person: Person) -> tuple[str, float]:
    scores = [float(photo.vector @ person.template) for photo in person.photos]
    least = int(np.argmin(scores))
    return person.photos[least].id, scores[least]


def _refuse(name: str, look_alikes: Sequence[LookAlike], duplicates: Sequence[Duplicate]) -> None:
    for each in (*duplicates, *look_alikes):
        raise GalleryError(f"{name!r} was not enrolled: {each.sentence()}; if they are two people, allow look-alikes")


def _one_each(texts: Sequence[str], count: int, what: str) -> Sequence[str]:
    if not len(texts):
        return [""] * count
    if len(texts) != count:
        raise GalleryError(f"{what} must be one for each of the {count} photos, got {len(texts)}")
    return texts
