"""The service from Python, typed: photos in, the records of `angulus.serve.answers` out.

    with Client("https://faces.example:8000", key=KEY) as client:
        answer = client.verify("a.jpg", "b.jpg")
        answer.decision, answer.score, answer.point.far

Needs pip install "angulus[client]". Refusals are ServiceError with the server's sentence, its status and its code.
"""

import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from angulus.errors import ServiceError
from angulus.files import read_regular
from angulus.serve import answers

Answer = TypeVar("Answer")
Photo = str | Path | bytes
"""A path, or the bytes of an image file."""
LONGEST_WAIT = 10.0


class Client:
    """A connection to a service.

    url: with http or https.  key: made by angulus serve keys add.  seconds: for an answer.  tries: of a request while
    the service is busy.  certificate: of an authority of your own, for https.  transport: for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        seconds: float = 60.0,
        tries: int = 4,
        certificate: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if tries < 1:
            raise ServiceError(f"tries must be at least 1, got {tries}")
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        verify: Any = True if certificate is None else _trusting(certificate)
        self._tries = tries
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=seconds, verify=verify, transport=transport, trust_env=False
        )

    def verify(
        self, left: Photo, right: Photo, *, crops: bool = False, undecided: bool = False, checks: Sequence[str] = ()
    ) -> answers.VerifyAnswer:
        """Are the faces on two photos of one person?"""
        words = {"crops": crops, "undecided": undecided, "checks": ",".join(checks)}
        return self._send(answers.VerifyAnswer, "verify", [("left", left), ("right", right)], words)

    def search(
        self, photo: Photo, *, most: int = 5, crops: bool = False, checks: Sequence[str] = ()
    ) -> answers.SearchAnswer:
        """Who is it, among the enrolled, or unknown?"""
        words = {"crops": crops, "most": most, "checks": ",".join(checks)}
        return self._send(answers.SearchAnswer, "search", [("photo", photo)], words)

    def detect(self, photo: Photo) -> answers.DetectAnswer:
        """All faces of a photo."""
        return self._send(answers.DetectAnswer, "detect", [("photo", photo)], {})

    def embed(self, photos: Sequence[Photo], *, crops: bool = False) -> answers.EmbedAnswer:
        """Vectors of the faces that are meant; needs an admin's key."""
        return self._send(answers.EmbedAnswer, "embed", [("photos", photo) for photo in photos], {"crops": crops})

    def enrol(
        self,
        name: str,
        photos: Sequence[Photo],
        *,
        add: bool = False,
        refuse_lookalikes: bool = False,
        note: str = "",
        crops: bool = False,
        checks: Sequence[str] = (),
    ) -> answers.EnrolAnswer:
        """Enrol a person with photos; add: to one who is enrolled."""
        words = {"name": name, "add": add, "refuse_lookalikes": refuse_lookalikes, "note": note, "crops": crops}
        words |= {"checks": ",".join(checks)}
        return self._send(answers.EnrolAnswer, "people", [("photos", photo) for photo in photos], words)

    def people(self, *, after: str = "", most: int = 100) -> answers.PeopleAnswer:
        """Some of who is enrolled; `next` of the answer is the `after` of the next page."""
        return self._ask(answers.PeopleAnswer, "GET", "people", params={"after": after, "most": most})

    def person(self, name: str) -> answers.PersonAnswer:
        """A person and their photos."""
        return self._ask(answers.PersonAnswer, "GET", f"people/{quote(name, safe='')}")

    def remove(self, name: str) -> answers.RemoveAnswer:
        """Remove a person from gallery, crops and log."""
        return self._ask(answers.RemoveAnswer, "DELETE", f"people/{quote(name, safe='')}")

    def remove_photo(self, name: str, photo: str) -> answers.RemoveAnswer:
        """Remove a photo by its id; the last one removes the person."""
        path = f"people/{quote(name, safe='')}/photos/{quote(photo, safe='')}"
        return self._ask(answers.RemoveAnswer, "DELETE", path)

    def health(self) -> answers.Health:
        """Is the service ready?"""
        return self._ask(answers.Health, "GET", "health")

    def card(self) -> answers.Card:
        """What decides there, and what is known about it."""
        return self._ask(answers.Card, "GET", "card")

    def calibration(self, people: int | None = None) -> answers.CalibrationAnswer:
        """Error rates at every threshold, FPIR for the present gallery or one of so many people."""
        params = {} if people is None else {"people": people}
        return self._ask(answers.CalibrationAnswer, "GET", "calibration", params=params)

    def points(self) -> answers.OperatingPoints:
        """The thresholds in force, and who chose them."""
        return self._ask(answers.OperatingPoints, "GET", "operating-point")

    def choose(
        self,
        use: Literal["verify", "search"],
        *,
        by: str,
        reason: str,
        threshold: float | None = None,
        rate: float | None = None,
    ) -> answers.OperatingPoints:
        """Choose a threshold, or a wanted rate: FAR of verify, FPIR of search."""
        given = {"use": use, "by": by, "reason": reason, "threshold": threshold, "rate": rate}
        body = {name: value for name, value in given.items() if value is not None}
        return self._ask(answers.OperatingPoints, "PUT", "operating-point", json=body)

    def audit(self, *, most: int = 100) -> answers.AuditAnswer:
        """The newest lines of the log."""
        return self._ask(answers.AuditAnswer, "GET", "audit", params={"most": most})

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        """The client, closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def _send(
        self, answer: type[Answer], path: str, photos: Sequence[tuple[str, Photo]], words: Mapping[str, Any]
    ) -> Answer:
        files = [(name, _part(photo)) for name, photo in photos]
        said = {name: _word(value) for name, value in words.items() if value not in (False, "")}
        return self._ask(answer, "POST", path, files=files, data=said)

    def _ask(
        self,
        answer: type[Answer],
        method: str,
        path: str,
        *,
        files: Any = None,
        data: Any = None,
        json: Any = None,
        params: Any = None,
    ) -> Answer:
        left = self._tries
        while True:
            left -= 1
            try:
                said = self._http.request(method, f"/v1/{path}", files=files, data=data, json=json, params=params)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ServiceError(
                    f"{self._http.base_url} does not answer: {error}", status=503, code="unreachable"
                ) from error
            refusal = _refusal(said)
            if refusal is None:
                return _read(answer, said.content)
            if refusal.code != "busy" or not left:  # "busy" alone says that nothing was done
                raise refusal
            time.sleep(min(LONGEST_WAIT, refusal.retry_after or 1))


def _trusting(certificate: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise ServiceError(f"{certificate} cannot be used for TLS: {error.strerror or error}") from error


def _read(answer: type[Answer], content: bytes) -> Answer:
    try:
        return TypeAdapter(answer).validate_json(content)
    except ValidationError as error:
        raise ServiceError(
            f"the service gave no {answer.__name__}, it may be of another version: {error.errors()[0]['msg']}",
            **{"status": 502, "code": "answer"},
        ) from error


def _refusal(said: httpx.Response) -> ServiceError | None:
    if said.is_success:
        return None
    try:
        error = TypeAdapter(answers.Refusal).validate_json(said.content).error
    except ValidationError:
        error = answers.Trouble(code="answer", message=f"the service answered {said.status_code}", request="")
    waits = said.headers.get("retry-after", "")
    wait = int(waits) if waits.isdigit() and len(waits) < 6 else 0
    return ServiceError(error.message, status=said.status_code, code=error.code, retry_after=wait)


def _part(photo: Photo) -> tuple[str, bytes]:
    if isinstance(photo, bytes):
        return "photo", photo
    try:
        return Path(photo).name, read_regular(photo)
    except OSError as error:
        raise ServiceError(f"cannot read {photo}: {error.strerror or error}") from error


def _word(value: Any) -> str:
    return "true" if value is True else str(value)
