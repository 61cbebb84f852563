"""What the service does with the photos of a request: look, decide, write down, answer."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from angulus.errors import BundleError, ServiceError
from angulus.runtime.curves import GallerySize
from angulus.runtime.identification import SearchPoint, search_point
from angulus.runtime.recognition import Recognizer
from angulus.runtime.verification import Decision, OperatingPoint, point_of, verify
from angulus.serve import answers
from angulus.serve.checks import CheckedFace, Checks
from angulus.serve.looking import Looked, Looking
from angulus.serve.metrics import Metrics
from angulus.serve.records.keys import Key
from angulus.serve.records.ledger import Ledger
from angulus.serve.requests import Given, Upload
from angulus.serve.roster import Roster
from angulus.serve.settings import Settings
from angulus.serve.wording import card_of, face_box, photo_answer, point_answer
from angulus.version import __version__

Result = TypeVar("Result")


class Service:
    """A bundle, opened, with its queues and its ledger. Its methods are awaited on one event loop."""

    def __init__(
        self,
        recognizer: Recognizer,
        ledger: Ledger,
        settings: Settings | None = None,
        *,
        gallery: Roster | None = None,
    ) -> None:
        self.settings, self.gallery = settings or Settings(), gallery
        self.recognizer, self.bundle, self.ledger = recognizer, recognizer.bundle, ledger
        self.checks, self.metrics = Checks(self.settings.checks), Metrics()
        self.looking = Looking(recognizer, self.settings, seen_batch=self.metrics.batch)
        self.is_closing = False
        if gallery is not None and ledger.crops is not None:
            ledger.crops.keep_only(gallery.photo_ids)
        self.metrics.follow("workers_open", "Jobs of workers that run or wait.", lambda: self.looking.workers.open)
        self.metrics.follow("crops_waiting", "Crops that wait for the network.", lambda: self.looking.network.queued)
        self.metrics.follow("gallery_people", "People enrolled.", lambda: 0 if gallery is None else gallery.people)
        self.metrics.follow("log_waiting", "Lines that wait for the disk.", lambda: self.ledger.log.queued)

    async def verify(self, given: Given, request: str, key: Key) -> answers.VerifyAnswer:
        """Are the faces on two photos of one person?"""
        point = self.point()
        looked, checked = await self.look(given)
        left, right = (one.seen for one in looked)
        found = verify(left, right, point, bundle=self.bundle, undecided=given.flag("undecided"))
        failed = failed_checks(given.uploads, checked)
        decision: Decision = "cannot tell" if failed else found.decision
        reason = failed or found.reason
        score = None if failed else found.score
        await self.note("verify", request, key, decision, {"score": score, "threshold": point.threshold})
        return answers.VerifyAnswer(
            **{"request": request, "decision": decision, "reason": reason, "score": score},
            **{"log_likelihood_ratio": None if failed else found.llr, "point": point_answer(point)},
            photos=tuple(photo_answer(photo, one) for photo, one in zip((left, right), checked, strict=True)),
        )

    async def detect(self, given: Given, request: str) -> answers.DetectAnswer:
        """All faces of a photo."""
        (upload,) = given.uploads
        (height, width), faces = await self.in_time(self.looking.detect(upload))
        found = tuple(
            answers.DetectedFace(
                box=face_box(face),
                landmarks=tuple((float(x), float(y)) for x, y in face.landmarks),
                detector_score=float(face.score),
            )
            for face in faces
        )
        return answers.DetectAnswer(request=request, name=upload.name, height=height, width=width, faces=found)

    async def embed(self, given: Given, request: str, key: Key) -> answers.EmbedAnswer:
        """The vectors of the faces that are meant."""
        looked, checked = await self.look(given)
        faces = [one.seen.face for one in looked]
        artefact = self.bundle.artefact
        await self.note("embed", request, key, "embedded", {"photos": len(looked)})
        return answers.EmbedAnswer(
            **{"request": request, "artefact": artefact.name, "dim": artefact.dim},
            photos=tuple(photo_answer(one.seen, says) for one, says in zip(looked, checked, strict=True)),
            vectors=tuple(None if face is None else tuple(face.vector.tolist()) for face in faces),
        )

    async def look(self, given: Given) -> tuple[list[Looked], list["Checked"]]:
        """The photos of a request as they were seen, and what the checks that it asks for say.

        Raises ServiceError: 412 for a check that is not installed, 504 where it takes too long.
        """
        names = given.names("checks")
        self.checks.need(names)
        looked = await self.in_time(self.looking.look(given.uploads, crops=self.settings.crops or given.flag("crops")))
        if not names:
            return looked, [None] * len(looked)
        return looked, await self.in_time(self.looking.work(lambda: [self._checked(one, names) for one in looked]))

    async def in_time(self, work: Awaitable[Result]) -> Result:
        """What comes of some work. Raises ServiceError (504) where it takes too long."""
        seconds = self.settings.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise ServiceError(
                f"no answer within {seconds:g} s: the service is busy, or the photos are large",
                **{"status": 504, "code": "too_slow"},
            ) from None

    async def note(self, operation: str, request: str, key: Key, decision: str, facts: Mapping[str, Any]) -> None:
        """Count a decision, and write it down, before the answer leaves. Raises ServiceError (503)."""
        await asyncio.wrap_future(self.ledger.log.note(_line(operation, request, key, decision, facts)))
        self.metrics.decided(operation, decision)

    def note_now(self, operation: str, request: str, key: Key, decision: str, facts: Mapping[str, Any]) -> None:
        """`note` for a worker's thread, within a change that is undone where this raises."""
        self.ledger.log.note(_line(operation, request, key, decision, facts)).result()
        self.metrics.decided(operation, decision)

    def point(self) -> OperatingPoint:
        """The operating point of comparisons: the operator's, or the deployed one.

        Raises BundleError where the bundle was never calibrated.
        """
        choice = self.ledger.choices.current("verify")
        if choice is None:
            return self.point_of(None, None)
        return self.point_of(choice.rate, choice.threshold)

    def point_of(self, far: float | None, threshold: float | None) -> OperatingPoint:
        """The operating point for a wanted FAR or at a threshold; the deployed one where neither is given.

        Raises BundleError, which does not say where the bundle is.
        """
        try:
            return point_of(self.bundle, far=far, threshold=threshold)
        except BundleError as error:
            raise BundleError(str(error).replace(str(self.bundle.path), "the bundle")) from error

    async def gallery_size(self) -> GallerySize:
        """How many people have how many photos; nobody where there is no gallery."""
        return {} if self.gallery is None else await self.looking.work(self.gallery.size)

    def search_point(self, size: GallerySize) -> SearchPoint:
        """The threshold of searches at this size of the gallery: the operator's choice, or for the wanted FPIR."""
        choice, curves = self.ledger.choices.current("search"), self.bundle.curves
        searches = None if curves is None else curves.searches
        if choice is not None:
            return search_point(searches, size, fpir=choice.rate, threshold=choice.threshold)
        return search_point(searches, size, fpir=self.settings.fpir)

    def lookalike(self, size: GallerySize) -> float | None:
        """The score from which another person is reported at enrolment; None where nothing says one."""
        if self.settings.lookalike is not None:
            return self.settings.lookalike
        found = self.search_point(size).threshold
        deployed = self.bundle.threshold
        return found if found is not None or deployed is None else deployed.value

    async def forget(self, name: str, person: str, request: str, key: Key) -> int:
        """Empty the log's lines about a person who was removed, and note that this was done; without a name.

        Returns how many lines there were. Raises ServiceError (503); it may be asked for again.
        """
        found = await asyncio.wrap_future(self.ledger.log.forget(name, person))
        await self.note("remove", request, key, "removed" if found or person else "not there", {})
        return found

    def card(self) -> answers.Card:
        """What decides here."""
        return card_of(self.bundle, self.checks.names)

    async def health(self) -> answers.Health:
        """Is the service ready? "no gallery" where there is one that cannot be used."""
        if self.is_closing:
            return answers.Health(status="stopping", version=__version__)
        # not by the workers: a service that is busy is ready
        usable = self.gallery is None or await asyncio.to_thread(self.gallery.is_usable)
        return answers.Health(status="ready" if usable else "no gallery", version=__version__)

    def close(self) -> None:
        """Finish what was taken, then stop. A second call changes nothing."""
        if self.is_closing:
            return
        self.is_closing = True
        self.looking.close()
        self.ledger.close()
        if self.gallery is not None:
            self.gallery.close()

    def _checked(self, looked: Looked, names: Sequence[str]) -> "Checked":
        face = looked.seen.face
        if face is None:
            return None
        box, landmarks = (None, None) if face.face is None else (face.face.box, face.face.landmarks)
        given = CheckedFace(photo=looked.pixels, crop=face.crop, box=box, landmarks=landmarks)
        return self.checks.run(names, given)


def _line(operation: str, request: str, key: Key, decision: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"request": request, "key": key.name, "operation": operation, "decision": decision, **facts}


Checked = Mapping[str, answers.CheckResult] | None


def failed_checks(uploads: Sequence[Upload], checked: Sequence[Checked]) -> str:
    """Which checks were not passed, in a sentence; empty where all were."""
    failed = [
        f"{upload.name}: the check {name} was not passed{f' ({result.remark})' if result.remark else ''}"
        for upload, results in zip(uploads, checked, strict=True)
        for name, result in (results or {}).items()
        if not result.passed
    ]
    return "; ".join(failed)
