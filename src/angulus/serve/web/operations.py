"""Which operations there are: at which path, who may, what is given and what is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from angulus.errors import ServiceError
from angulus.serve import answers
from angulus.serve.enrolment import Enrolment
from angulus.serve.operator import Operator
from angulus.serve.records.keys import Key, Role
from angulus.serve.requests import Form, Given
from angulus.serve.service import Service

VERIFY = Form(photos={"left": (1, 1), "right": (1, 1)}, words=("crops", "undecided", "checks"))
DETECT = Form(photos={"photo": (1, 1)})
EMBED = Form(photos={"photos": (1, 1000)}, words=("crops", "checks"))
SEARCH = Form(photos={"photo": (1, 1)}, words=("crops", "checks", "most"))
ENROL = Form(photos={"photos": (1, 1000)}, words=("name", "add", "refuse_lookalikes", "note", "crops", "checks"))
CHOOSE = Form(photos={}, words=("use", "threshold", "rate", "by", "reason"))
WORK = (400, 408, 413, 415, 422, 503, 504)
MOST_LISTED = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """A request, read and admitted.  parts: of the path.  query: after the question mark."""

    request: str
    key: Key
    given: Given
    parts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def whole(self, name: str, usual: int, most: int) -> int:
        """A whole number in the query, 1 to `most`. Raises ServiceError."""
        text = self.query.get(name, str(usual))
        if not (text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most):
            raise ServiceError(f"{name} must be a whole number from 1 to {most:,}, got {text[:40]!r}")
        return int(text)


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation.

    name: in the description, the metrics and the log.  line: method and path.  role: the least that may; None for
    anybody, without a key.  answer: the type, None for text, bytes for an image.  form: None where there is no body.
    query: names and what they mean.  refused: statuses besides 401 and 403.
    """

    name: str
    line: str
    role: Role | None
    run: Callable[[Call], Awaitable[Any]]
    answer: Any
    summary: str
    _: KW_ONLY
    form: Form | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[int, ...] = ()
    status: int = 200

    @property
    def method(self) -> str:
        """GET, POST, PUT or DELETE."""
        return self.line.partition(" ")[0]

    @property
    def path(self) -> str:
        """With {names} of its parts."""
        return self.line.partition(" ")[2]


def operations(service: Service) -> tuple[Operation, ...]:
    """All operations of a service."""
    enrolment, operator = Enrolment(service), Operator(service)
    return (*_deciding(service, enrolment), *_enrolling(enrolment), *_knowing(service), *_operating(service, operator))


def _deciding(service: Service, enrolment: Enrolment) -> tuple[Operation, ...]:
    async def verify(call: Call) -> answers.VerifyAnswer:
        return await service.verify(call.given, call.request, call.key)

    async def detect(call: Call) -> answers.DetectAnswer:
        return await service.detect(call.given, call.request)

    async def embed(call: Call) -> answers.EmbedAnswer:
        return await service.embed(call.given, call.request, call.key)

    async def search(call: Call) -> answers.SearchAnswer:
        return await enrolment.search(call.given, call.request, call.key)

    about = "Vectors of the faces that are meant; for admins alone, as who has a vector can make an image of the face."
    return (
        Operation(
            "verify",
            "POST /v1/verify",
            "read",
            verify,
            answers.VerifyAnswer,
            "Are the faces on two photos of one person?",
            form=VERIFY,
            refused=(*WORK, 409, 412),
        ),
        Operation(
            "search",
            "POST /v1/search",
            "read",
            search,
            answers.SearchAnswer,
            "Who is it, among the enrolled, or unknown?",
            form=SEARCH,
            refused=(*WORK, 404, 412),
        ),
        Operation(
            "detect",
            "POST /v1/detect",
            "read",
            detect,
            answers.DetectAnswer,
            "All faces of a photo.",
            form=DETECT,
            refused=(*WORK, 409),
        ),
        Operation(
            "embed",
            "POST /v1/embed",
            "admin",
            embed,
            answers.EmbedAnswer,
            about,
            form=EMBED,
            refused=(*WORK, 412),
        ),
    )


