"""Who comes in: every request gets a name and safe headers, and who asks is known before a body is read.

A browser's page of another origin cannot use the service, with or without keys: what says that it comes from elsewhere
is refused, and no header lets other origins read an answer.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from angulus.errors import ServiceError
from angulus.serve.records.keys import OPEN, Key, KeyRing, Role
from angulus.serve.web.bodies import Budget

MOST_HEAD = 2**14  # bytes of a request's path and headers
LINGER_SECONDS = 5.0
LINGER_BYTES = 2**28
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
        " media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PEOPLE = b"/v1/people/"


class Gate:
    """Around the whole application.

    budget: of bodies; what a request took of it is given back when it ends.  finished: is told the operation's path,
    status and seconds of every request.  too_long: the answer to one whose path and headers are.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        budget: Budget,
        finished: Callable[[Scope, int, float], None],
        too_long: Callable[[Request], Response],
    ) -> None:
        self._app, self._budget, self._finished, self._too_long = app, budget, finished, too_long

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request"], state["reserved"] = secrets.token_hex(8), 0
        raw = scope.get("raw_path") or b""
        if raw.startswith(PEOPLE):  # a name with "/" in it stays one part of the path; the operation decodes it
            scope["path"] = raw.decode("ascii", "replace")
        headers = Headers(scope=scope)
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        exchange = _Exchange(receive, send, state["request"], has_body=has_body)
        started = time.perf_counter()
        try:
            # the socket's bound is for heads that come in pieces, not for what one packet brings
            app = self._too_long(Request(scope)) if _head_size(scope) > MOST_HEAD else self._app
            await app(scope, exchange.receive, exchange.send)
        finally:
            self._budget.give_back(state["reserved"])
            self._finished(scope, exchange.status, time.perf_counter() - started)


def _head_size(scope: Scope) -> int:
    path = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    return path + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


class _Exchange:
    """One request and its answer: headers are added, and an answer to a body that was not read waits for its end.

    Were the connection closed at once, what the client still sends would make the system throw the answer away.
    """

    def __init__(self, receive: Receive, send: Send, request: str, *, has_body: bool) -> None:
        self._receive, self._send, self._request = receive, send, request
        self._is_read, self.status = not has_body, 500

    async def receive(self) -> Message:
        """A part of the body."""
        message = await self._receive()
        self._is_read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers["x-request-id"] = self._request
        elif not message.get("more_body", False) and not self._is_read:
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _drain(self) -> None:
        """Read the rest of the body and throw it away, for a while."""
        total = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._is_read and total < LINGER_BYTES:
                    total += len((await self.receive()).get("body", b""))
        except TimeoutError:
            logging.getLogger(__name__).info("request %s was still being sent after its answer", self._request)


class Access:
    """Who asks, and may they?  ring: None where no keys are used, which is for the loopback alone."""

    def __init__(self, ring: KeyRing | None) -> None:
        self._ring = ring

    def check(self, request: Request, least: Role) -> Key:
        """The key of a request. Raises ServiceError: 401 without a known key, 403 for too small a role."""
        check_origin(request.headers)
        if self._ring is None:
            _check_host(request.headers)
            return OPEN
        key = self._ring.find(_secret(request.headers))
        if key is None:
            raise ServiceError("the key is not known here: ask for another", status=401, code="unknown_key")
        if not key.allows(least):
            raise ServiceError(
                f"this needs a key of the role {least}, {key.name} has {key.role}", status=403, code="role"
            )
        return key


def check_origin(headers: Headers) -> None:
    """Raise ServiceError (403) for a request that a page of another origin sent."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    foreign = site in ("cross-site", "same-site")
    if origin is not None and (_of_address(origin, "netloc") or "") != headers.get("host"):
        foreign = True
    if foreign:
        raise ServiceError("pages of other origins may not use the service", status=403, code="origin")


def _of_address(text: str, part: Literal["netloc", "hostname"]) -> str | None:
    """A part of an address; None for what is none."""
    try:
        return getattr(urlsplit(text), part)
    except ValueError:
        return None


def _secret(headers: Headers) -> str:
    kind, _, secret = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise ServiceError("a key is needed: send it as Authorization: Bearer KEY", status=401, code="no_key")
    return secret.strip()


def _check_host(headers: Headers) -> None:
    """Without keys the name that was asked for must be the loopback's, or a page could lead its own name here."""
    host = _of_address(f"//{headers.get('host', '')}", "hostname")
    if host not in LOOPBACK:
        raise ServiceError(
            f"without keys the service is for {' and '.join(LOOPBACK)} alone, got host {str(host)[:80]!r}",
            **{"status": 403, "code": "host"},
        )
