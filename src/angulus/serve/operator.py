"""What the operator sees and chooses: error rates at every threshold, the one in force, and what was decided."""

from angulus.errors import BundleError, ServiceError
from angulus.runtime.curves import GallerySize
from angulus.runtime.identification import SearchPoint, search_point
from angulus.serve import answers
from angulus.serve.records.choices import Choice
from angulus.serve.records.keys import Key
from angulus.serve.requests import Given
from angulus.serve.service import Service
from angulus.serve.wording import calibration_of, point_answer, search_point_answer


class Operator:
    """The operations of an operator."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def calibration(self, people: int | None) -> answers.CalibrationAnswer:
        """Error rates at every threshold, FPIR for the present gallery or one of so many people.

        Raises ServiceError (409) where the bundle was never calibrated.
        """
        curves = self._service.bundle.curves
        if curves is None:
            raise ServiceError(
                "the bundle has no calibration: export it again with --images PEOPLE",
                **{"status": 409, "code": "not_calibrated"},
            )
        return calibration_of(curves, {1: people} if people is not None else await self._service.gallery_size())

    async def points(self) -> answers.OperatingPoints:
        """The thresholds in force, and the choices."""
        service, choices = self._service, self._service.ledger.choices
        try:
            verify = point_answer(service.point())
        except BundleError:
            verify = None
        search = None
        if service.gallery is not None:
            search = search_point_answer(service.search_point(await service.gallery_size()))
        held = [choices.current("verify"), choices.current("search")]
        lines = tuple(_line(choice, holds=choice in held) for choice in choices.history())
        return answers.OperatingPoints(verify=verify, search=search, choices=lines)

    async def choose(self, given: Given, request: str, key: Key) -> answers.OperatingPoints:
        """Write a choice down, if the calibration can say what it does. Raises ServiceError."""
        service, words = self._service, given.words
        threshold, rate = (given.number(name, 0.0) if name in words else None for name in ("threshold", "rate"))
        use = words.get("use", "")
        size = await service.gallery_size()
        if use == "verify" and (threshold is None) != (rate is None):
            try:
                service.point_of(rate, threshold)
            except BundleError as error:
                raise ServiceError(str(error)) from error
        if use == "search" and (threshold is None) != (rate is None):
            self._check_search(size, threshold, rate)
        made = await service.looking.work(
            lambda: service.ledger.choices.choose(
                use,
                **{"threshold": threshold, "rate": rate, "key": key.name},
                **{"by": words.get("by", ""), "reason": words.get("reason", "")},
            )
        )
        await service.note("choose", request, key, use, {"threshold": made.threshold, "rate": made.rate})
        return await self.points()

    async def audit(self, most: int) -> answers.AuditAnswer:
        """The newest lines of the log."""
        found = await self._service.looking.work(lambda: self._service.ledger.log.lines(most))
        return answers.AuditAnswer(lines=tuple(found))

    def _check_search(self, size: GallerySize, threshold: float | None, rate: float | None) -> SearchPoint:
        curves = self._service.bundle.curves
        searches = None if curves is None else curves.searches
        point = search_point(searches, size, fpir=rate, threshold=threshold)
        if point.threshold is None:
            raise ServiceError(point.reason)
        return point


def _line(choice: Choice, *, holds: bool) -> answers.ChoiceLine:
    return answers.ChoiceLine(
        **{"use": choice.use, "by": choice.by, "reason": choice.reason, "key": choice.key, "time": choice.time},
        **{"holds": holds, "threshold": choice.threshold, "rate": choice.rate},
    )