def _enrolling(enrolment: Enrolment) -> tuple[Operation, ...]:
    async def enrol(call: Call) -> answers.EnrolAnswer:
        return await enrolment.enrol(call.given, call.request, call.key)

    async def people(call: Call) -> answers.PeopleAnswer:
        return await enrolment.people(call.query.get("after", ""), call.whole("most", 100, MOST_LISTED))

    async def person(call: Call) -> answers.PersonAnswer:
        return await enrolment.person(call.parts["name"])

    async def remove(call: Call) -> answers.RemoveAnswer:
        return await enrolment.remove(call.parts["name"], call.request, call.key)

    async def remove_photo(call: Call) -> answers.RemoveAnswer:
        return await enrolment.remove_photo(call.parts["name"], call.parts["photo"], call.request, call.key)

    async def crop(call: Call) -> bytes:
        return await enrolment.crop(call.parts["name"], call.parts["photo"])

    listed = {"after": "go on there: `next` of the answer before", "most": f"at most so many, 1 to {MOST_LISTED:,}"}
    one, photo = "/v1/people/{name}", "/v1/people/{name}/photos/{photo}"
    return (
        Operation(
            "enrol",
            "POST /v1/people",
            "enrol",
            enrol,
            answers.EnrolAnswer,
            "Enrol a person with photos, or add photos to one.",
            form=ENROL,
            refused=(*WORK, 404, 409, 412),
            status=201,
        ),
        Operation(
            "people",
            "GET /v1/people",
            "enrol",
            people,
            answers.PeopleAnswer,
            "Who is enrolled, in the order of the gallery.",
            query=listed,
            refused=(404, 422, 503),
        ),
        Operation(
            "person",
            f"GET {one}",
            "enrol",
            person,
            answers.PersonAnswer,
            "A person and their photos.",
            refused=(404, 503),
        ),
        Operation(
            "remove",
            f"DELETE {one}",
            "enrol",
            remove,
            answers.RemoveAnswer,
            "Remove a person from gallery, crops and log.",
            refused=(404, 503),
        ),
        Operation(
            "remove_photo",
            f"DELETE {photo}",
            "enrol",
            remove_photo,
            answers.RemoveAnswer,
            "Remove a photo; with the last one the person.",
            refused=(404, 503),
        ),
        Operation(
            "crop",
            f"GET {photo}/crop",
            "read",
            crop,
            bytes,
            "The crop of an enrolled photo, where crops are kept.",
            refused=(404, 503),
        ),
    )


def _knowing(service: Service) -> tuple[Operation, ...]:
    async def health(_: Call) -> answers.Health:
        return await service.health()

    async def metrics(_: Call) -> str:
        return service.metrics.text()

    async def card(_: Call) -> answers.Card:
        return service.card()

    return (
        Operation(
            "health",
            "GET /v1/health",
            None,
            health,
            answers.Health,
            "Is the service ready? Needs no key.",
            refused=(503,),
        ),
        Operation(
            "metrics",
            "GET /v1/metrics",
            "read",
            metrics,
            None,
            "Counters in Prometheus' text form.",
        ),
        Operation(
            "card",
            "GET /v1/card",
            "read",
            card,
            answers.Card,
            "What decides here, and what is known about it.",
        ),
    )


def _operating(service: Service, operator: Operator) -> tuple[Operation, ...]:
    async def calibration(call: Call) -> answers.CalibrationAnswer:
        people = call.whole("people", 1, 10**9) if "people" in call.query else None
        return await operator.calibration(people)

    async def points(_: Call) -> answers.OperatingPoints:
        return await operator.points()

    async def choose(call: Call) -> answers.OperatingPoints:
        return await operator.choose(call.given, call.request, call.key)

    async def audit(call: Call) -> answers.AuditAnswer:
        return await operator.audit(call.whole("most", 100, 10_000))

    size = {"people": "FPIR for a gallery of so many people, of one photo each, instead of the present one"}
    path = "/v1/operating-point"
    return (
        Operation(
            "calibration",
            "GET /v1/calibration",
            "read",
            calibration,
            answers.CalibrationAnswer,
            "Error rates at every threshold.",
            query=size,
            refused=(409, 422, 503),
        ),
        Operation(
            "points",
            f"GET {path}",
            "read",
            points,
            answers.OperatingPoints,
            "The thresholds in force, and who chose them.",
            refused=(503,),
        ),
        Operation(
            "choose",
            f"PUT {path}",
            "admin",
            choose,
            answers.OperatingPoints,
            "Choose a threshold, or a wanted rate.",
            form=CHOOSE,
            refused=(400, 408, 409, 413, 415, 422, 503),
        ),
        Operation(
            "audit",
            "GET /v1/audit",
            "admin",
            audit,
            answers.AuditAnswer,
            "The newest lines of the log.",
            query={"most": "at most so many lines, 1 to 10,000"},
            refused=(422, 503),
        ),
    )
