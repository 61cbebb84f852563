"""Who is enrolled, and who is it: people added, removed and searched, with everything the operator should know."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from angulus.errors import ServiceError
from angulus.gallery.people import Person
from angulus.runtime.identification import identify
from angulus.serve import answers
from angulus.serve.looking import Looked
from angulus.serve.records.keys import Key
from angulus.serve.requests import Given
from angulus.serve.roster import Enrolled, Gone, Hit, Roster, Wanted, written
from angulus.serve.service import Checked, Service, failed_checks
from angulus.serve.wording import photo_answer, search_point_answer

Result = TypeVar("Result")
MOST_CANDIDATES = 20


class Enrolment:
    """The operations on a gallery.

    Changes are made one after another, and are not broken off where a request takes too long: what was begun is done.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def roster(self) -> Roster:
        """Who is enrolled. Raises ServiceError (404) where the service has no gallery."""
        if self._service.gallery is None:
            raise ServiceError("this service has no gallery: start it with --gallery", status=404, code="no_gallery")
        return self._service.gallery

    async def search(self, given: Given, request: str, key: Key) -> answers.SearchAnswer:
        """Who is on a photo, or nobody of the enrolled."""
        service, roster = self._service, self.roster
        most = int(given.number("most", 5))
        if not 1 <= most <= MOST_CANDIDATES:
            raise ServiceError(f"most must be 1 to {MOST_CANDIDATES}, got {most}")
        looked, checked = await service.look(given)
        point = service.search_point(await service.gallery_size())
        face, failed = looked[0].seen.face, failed_checks(given.uploads, checked)
        said: dict[str, Any] = {"request": request, "point": search_point_answer(point)}
        said |= {"photo": photo_answer(looked[0].seen, checked[0])}
        if face is None or failed:
            reason = failed or looked[0].seen.problem or "no face was found"
            await service.note("search", request, key, "cannot tell", {"threshold": point.threshold, "people": []})
            return answers.SearchAnswer(decision="cannot tell", reason=reason, candidates=(), **said)
        hits = await service.in_time(service.looking.work(lambda: roster.search(face.vector, most)))
        found = identify(hits, point)
        above = hits[: len(found.candidates)]
        facts = {"score": found.score, "threshold": point.threshold}
        people = [{"name": hit.name, "id": hit.person} for hit in above]
        await service.note("search", request, key, found.decision, {**facts, "people": people})
        await self._forget_gone(above)
        candidates = tuple(
            answers.Candidate(
                **{"name": hit.name, "score": hit.score, "photo": hit.photo, "photo_score": hit.photo_score},
                crop=self._has_crop(hit.photo),
            )
            for hit in above
        )
        return answers.SearchAnswer(
            **{"decision": found.decision, "reason": found.reason, "person": found.person, "score": found.score},
            candidates=candidates,
            **said,
        )

    async def enrol(self, given: Given, request: str, key: Key) -> answers.EnrolAnswer:
        """Enrol a person with the photos that have a face. Raises ServiceError: 409 for a name or a look-alike."""
        service, words = self._service, given.words
        _ = self.roster  # a service without a gallery says so before it works
        looked, checked = await service.look(given)
        if failed := failed_checks(given.uploads, checked):
            raise ServiceError(failed, code="check_not_passed")
        usable = [place for place, one in enumerate(looked) if one.seen.face is not None]
        if not usable:
            problems = "; ".join(f"{one.seen.name}: {one.seen.problem or 'no face was found'}" for one in looked)
            raise ServiceError(f"no photo can be enrolled: {problems}", code="no_face")
        size = await service.gallery_size()
        wanted = Wanted(
            **{"name": words.get("name", ""), "note": words.get("note", ""), "add": given.flag("add")},
            **{"refuse_lookalikes": given.flag("refuse_lookalikes"), "lookalike": service.lookalike(size)},
            vectors=np.stack([looked[place].seen.face.vector for place in usable]),  # pyrefly: ignore
            digests=[hashlib.sha256(given.uploads[place].content).hexdigest() for place in usable],
        )

        def note(person: Person) -> None:
            people = [{"name": person.name, "id": person.id}]
            service.note_now("enrol", request, key, "enrolled", {"people": people, "photos": len(usable)})

        found = await self._change(lambda: self._added(wanted, [looked[place] for place in usable], note))
        return _enrolled(request, found, looked, checked, usable)

    async def people(self, after: str, most: int) -> answers.PeopleAnswer:
        """Some people."""
        return await self._change(lambda: self.roster.listed(after, most))

    async def person(self, name: str) -> answers.PersonAnswer:
        """A person. Raises ServiceError (404)."""
        found = await self._change(lambda: self.roster.person(name))
        photos = tuple(
            answers.StoredPhoto(id=photo.id, added=photo.added, crop=self._has_crop(photo.id)) for photo in found.photos
        )
        return answers.PersonAnswer(name=found.name, person=found.id, added=found.added, photos=photos)

    async def remove(self, name: str, request: str, key: Key) -> answers.RemoveAnswer:
        """Remove a person from the gallery, the crops, and the lines of the log.

        Who is not in the gallery, but still in the log, is removed there: a removal that failed half-way, or was made
        by another program, is brought to its end. Raises ServiceError (404) for who is in neither.
        """
        try:
            gone = await self._change(lambda: self._dropped(name))
        except ServiceError as error:
            if error.code != "nobody":
                raise
            known = await self._change(lambda: self._swept(name))
            if not await self._service.forget(known, "", request, key):
                raise
            return answers.RemoveAnswer(request=request, name=known, photos=0, person_removed=True)
        await self._service.forget(gone.name, gone.person, request, key)
        return answers.RemoveAnswer(request=request, name=gone.name, photos=len(gone.photos), person_removed=True)

    async def remove_photo(self, name: str, photo: str, request: str, key: Key) -> answers.RemoveAnswer:
        """Remove a photo; the last one removes the person. Raises ServiceError (404)."""
        gone = await self._change(lambda: self._dropped(name, photo))
        if gone.is_last:
            await self._service.forget(gone.name, gone.person, request, key)
        else:
            people = [{"name": gone.name, "id": gone.person}]
            await self._service.note("remove_photo", request, key, "removed", {"people": people})
        return answers.RemoveAnswer(request=request, name=gone.name, photos=1, person_removed=gone.is_last)

    async def crop(self, name: str, photo: str) -> bytes:
        """The crop of an enrolled photo. Raises ServiceError (404)."""
        crops = self._service.ledger.crops

        def read() -> bytes | None:
            person = self.roster.person(name)
            is_theirs = any(one.id == photo for one in person.photos)
            return crops.read(photo) if crops is not None and is_theirs else None

        content = await self._change(read)
        if content is None:
            raise ServiceError("no crop of this photo is kept", status=404, code="no_crop")
        return content

    async def _forget_gone(self, hits: Sequence[Hit]) -> None:
        """A line about somebody who was removed between search and line came too late to be emptied then."""
        if hits:
            for hit in await asyncio.to_thread(lambda: [one for one in hits if not self.roster.has(one.person)]):
                await asyncio.wrap_future(self._service.ledger.log.forget(hit.name, hit.person))

    async def _change(self, job: Callable[[], Result]) -> Result:
        return await self._service.looking.work(job)

    def _added(self, wanted: Wanted, looked: Sequence[Looked], note: Callable[[Person], None]) -> Enrolled:
        """Add to the gallery if that can be written down, and keep the crops where that is asked for."""
        found, crops = self.roster.add(wanted, note), self._service.ledger.crops
        if crops is not None:
            for photo, one in zip(found.photos, looked, strict=True):
                assert one.seen.face is not None
                if photo.id is not None:
                    crops.keep(photo.id, one.seen.face.crop)
        return found

    def _dropped(self, name: str, photo: str | None = None) -> Gone:
        gone, crops = self.roster.drop(name, photo), self._service.ledger.crops
        if crops is not None:
            for one in gone.photos:
                crops.remove(one)
        return gone

    def _swept(self, name: str) -> str:
        """The name as galleries write it, when no crop is left of photos that are in the gallery no more."""
        if (crops := self._service.ledger.crops) is not None:
            crops.keep_only(self.roster.photo_ids)
        return written(name)

    def _has_crop(self, photo: str | None) -> bool:
        crops = self._service.ledger.crops
        return photo is not None and crops is not None and crops.has(photo)


def _enrolled(
    request: str, found: Enrolled, looked: Sequence[Looked], checked: Sequence[Checked], usable: Sequence[int]
) -> answers.EnrolAnswer:
    given = dict(zip(usable, found.photos, strict=True))
    photos = tuple(
        answers.EnrolledPhoto(
            photo=photo_answer(one.seen, checked[place]),
            id=given[place].id if place in given else None,
            template_score=given[place].template_score if place in given else None,
            same_as=given[place].same_as if place in given else (),
        )
        for place, one in enumerate(looked)
    )
    return answers.EnrolAnswer(
        **{"request": request, "name": found.name, "person": found.person, "photos": photos},
        **{"lookalikes": found.lookalikes, "people": found.people, "lowest_score": found.lowest_score},
    )
